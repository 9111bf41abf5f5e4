"""What the runs of a candidate say of it: still under way, good, not good, or nothing at all because one
broke.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mcp_server.core import landing
from mcp_server.core.refusal import Refused
from mcp_server.gate import words
from mcp_server.store import Tx
from mcp_server.store import jobs as job_rows
from mcp_server.store import submissions as rows
from mcp_server.store import tasks as task_rows
from mcp_server.store.jobs import Job
from mcp_server.store.submissions import Submission
from mcp_server.use_cases.oracle import against_main, case_sets
from mcp_server.use_cases.oracle import jobs as oracle_jobs
from mcp_server.use_cases.oracle.against_main import MainRecord
from mcp_server.world import World


@dataclass(frozen=True)
class Broken:
    """No verdict could be had. `refusal` says of which suite, and why."""

    refusal: Refused


@dataclass(frozen=True)
class Outdated:
    """The runs were had in images that are not in force any more, or main is not measured in those that
    are: it has to be tested again.
    """


def judge(
    world: World, submissions: Sequence[Submission], base: str, jobs: Mapping[str, int]
) -> Refused | Broken | Outdated | bool:
    """Return True if these submissions may land together on `base`, False while runs are under way.

    Of several, what each but the last passed by itself must pass too, as it would have to had they landed one
    by one.
    """
    with world.store.read() as tx:
        if any(state != job_rows.DONE for state in job_rows.states(tx, jobs.values()).values()):
            return False
        finished = _jobs(tx, jobs)
        on_main = _on_main(world, tx, base, finished)
        if len(on_main) < len(finished) or any(
            oracle_jobs.is_outdated(world, job) for job in finished.values()
        ):
            return Outdated()
        for name, job in finished.items():
            if oracle_jobs.is_broken(job):
                return Broken(refusal_of_broken(world, name, job))
        passed_before = _passed_alone(tx, submissions[:-1])
        tasks = [task for one in submissions if (task := task_rows.get(tx, one.task))]
    suites = [
        against_main.of_run(world, job, on_main[name], tasks, passed_before.get(name, set()))
        for name, job in finished.items()
    ]
    return landing.ratchet(suites) or True


def lost(
    world: World, submissions: Sequence[Submission], base: str, jobs: Mapping[str, int]
) -> list[tuple[Job, set[str]]]:
    """Return the runs that lose cases which main is on record to pass, each with those cases."""
    with world.store.read() as tx:
        finished = _jobs(tx, jobs)
        on_main = _on_main(world, tx, base, finished)
        tasks = [task for one in submissions if (task := task_rows.get(tx, one.task))]
    found = [
        (finished[name], landing.lost(against_main.of_run(world, finished[name], record, tasks)))
        for name, record in on_main.items()
    ]
    return [(job, cases) for job, cases in found if cases]


def _on_main(world: World, tx: Tx, base: str, suites: Iterable[str]) -> dict[str, MainRecord]:
    """Return what is on record of these suites on `base`, of those that were measured there."""
    records = {name: against_main.record(world, tx, name, base) for name in suites}
    return {name: record for name, record in records.items() if record is not None}


def _jobs(tx: Tx, ids: Mapping[str, int]) -> dict[str, Job]:
    return {name: job for name, id in ids.items() if (job := job_rows.get(tx, id))}


def _passed_alone(tx: Tx, submissions: Sequence[Submission]) -> dict[str, set[str]]:
    """Return, by suite, the cases that any of these passed by itself."""
    passed: dict[str, set[str]] = {}
    for submission in submissions:
        alone = rows.get_alone(tx, submission.id)
        if alone is None:
            continue
        for name, job in _jobs(tx, alone.jobs).items():
            passed.setdefault(name, set()).update(_passing(job))
    return passed


def _passing(job: Job) -> set[str]:
    assert job.verdict is not None
    return {case for case, outcome in job.verdict["outcomes"].items() if outcome == "pass"}


def refusal_of_broken(world: World, suite: str, job: Job) -> Refused:
    """Return what an agent is told of a run that broke for the last time."""
    reason = case_sets.reason(world, suite, job.verdict["reason"]) if job.verdict else "no verdict"
    return words.broken(suite, job.attempts, reason)
