"""How large main may become: pure decisions."""

import pytest

from mcp_server.core.refusal import Code
from mcp_server.core.tree_size import MIB, SizeLimits, refusal

LIMITS = SizeLimits(tree_bytes_max=100 * MIB, growth_bytes_max=10 * MIB)


@pytest.mark.parametrize(
    ("tree_mib", "grown"),
    [
        (100, {"a": 10 * MIB}),
        (50, {"a": 30 * MIB, "b": -25 * MIB}),
        (150, {"a": -MIB}),
        (150, {"a": 5, "b": -5}),
        (150, {}),
    ],
)
def test_what_stays_within_both_limits_or_makes_main_no_larger_may_land(tree_mib: int, grown: dict[str, int]):
    assert refusal(LIMITS, tree_mib * MIB, grown) is None


def test_a_change_that_adds_too_much_is_refused_with_the_paths_that_grow_most():
    refused = refusal(LIMITS, 20 * MIB, {"small": 1, "zeros/2": 6 * MIB, "zeros/1": 6 * MIB, "gone": -MIB})
    assert refused.code is Code.TOO_LARGE and "11.0 MiB larger" in refused.happened
    assert refused.happened.endswith("zeros/1 (6.0 MiB), zeros/2 (6.0 MiB), small (0.0 MiB)")
    assert "10.0 MiB (`growth_mib_max`" in refused.holds


def test_a_main_that_would_be_too_large_is_refused_as_such():
    refused = refusal(LIMITS, 100 * MIB + 1, {"a": 2})
    assert refused.code is Code.TOO_LARGE and "100.0 MiB (`tree_mib_max`" in refused.holds
