"""What the runs of a candidate say of it: still under way, good, not good, or nothing at all because one broke."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mcp_server.core import case_globs, landing
from mcp_server.core.refusal import Refused
from mcp_server.gate import words
from mcp_server.store import jobs as job_rows
from mcp_server.store import tasks as task_rows
from mcp_server.store.jobs import Job
from mcp_server.store.submissions import Submission
from mcp_server.use_cases import baseline, case_sets, oracle_jobs
from mcp_server.world import World


@dataclass(frozen=True)
class Broken:
    """`told` says which suite and why."""

    told: Refused


def judge(world: World, submissions: Sequence[Submission], base: str, jobs: Mapping[str, int]) -> Refused | Broken | bool:
    """Of these submissions together on `base`: True once they may land, False while runs are under way."""
    with world.store.read() as tx:
        if any(state != job_rows.DONE for state in job_rows.states(tx, jobs.values()).values()):
            return False
        found = {name: job_rows.get(tx, id) for name, id in jobs.items()}
    finished = {name: job for name, job in found.items() if job is not None}
    assert len(finished) == len(jobs)
    for name, job in finished.items():
        if oracle_jobs.is_broken(job):
            return Broken(of_broken(world, name, job))
    return landing.ratchet([_measured(world, submissions, base, name, job) for name, job in finished.items()]) or True


def _measured(world: World, submissions: Sequence[Submission], base: str, name: str, job: Job) -> landing.Suite:
    assert job.verdict is not None
    with world.store.read() as tx:
        tasks = [task for one in submissions if (task := task_rows.get(tx, one.task))]
        on_main = baseline.in_tx(world, tx, name, base)
    assert on_main is not None
    named = tuple(glob for task in tasks for glob in case_globs.of_suite(task.cases, name, task.suite))
    flaky = landing.exempt(world.config.suites[name].flaky, world.today())
    hidden = case_sets.hidden(world, name, on_main.keys() | job.verdict["outcomes"].keys())
    return landing.Suite(name, on_main, job.verdict["outcomes"], named, flaky, hidden)


def of_broken(world: World, suite: str, job: Job) -> Refused:
    reason = case_sets.reason(world, suite, job.verdict["reason"]) if job.verdict else "no verdict"
    return words.broken(suite, job.attempts, reason)
