"""A lease: who may change which paths until when. Two live leases never overlap; an ended one is never
revived.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from mcp_server.core import paths


@dataclass(frozen=True)
class Lease:
    """`fence` is global and increasing; a pinned lease has a submission in the gate and does not expire."""

    fence: int
    task: str
    agent: str
    session: str | None
    repo: str
    paths: tuple[str, ...]
    granted_ms: int
    expires_ms: int
    pinned: bool = False
    head: str | None = None
    ended_ms: int | None = None
    end_reason: str | None = None


def is_live(lease: Lease, now_ms: int) -> bool:
    return lease.ended_ms is None and (lease.pinned or now_ms < lease.expires_ms)


def has_expired(lease: Lease, now_ms: int) -> bool:
    """Time is up and nobody has written so yet."""
    return lease.ended_ms is None and not lease.pinned and now_ms >= lease.expires_ms


def renewed(lease: Lease, now_ms: int, lease_ms: int) -> Lease:
    """Return the lease after a call by its holder. Only a live lease may be given."""
    assert is_live(lease, now_ms), "an expired lease is never revived"
    return replace(lease, expires_ms=max(lease.expires_ms, now_ms + lease_ms))


def bounded_by_clock(lease: Lease, now_ms: int, lease_ms: int) -> Lease:
    """Return the lease with no more time than a renewal at this moment would give it.

    A clock that jumped back would else keep a dead agent's lease for as long as it jumped.
    """
    return replace(lease, expires_ms=min(lease.expires_ms, now_ms + lease_ms))


def ended(lease: Lease, now_ms: int, reason: str) -> Lease:
    assert lease.ended_ms is None, "a lease ends once"
    return replace(lease, pinned=False, ended_ms=now_ms, end_reason=reason)


def overlapping(repo: str, globs: Iterable[str], leases: Iterable[Lease]) -> Lease | None:
    """The first of `leases` that covers a path which `globs` cover too, or None."""
    wanted = tuple(globs)
    for lease in leases:
        if lease.repo == repo and paths.overlap_any(wanted, lease.paths):
            return lease
    return None
