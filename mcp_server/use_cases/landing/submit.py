"""`push`, first half: checks lease and fence and queues the submission; the gate does the rest."""

import dataclasses
from typing import Any

from mcp_server import faults
from mcp_server.core import role
from mcp_server.core.landing import SubmissionState as State
from mcp_server.core.lease import Lease
from mcp_server.core.principal import Principal
from mcp_server.core.refusal import RETRYABLE, Code, Refused
from mcp_server.store import Tx
from mcp_server.store import leases as lease_rows
from mcp_server.store import submissions as rows
from mcp_server.store.submissions import Submission
from mcp_server.use_cases import leasing
from mcp_server.use_cases.landing import waiting
from mcp_server.world import World

SUMMARY_CHARACTERS_MAX = 2_000


def submit(world: World, who: Principal, fence: int, commit: str, summary: str) -> Submission | Refused:
    """Idempotent by (fence, commit): a repeated call finds the submission, whatever has become of it."""
    uploaded = _is_uploaded(world, who, fence, commit)
    with world.store.write() as tx:
        world = world.at_one_moment()
        lease = lease_to_submit_under(world, tx, who, fence)
        before = (
            rows.find(tx, fence, commit)
            if not isinstance(lease, Refused) or lease.code is Code.STALE_FENCE
            else None
        )
        if (
            before is not None
            and before.agent == who.name
            and not (isinstance(lease, Lease) and is_retryable(before))
        ):
            return before
        refused = (
            lease
            if isinstance(lease, Refused)
            else _bad_request(tx, who, lease, commit, summary, uploaded=uploaded)
        )
        if refused is not None:
            return refused
        assert isinstance(lease, Lease)
        lease_rows.put(tx, dataclasses.replace(lease, pinned=True))
        submission = (
            _again(tx, before, world.now_ms())
            if before is not None
            else rows.add(
                tx,
                fence=fence,
                task=lease.task,
                agent=who.name,
                repo=lease.repo,
                commit=commit,
                summary=summary.strip(),
                now_ms=world.now_ms(),
            )
        )
        world.record(
            tx,
            "submission",
            who,
            task=lease.task,
            fence=fence,
            submission=submission.id,
            state=str(State.QUEUED),
            commit=commit,
        )
        faults.reached("push.decided")
    faults.reached("push.queued")
    world.bell.ring()
    return submission


def is_retryable(submission: Submission) -> bool:
    """Refused for a reason that says nothing about the change."""
    return submission.refusal is not None and Code(submission.refusal["code"]) in RETRYABLE


def _again(tx: Tx, before: Submission, now_ms: int) -> Submission:
    again = dataclasses.replace(
        before, state=State.QUEUED, refusal=None, ended_ms=None, jobs={}, tries=0, submitted_ms=now_ms
    )
    rows.put(tx, again)
    return again


def _is_uploaded(world: World, who: Principal, fence: int, commit: str) -> bool:
    """Whether `commit` is a full id of a commit that the agent brought here; asked of git, so outside of any
    transaction.
    """
    with world.store.read() as tx:
        lease = lease_rows.get(tx, fence)
    if lease is None:
        return False
    repo = world.repos[lease.repo]
    return repo.commits.resolve(commit) == commit and repo.commits.agent_has(who.name, commit)


def lease_to_submit_under(world: World, tx: Tx, who: Principal, fence: int) -> Lease | Refused:
    live = leasing.live(world, tx)
    lease = next((lease for lease in live if lease.fence == fence), None) or lease_rows.get(tx, fence)
    if lease is None or lease.agent != who.name:
        no_lease = Refused(
            Code.NOT_LEASED,
            f"fence {fence} is not a lease of yours",
            "nothing was submitted",
            "claim_task() first; submit with the fence it gives you",
        )
        return role.refusal(world.role_of(who.name)) or no_lease
    if lease.ended_ms is not None:
        now_with = next((other for other in live if other.task == lease.task), None)
        holds = (
            f"{lease.task} is now leased to {now_with.agent} (fence {now_with.fence})"
            if now_with
            else f"{lease.task} is not leased to anybody"
        )
        return Refused(
            Code.STALE_FENCE,
            f"your lease on {lease.task} (fence {fence}) has ended: {lease.end_reason}",
            f"{holds}; your commits are safe on the server",
            "claim_task() for a new lease",
        )
    return lease


def _bad_request(
    tx: Tx, who: Principal, lease: Lease, commit: str, summary: str, *, uploaded: bool
) -> Refused | None:
    if not summary.strip() or len(summary) > SUMMARY_CHARACTERS_MAX:
        limit = f"1 to {SUMMARY_CHARACTERS_MAX} characters"
        return Refused(
            Code.BAD_REQUEST,
            f"the summary has {len(summary)} characters",
            f"allowed are {limit}; it becomes the commit message",
            "push again with a summary",
        )
    for other in rows.of_fence(tx, lease.fence):
        if not other.is_final:
            return Refused(
                Code.HELD,
                f"submission {other.id} of {lease.task} is still in the gate",
                f"it is {other.state}, commit {other.commit[:12]}",
                f"push(fence={lease.fence}, commit='{other.commit}', ...) waits for its verdict",
            )
    if not uploaded:
        return Refused(
            Code.COMMIT_UNKNOWN,
            f"the server has no commit {commit[:40]} of yours",
            "only commits that you uploaded can be pushed",
            f"git push origin HEAD:refs/agents/{who.name}/work, then push with the full id that git rev-parse HEAD prints",
        )
    return None


def answer(world: World, submitted: Submission) -> dict[str, Any] | Refused:
    """Return what `push` says about a submission, which exists, as it is now."""
    with world.store.read() as tx:
        submission = rows.get(tx, submitted.id)
        assert submission is not None
        place = waiting.told(world, tx, submission) if not submission.is_final else {}
    if submission.state is State.LANDED:
        return {
            "status": "landed",
            "main": submission.candidate,
            "task": submission.task,
            "next": "claim_task() for the next task",
        }
    if submission.state is State.REFUSED:
        told = submission.refusal
        assert told is not None
        return Refused(Code(told["code"]), told["happened"], told["holds"], told["next"])
    waited = (world.now_ms() - submission.submitted_ms) // 1000
    return (
        {"status": "testing", "submission": submission.id, "waited_s": waited}
        | place
        | {"next": "call push again with the same arguments to wait"}
    )
