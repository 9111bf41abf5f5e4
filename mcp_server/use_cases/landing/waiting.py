"""Why a submission is not settled yet, and how many are before it, for its agent and for people."""

from collections.abc import Collection
from typing import Any

from mcp_server.core.landing import SubmissionState as State
from mcp_server.core.landing import some
from mcp_server.store import Tx
from mcp_server.store import jobs as job_rows
from mcp_server.store import submissions as rows
from mcp_server.store.submissions import Submission
from mcp_server.use_cases.oracle import baseline, doubts
from mcp_server.world import World


def place(world: World, tx: Tx, submission: Submission) -> dict[str, Any]:
    """Return `position`, which counts all in the gate up to it, by age, and `waiting_for`, a phrase."""
    return {
        "position": rows.position(tx, submission),
        "waiting_for": _why(world, tx, submission),
    }


def _why(world: World, tx: Tx, submission: Submission) -> str:
    match submission.state:
        case State.QUEUED:
            return _unmeasured(world, tx, submission.repo) or "its turn to be merged onto main"
        case State.TESTING:
            running = _jobs(tx, submission.jobs.values())
            return f"its own oracle runs ({running})" if running else _doubted(tx, submission)
        case State.PASSED:
            return f"{_train(tx, submission)}a run of the train: it passed alone, and main has moved since"
    return "main to be moved to it"


def _train(tx: Tx, submission: Submission) -> str:
    """Return who is before it in the train, as the beginning of a phrase."""
    before = rows.passed_before(tx, submission)
    if not before:
        return ""
    return f"{before} older submission{'s' if before > 1 else ''} in the train and "


def _unmeasured(world: World, tx: Tx, repo: str) -> str | None:
    missing = baseline.unmeasured(world, tx, repo, world.main(repo))
    return f"main to be measured by {some(missing)}" if missing else None


def _doubted(tx: Tx, submission: Submission) -> str:
    running = _jobs(tx, doubts.under_way(tx, submission.jobs.values()))
    return f"main to be run again on what it loses ({running})" if running else "its verdict to be read"


def _jobs(tx: Tx, jobs: Collection[int]) -> str:
    states = job_rows.states(tx, jobs)
    return some(f"job {id}, {states[id]}" for id in jobs if states[id] != job_rows.DONE)
