"""Refuses what makes a suite much slower, where the project says so.

Rule: a machine may have been busy, so a change is refused only if it is slower again in a second run, beside
a second run of main.
"""

from collections.abc import Iterable

from mcp_server.core import duration
from mcp_server.core.refusal import Refused
from mcp_server.gate import judging, words
from mcp_server.gate.judging import Broken
from mcp_server.store import jobs as job_rows
from mcp_server.store.jobs import Job
from mcp_server.use_cases.oracle import jobs as oracle_jobs
from mcp_server.use_cases.oracle import pace
from mcp_server.world import World


def check(world: World, jobs: Iterable[int], base: str) -> Refused | Broken | bool:
    """Return True if these finished runs are fast enough to land on `base`, False while it is measured, and
    the refusal otherwise.
    """
    with world.store.read() as tx:
        finished = [job for id in jobs if (job := job_rows.get(tx, id))]
        slow = [job for job in finished if _refuses(world, job) and pace.slower(world, tx, job)]
    again = [(job, _run(world, job, job.commit), _run(world, job, base)) for job in slow]
    if any(run.state != job_rows.DONE for _, *runs in again for run in runs):
        return False
    for job, *runs in again:
        for run in runs:
            if oracle_jobs.is_broken(run):
                return Broken(judging.refusal_of_broken(world, job.suite, run))
        change_ms, main_ms = ((run.verdict or {}).get("run_ms", 0) for run in runs)
        if duration.is_slower(main_ms, change_ms, world.config.suites[job.suite].slow_factor):
            return words.too_slow(duration.sentence(job.suite, main_ms, change_ms))
    return True


def _refuses(world: World, job: Job) -> bool:
    return world.config.suites[job.suite].slow == "refuse"


def _run(world: World, job: Job, commit: str) -> Job:
    request = oracle_jobs.JobRequest(job.suite, commit, oracle_jobs.GATE, nonce=f"pace of {job.id}")
    return oracle_jobs.request(world, request)
