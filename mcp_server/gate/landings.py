"""From a good verdict to main: the intent, then the move of the ref, then its record.

Rule: the ref is the truth. After a crash an intent whose commit main holds is written as landed; any other is
taken back.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

from mcp_server import faults
from mcp_server.core import lease as leases
from mcp_server.core.landing import SubmissionState as State
from mcp_server.core.task import TaskEvent
from mcp_server.gate import refusing, words
from mcp_server.store import Tx
from mcp_server.store import jobs as job_rows
from mcp_server.store import leases as lease_rows
from mcp_server.store import submissions as rows
from mcp_server.store import tasks as task_rows
from mcp_server.store.submissions import Submission
from mcp_server.use_cases import leasing
from mcp_server.use_cases.landing import submit
from mcp_server.use_cases.oracle import baseline, pace, red
from mcp_server.world import World
from oracle.judging.verdict import SKIP


def record(world: World, tx: Tx, submission: Submission, *, kind: str = "submission", **more: Any) -> None:
    """Write one event of a submission's life."""
    by: dict[str, Any] = {
        "agent": submission.agent,
        "task": submission.task,
        "fence": submission.fence,
    }
    world.record(tx, kind, submission=submission.id, state=str(submission.state), **by, **more)


def intend(world: World, submissions: Sequence[Submission], **why: str) -> None:
    """Write the intent to land these. Each has the base, the commit and the jobs that it would land with, all
    the same.

    Their fences are checked in the transaction that records the intent; a stale one is refused alone, and
    then none of the others lands with this commit.
    """
    faults.reached("gate.judged")
    stale = []
    with world.store.write() as tx:
        for submission in submissions:
            lease = lease_rows.get(tx, submission.fence)
            assert lease is not None
            if not leases.is_live(lease, world.now_ms()):
                stale.append(submission)
                refusing.write(world, tx, submission, words.stale(submission.fence, lease.end_reason))
        for submission in submissions if not stale else ():
            intended = dataclasses.replace(submission, state=State.LANDING)
            rows.put(tx, intended)
            record(world, tx, intended, base=intended.base, candidate=intended.candidate, **why)
    faults.reached("gate.intended")
    for submission in stale:
        refusing.clear(world, submission)


def settle(world: World, submissions: Sequence[Submission]) -> bool:
    """Move main to the commit that all of these were to land with, if main is still where that was tested,
    and write it down; else take their intent back. Return True if they landed.
    """
    first = submissions[0]
    repo = world.repos[first.repo]
    assert first.candidate is not None and first.base is not None
    if not (
        repo.refs.compare_and_swap(world.main_ref(first.repo), first.candidate, first.base)
        or repo.commits.is_ancestor(first.candidate, world.main(first.repo))
    ):
        for submission in submissions:
            requeue(world, submission, reason="main moved")
        return False
    faults.reached("gate.swapped")
    with world.store.write() as tx:
        slower = _slower(world, tx, first)
        _record_outcomes(world, tx, first)
        for submission in submissions:
            _record_landing(world, tx, submission, slower, in_batch=len(submissions) > 1)
        faults.reached("gate.writing")
    faults.reached("gate.landed")
    if not world.config.run.tip_check:  # which would run every red suite on the new main
        _look_at_red(world, first)
    for submission in submissions:
        repo.refs.delete(refusing.candidate_ref(submission.id))
    faults.reached("gate.cleared")
    return True


def _record_outcomes(world: World, tx: Tx, landed: Submission) -> None:
    """Write the outcomes that a submission was tested with as main's."""
    assert landed.candidate is not None
    for name, id in landed.jobs.items():
        job = job_rows.get(tx, id)
        assert job is not None and job.verdict is not None
        # Tests that main ran and the landed tree does not have; those that it skips it has.
        outcomes = job.verdict["outcomes"]
        gone = {case for case in job.verdict.get("missing", ()) if outcomes.get(case) != SKIP}
        baseline.put(world, tx, name, landed.candidate, job, gone=gone)


def _look_at_red(world: World, landed: Submission) -> None:
    """Write down which red cases pass in the runs that the landing rests on."""
    assert landed.candidate is not None
    for name, id in landed.jobs.items():
        if name in world.red:
            outcomes = baseline.outcomes_at(world, name, landed.candidate)
            red.see(world, name, landed.candidate, outcomes or {}, id)


def _slower(world: World, tx: Tx, landed: Submission) -> dict[str, str]:
    """Return {"slower": words} if the landed tree takes much longer than main did; {} if it does not."""
    jobs = [job for id in landed.jobs.values() if (job := job_rows.get(tx, id))]
    slower = [words for job in jobs if (words := pace.slower(world, tx, job))]
    return {"slower": "; ".join(slower)} if slower else {}


def _record_landing(
    world: World, tx: Tx, submission: Submission, slower: dict[str, str], *, in_batch: bool
) -> None:
    """Write one landing and end its lease. Of a batch the event also says which commit was good by itself."""
    lease = lease_rows.get(tx, submission.fence)
    assert task_rows.get(tx, submission.task) is not None and lease is not None
    alone = rows.get_alone(tx, submission.id) if in_batch else None
    own = {"own": alone.commit} if alone is not None else {}
    landed = dataclasses.replace(submission, state=State.LANDED, ended_ms=world.now_ms())
    rows.put(tx, landed)
    record(
        world,
        tx,
        landed,
        kind="landed",
        commit=landed.candidate,
        base=landed.base,
        jobs=landed.jobs,
        head=landed.commit,
        **own,
        **slower,
    )
    if slower:
        submit.note_slower(tx, landed, slower["slower"])
    leasing.end(world, tx, lease, "landed", TaskEvent.LAND)


def join_train(world: World, submission: Submission) -> None:
    """Let a submission that is good by itself wait for the train, since main has moved."""
    assert submission.base is not None and submission.candidate is not None
    waiting = dataclasses.replace(submission, state=State.PASSED)
    with world.store.write() as tx:
        rows.put_alone(tx, rows.Alone(submission.id, submission.base, submission.candidate, submission.jobs))
        rows.put(tx, waiting)
        record(world, tx, waiting, reason="main moved")
    faults.reached("gate.passed")


def lose_place(world: World, submission: Submission, *, reason: str) -> None:
    """Count that a submission lost its place in the train."""
    waiting = dataclasses.replace(submission, tries=submission.tries + 1)
    with world.store.write() as tx:
        rows.put(tx, waiting)
        record(world, tx, waiting, reason=reason)


def requeue(world: World, submission: Submission, *, reason: str) -> None:
    """Send a submission back to be merged and tested again, on the newest main."""
    queued = dataclasses.replace(submission, state=State.QUEUED, tries=submission.tries + 1, jobs={})
    with world.store.write() as tx:
        rows.put(tx, queued)
        record(world, tx, queued, reason=reason)
