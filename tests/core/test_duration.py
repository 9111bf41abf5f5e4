"""What counts as slower than main, and how a duration is told."""

import pytest

from mcp_server.core import duration


@pytest.mark.parametrize(
    ("main_ms", "run_ms", "is_slower"),
    [
        (300, 15_000, True),
        (300, 3_200, False),  # many times as long, and less than noise
        (300, 3_301, True),
        (10_000, 29_999, False),
        (10_000, 30_001, True),
        (0, 60_000, False),  # nobody knows what main takes
    ],
)
def test_a_run_is_slower_by_factor_and_beyond_noise(main_ms: int, run_ms: int, is_slower: bool):
    assert duration.is_slower(main_ms, run_ms, 3.0) is is_slower


def test_a_slower_run_is_told_with_both_times():
    assert duration.sentence("unit", 300, 15_000) == "unit takes 15 s, 50 times as long as on main (0.3 s)"
