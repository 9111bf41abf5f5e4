"""Waiting for a condition, bounded."""

import time
from collections.abc import Callable

import pytest

BOUND_S = 15


@pytest.fixture
def until() -> Callable:
    def wait(condition: Callable[[], object], seconds: float = BOUND_S) -> object:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if value := condition():
                return value
            time.sleep(0.02)
        raise AssertionError(f"not within {seconds} s: {condition}")

    return wait
