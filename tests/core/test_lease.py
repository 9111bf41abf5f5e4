"""Leases as values: live, expired, renewed, ended, overlapping; at every moment exactly one of the three
holds.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_server.core import lease as core
from mcp_server.core.lease import Lease

moments = st.integers(0, 10_000)


def lease(
    *,
    expires_ms: int = 100,
    pinned: bool = False,
    ended_ms: int | None = None,
    repo: str = "r",
    paths: tuple[str, ...] = ("a/**",),
) -> Lease:
    return Lease(
        1,
        "T1",
        "one",
        "S1",
        repo,
        paths,
        0,
        expires_ms,
        pinned=pinned,
        ended_ms=ended_ms,
        end_reason="x" if ended_ms else None,
    )


@given(moments, st.booleans(), st.none() | moments, moments)
def test_a_lease_is_live_or_expired_or_ended_and_never_two_of_these(
    expires: int, pinned: bool, ended: int | None, now: int
):
    one = lease(expires_ms=expires, pinned=pinned, ended_ms=ended)
    assert [core.is_live(one, now), core.has_expired(one, now), one.ended_ms is not None].count(True) == 1


def test_a_lease_lives_until_the_millisecond_before_its_expiry():
    assert core.is_live(lease(), 99) and not core.is_live(lease(), 100) and core.has_expired(lease(), 100)


@given(moments, moments)
def test_a_pinned_lease_outlives_its_time(expires: int, now: int):
    assert core.is_live(lease(expires_ms=expires, pinned=True), now)
    assert not core.has_expired(lease(expires_ms=expires, pinned=True), now)


@given(moments, moments, moments)
def test_renewing_never_shortens_and_gives_a_whole_lease(expires: int, now: int, lease_ms: int):
    one = lease(expires_ms=expires)
    if not core.is_live(one, now):
        with pytest.raises(AssertionError, match="never revived"):
            core.renewed(one, now, lease_ms)
        return
    after = core.renewed(one, now, lease_ms)
    assert after.expires_ms >= max(expires, now + lease_ms) and (
        after.fence,
        after.paths,
        after.ended_ms,
    ) == (one.fence, one.paths, None)


def test_an_ended_lease_is_neither_renewed_nor_ended_again():
    over = core.ended(lease(pinned=True), 50, "released")
    assert (over.ended_ms, over.end_reason, over.pinned) == (50, "released", False)
    assert not core.is_live(over, 0) and not core.has_expired(over, 10_000)
    with pytest.raises(AssertionError, match="never revived"):
        core.renewed(over, 51, 10)
    with pytest.raises(AssertionError, match="ends once"):
        core.ended(over, 60, "again")


def test_paths_overlap_only_within_one_repository():
    held = [lease(repo="r", paths=("a/**", "b/*.py")), lease(repo="s", paths=("c/**",))]
    assert core.overlapping("r", ["x/**", "b/x.py"], held) is held[0]
    assert core.overlapping("s", ["a/**"], held) is None
    assert core.overlapping("r", ["c/**"], held) is None
    assert core.overlapping("r", [], held) is None
