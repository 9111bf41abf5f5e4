"""How a submission ends without landing: the refusal is written, and its holder gets a whole lease to mend
the change.
"""

import dataclasses
from typing import Any

from mcp_server.core.landing import SubmissionState as State
from mcp_server.core.refusal import Refused
from mcp_server.core.task import TaskEvent
from mcp_server.store import Tx
from mcp_server.store import leases as lease_rows
from mcp_server.store import submissions as rows
from mcp_server.store.submissions import Submission
from mcp_server.use_cases import leasing
from mcp_server.world import World


def candidate_ref(submission: int) -> str:
    """Return the ref that holds a candidate while it is tested, so that no repack takes it away."""
    return f"refs/candidates/{submission}"


def refuse(world: World, submission: Submission, refusal: Refused) -> None:
    """Refuse a submission, and clear away what it leaves behind."""
    with world.store.write() as tx:
        write(world, tx, submission, refusal)
    clear(world, submission)


def write(world: World, tx: Tx, submission: Submission, refusal: Refused) -> None:
    """Write the refusal, with the one event of it: the call that reads it later records none."""
    refused = dataclasses.replace(
        submission, state=State.REFUSED, ended_ms=world.now_ms(), refusal=refusal.to_json()
    )
    rows.put(tx, refused)
    by: dict[str, Any] = {
        "agent": submission.agent,
        "task": submission.task,
        "fence": submission.fence,
    }
    world.record(
        tx,
        "refusal",
        tool="push",
        code=str(refusal.code),
        happened=refusal.happened,
        submission=submission.id,
        commit=submission.commit,
        **by,
    )
    _unpin(world, tx, submission)


def clear(world: World, submission: Submission) -> None:
    """Take away what a refused submission leaves behind in the repository, and keep what its lease does."""
    world.repos[submission.repo].refs.delete(candidate_ref(submission.id))
    leasing.keep_salvage(world)


def _unpin(world: World, tx: Tx, submission: Submission) -> None:
    """Give the holder a whole lease again; one whose session has died gets none."""
    lease = lease_rows.get(tx, submission.fence)
    if lease is None or lease.ended_ms is not None:
        return
    expires_ms = max(lease.expires_ms, world.now_ms() + world.lease_ms)
    unpinned = dataclasses.replace(lease, pinned=False, expires_ms=expires_ms)
    lease_rows.put(tx, unpinned)
    if leasing.holder_is_gone(tx, lease):
        leasing.end(world, tx, unpinned, "session_ended", TaskEvent.LEASE_LOST)
