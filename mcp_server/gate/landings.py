"""From a good verdict to main: the intent, then the move of the ref, then its record.

Rule: the ref is the truth. After a crash an intent whose commit main holds is written as landed; any other is
taken back.
"""

import dataclasses
from collections.abc import Sequence

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
from mcp_server.use_cases.oracle import baseline
from mcp_server.world import World


def note(world: World, tx: Tx, submission: Submission, *, kind: str = "submission", **more) -> None:
    """One event of a submission's life."""
    by = {"agent": submission.agent, "task": submission.task, "fence": submission.fence}
    world.record(tx, kind, submission=submission.id, state=str(submission.state), **by, **more)


def intend(world: World, submissions: Sequence[Submission], **why: str) -> None:
    """Each has the base, the commit and the jobs that it would land with, all the same. Their fences are
    checked in the transaction that records the intent; a stale one is refused alone, and then none of the
    others lands with this commit.
    """
    faults.reached("gate.judged")
    stale = []
    with world.store.write() as tx:
        for one in submissions:
            lease = lease_rows.get(tx, one.fence)
            assert lease is not None
            if not leases.is_live(lease, world.now_ms()):
                stale.append(one)
                refusing.write(world, tx, one, words.stale(one.fence, lease.end_reason))
        for one in submissions if not stale else ():
            landing = dataclasses.replace(one, state=State.LANDING)
            rows.put(tx, landing)
            note(world, tx, landing, base=one.base, candidate=one.candidate, **why)
    faults.reached("gate.intended")
    for one in stale:
        refusing.clear(world, one)


def settle(world: World, submissions: Sequence[Submission]) -> bool:
    """Moves main to the commit that all of these were to land with, if main is still where that was tested;
    then writes it down. Whether they landed."""
    first = submissions[0]
    repo = world.repos[first.repo]
    assert first.candidate is not None and first.base is not None
    if not (
        repo.refs.compare_and_swap(world.main_ref(first.repo), first.candidate, first.base)
        or repo.commits.is_ancestor(first.candidate, world.main(first.repo))
    ):
        for one in submissions:
            back(world, one, reason="main moved")
        return False
    faults.reached("gate.swapped")
    with world.store.write() as tx:
        _measured(world, tx, first)
        for one in submissions:
            _landed(world, tx, one, in_batch=len(submissions) > 1)
        faults.reached("gate.writing")
    faults.reached("gate.landed")
    for one in submissions:
        repo.refs.delete(refusing.candidate_ref(one.id))
    faults.reached("gate.cleared")
    return True


def _measured(world: World, tx: Tx, landed: Submission) -> None:
    """The outcomes that it was tested with are main's now."""
    assert landed.candidate is not None
    for name, id in landed.jobs.items():
        job = job_rows.get(tx, id)
        assert job is not None and job.verdict is not None
        gone = set(job.verdict.get("missing", ()))  # tests that main ran and the landed tree does not
        outcomes = {case: outcome for case, outcome in job.verdict["outcomes"].items() if case not in gone}
        baseline.put(world, tx, name, landed.candidate, outcomes)


def _landed(world: World, tx: Tx, one: Submission, *, in_batch: bool) -> None:
    """Of a batch the event also says which commit of it was good by itself."""
    lease, shown = lease_rows.get(tx, one.fence), rows.get_alone(tx, one.id) if in_batch else None
    assert task_rows.get(tx, one.task) is not None and lease is not None
    own = {"own": shown.commit} if shown is not None else {}
    done = dataclasses.replace(one, state=State.LANDED, ended_ms=world.now_ms())
    rows.put(tx, done)
    note(
        world,
        tx,
        done,
        kind="landed",
        commit=one.candidate,
        base=one.base,
        jobs=one.jobs,
        head=one.commit,
        **own,
    )
    leasing.end(world, tx, lease, "landed", TaskEvent.LAND)


def passed(world: World, submission: Submission) -> None:
    """Good by itself, and main has moved: it waits for the train."""
    assert submission.base is not None and submission.candidate is not None
    waiting = dataclasses.replace(submission, state=State.PASSED)
    with world.store.write() as tx:
        rows.put_alone(tx, rows.Alone(submission.id, submission.base, submission.candidate, submission.jobs))
        rows.put(tx, waiting)
        note(world, tx, waiting, reason="main moved")
    faults.reached("gate.passed")


def lose_place(world: World, submission: Submission, *, reason: str) -> None:
    waiting = dataclasses.replace(submission, tries=submission.tries + 1)
    with world.store.write() as tx:
        rows.put(tx, waiting)
        note(world, tx, waiting, reason=reason)


def back(world: World, submission: Submission, *, reason: str) -> None:
    """To the queue: it is merged and tested again, on the newest main."""
    queued = dataclasses.replace(submission, state=State.QUEUED, tries=submission.tries + 1, jobs={})
    with world.store.write() as tx:
        rows.put(tx, queued)
        note(world, tx, queued, reason=reason)
