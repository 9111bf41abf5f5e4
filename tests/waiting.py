"""Waiting for what a thread, a process or a box does: the one place in the tests that looks at a clock.

Rule: a test waits for a condition, never for a time. The bound only makes a failure of a hang, so it is far
more than anything takes on a machine that does much else; what is fast enough is measured by `benchmarks`.
"""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

BOUND_S = 240.0
LOOK_S = 0.02

T = TypeVar("T")


def until(
    condition: Callable[[], T],
    what: str | Callable[[], str] = "it to come true",
    *,
    within_s: float = BOUND_S,
) -> T:
    """Return the condition's first true value.

    Raise AssertionError, which names `what` was waited for, if there is none within `within_s` seconds.
    """
    end = time.monotonic() + within_s
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"waited {within_s:.0f} s for {what if isinstance(what, str) else what()}")
        time.sleep(LOOK_S)
    return value


async def until_on_loop(condition: Callable[[], T], what: str = "it to come true") -> T:
    """Do what `until` does, on an event loop that goes on meanwhile."""
    end = time.monotonic() + BOUND_S
    while not (value := condition()):
        assert time.monotonic() < end, f"waited {BOUND_S:.0f} s for {what}"
        await asyncio.sleep(LOOK_S)
    return value
