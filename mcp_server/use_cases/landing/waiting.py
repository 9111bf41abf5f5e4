"""Why a submission is not settled yet, and how many are before it: told to its agent, and to people."""

from mcp_server.core.landing import SubmissionState as State
from mcp_server.core.landing import some
from mcp_server.store import Tx
from mcp_server.store import jobs as job_rows
from mcp_server.store import submissions as rows
from mcp_server.store.submissions import Submission
from mcp_server.use_cases.oracle import baseline
from mcp_server.world import World


def told(world: World, tx: Tx, one: Submission) -> dict:
    """`position` counts everything in the gate up to it, by age; `waiting_for` is a phrase."""
    return {"position": rows.position(tx, one), "waiting_for": _why(world, tx, one)}


def _why(world: World, tx: Tx, one: Submission) -> str:
    match one.state:
        case State.QUEUED:
            return _unmeasured(world, tx, one.repo) or "its turn to be merged onto main"
        case State.TESTING:
            running = _jobs(tx, one.jobs)
            return f"its own oracle runs ({running})" if running else "its verdict to be read"
        case State.PASSED:
            before = rows.passed_before(tx, one)
            older = f"{before} older submission{'s' * (before != 1)} in the train and " * (before > 0)
            return f"{older}a run of the train: it passed alone, and main has moved since"
    return "main to be moved to it"


def _unmeasured(world: World, tx: Tx, repo: str) -> str | None:
    missing = baseline.unmeasured(world, tx, repo, world.main(repo))
    return f"main to be measured by {some(missing)}" if missing else None


def _jobs(tx: Tx, jobs: dict[str, int]) -> str:
    states = job_rows.states(tx, jobs.values())
    return some(f"job {id}, {states[id]}" for id in jobs.values() if states[id] != job_rows.DONE)
