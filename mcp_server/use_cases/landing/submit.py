"""`push`, first half: checks lease and fence and queues the submission; the gate does the rest."""

import dataclasses
from typing import Any

from mcp_server import faults
from mcp_server.core import role
from mcp_server.core.landing import SubmissionState as State
from mcp_server.core.lease import Lease
from mcp_server.core.principal import Principal
from mcp_server.core.refusal import RETRYABLE, Code, Refused
from mcp_server.store import Tx, meta
from mcp_server.store import leases as lease_rows
from mcp_server.store import submissions as rows
from mcp_server.store.submissions import Submission
from mcp_server.use_cases import leasing
from mcp_server.use_cases.landing import waiting
from mcp_server.world import World

SUMMARY_CHARACTERS_MAX = 2_000


def submit(world: World, who: Principal, fence: int, commit: str, summary: str) -> Submission | Refused:
    """Queue a commit for landing and pin its lease. Return the submission, whatever has become of it: a
    repeated call, by (fence, commit), finds the one that there is.
    """
    is_uploaded = _is_uploaded(world, who, fence, commit)
    with world.store.write() as tx:
        world = world.at_one_moment()
        lease = lease_to_submit_under(world, tx, who, fence)
        before = None
        if not isinstance(lease, Refused) or lease.code is Code.STALE_FENCE:
            before = rows.find(tx, fence, commit)
        is_own = before is not None and before.agent == who.name
        if before is not None and is_own and (isinstance(lease, Refused) or not is_retryable(before)):
            return before
        if isinstance(lease, Refused):
            return lease
        if refusal := _bad_request(tx, who, lease, commit, summary, is_uploaded=is_uploaded):
            return refusal
        submission = _enqueue(world, tx, who, lease, before, commit, summary)
        faults.reached("push.decided")
    faults.reached("push.queued")
    world.bell.ring()
    return submission


def _enqueue(
    world: World, tx: Tx, who: Principal, lease: Lease, before: Submission | None, commit: str, summary: str
) -> Submission:
    lease_rows.put(tx, dataclasses.replace(lease, pinned=True))
    if before is not None:
        submission = _requeue(tx, before, world.now_ms())
    else:
        submission = rows.add(
            tx,
            fence=lease.fence,
            task=lease.task,
            agent=who.name,
            repo=lease.repo,
            commit=commit,
            summary=summary.strip(),
            now_ms=world.now_ms(),
        )
    world.record(
        tx,
        "submission",
        who,
        task=lease.task,
        fence=lease.fence,
        submission=submission.id,
        state=str(State.QUEUED),
        commit=commit,
    )
    return submission


def is_retryable(submission: Submission) -> bool:
    """Return True if it was refused for a reason that says nothing about the change."""
    return submission.refusal is not None and Code(submission.refusal["code"]) in RETRYABLE


def _requeue(tx: Tx, before: Submission, now_ms: int) -> Submission:
    queued = dataclasses.replace(
        before, state=State.QUEUED, refusal=None, ended_ms=None, jobs={}, tries=0, submitted_ms=now_ms
    )
    rows.put(tx, queued)
    return queued


def _is_uploaded(world: World, who: Principal, fence: int, commit: str) -> bool:
    """Return True if `commit` is a full id of a commit that the agent brought here. Git is asked, so this is
    outside of any transaction.
    """
    with world.store.read() as tx:
        lease = lease_rows.get(tx, fence)
    if lease is None:
        return False
    repo = world.repos[lease.repo]
    return repo.commits.resolve(commit) == commit and repo.commits.agent_has(who.name, commit)


def lease_to_submit_under(world: World, tx: Tx, who: Principal, fence: int) -> Lease | Refused:
    """Return the live lease of `who` with that fence, or why nothing can be handed in under it."""
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
        holds = f"{lease.task} is not leased to anybody"
        if now_with:
            holds = f"{lease.task} is now leased to {now_with.agent} (fence {now_with.fence})"
        return Refused(
            Code.STALE_FENCE,
            f"your lease on {lease.task} (fence {fence}) has ended: {lease.end_reason}",
            f"{holds}; your commits are safe on the server",
            "claim_task() for a new lease",
        )
    return lease


def _bad_request(
    tx: Tx, who: Principal, lease: Lease, commit: str, summary: str, *, is_uploaded: bool
) -> Refused | None:
    if not summary.strip() or len(summary) > SUMMARY_CHARACTERS_MAX:
        return Refused(
            Code.BAD_REQUEST,
            f"the summary has {len(summary)} characters",
            f"allowed are 1 to {SUMMARY_CHARACTERS_MAX} characters; it becomes the commit message",
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
    if not is_uploaded:
        return Refused(
            Code.COMMIT_UNKNOWN,
            f"the server has no commit {commit[:40]} of yours",
            "only commits that you uploaded can be pushed",
            f"git push origin HEAD:refs/agents/{who.name}/work, "
            "then push with the full id that git rev-parse HEAD prints",
        )
    return None


def note_slower(tx: Tx, landed: Submission, words: str) -> None:
    """Keep for the answer to `push` that what landed makes a suite much slower."""
    meta.put(tx, _slower_name(landed), words)


def _slower_name(submission: Submission) -> str:
    return f"slower {submission.id}"


def answer(world: World, submitted: Submission) -> dict[str, Any] | Refused:
    """Return what `push` says about a submission, which exists, as it is now."""
    with world.store.read() as tx:
        submission = rows.get(tx, submitted.id)
        assert submission is not None
        place = waiting.place(world, tx, submission) if not submission.is_final else {}
        slower = meta.get(tx, _slower_name(submission))
    if submission.state is State.LANDED:
        return {
            "status": "landed",
            "main": submission.candidate,
            "task": submission.task,
            **({"slower": slower} if slower else {}),
            "next": "claim_task() for the next task",
        }
    if submission.state is State.REFUSED:
        refusal = submission.refusal
        assert refusal is not None
        return Refused(Code(refusal["code"]), refusal["happened"], refusal["holds"], refusal["next"])
    return {
        "status": "testing",
        "submission": submission.id,
        "waited_s": (world.now_ms() - submission.submitted_ms) // 1000,
        **place,
        "next": "call push again with the same arguments to wait",
    }
