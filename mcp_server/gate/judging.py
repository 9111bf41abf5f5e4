"""What the runs of a candidate say of it: still under way, good, not good, or nothing at all because one
broke.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mcp_server.core import case_globs, landing
from mcp_server.core.refusal import Refused
from mcp_server.core.task import Task
from mcp_server.gate import words
from mcp_server.store import Tx
from mcp_server.store import jobs as job_rows
from mcp_server.store import submissions as rows
from mcp_server.store import tasks as task_rows
from mcp_server.store.jobs import Job
from mcp_server.store.submissions import Submission
from mcp_server.use_cases.oracle import baseline, case_sets, pace
from mcp_server.use_cases.oracle import jobs as oracle_jobs
from mcp_server.world import World
from oracle.judging import excerpt


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
        on_main = {name: baseline.in_tx(world, tx, name, base) for name in finished}
        if None in on_main.values() or any(oracle_jobs.is_outdated(world, job) for job in finished.values()):
            return Outdated()
        for name, job in finished.items():
            if oracle_jobs.is_broken(job):
                return Broken(refusal_of_broken(world, name, job))
        passed_before = _passed_alone(tx, submissions[:-1])
        tasks = [task for one in submissions if (task := task_rows.get(tx, one.task))]
        main_ms = {name: pace.main_ms(world, tx, name) for name in finished}
    suites = [
        _outcomes(world, job, on_main[name], passed_before.get(name, set()), tasks, main_ms[name])
        for name, job in finished.items()
    ]
    return landing.ratchet(suites) or True


def lost(
    world: World, submissions: Sequence[Submission], base: str, jobs: Mapping[str, int]
) -> list[tuple[Job, set[str]]]:
    """Return the runs that lose cases which main is on record to pass, each with those cases."""
    with world.store.read() as tx:
        finished = _jobs(tx, jobs)
        on_main = {name: baseline.in_tx(world, tx, name, base) for name in finished}
    found = [
        (job, landing.lost(_outcomes(world, job, on_main[name], set(), ())))
        for name, job in finished.items()
        if on_main[name] is not None
    ]
    return [(job, cases) for job, cases in found if cases]


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


def _outcomes(
    world: World,
    job: Job,
    on_main: Mapping[str, str] | None,
    passed_before: set[str],
    tasks: Sequence[Task],
    main_ms: int = 0,
) -> landing.SuiteOutcomes:
    """Return what a finished run is held against: main's outcomes, raised by what passed before it."""
    assert job.verdict is not None and on_main is not None
    outcomes = job.verdict["outcomes"]
    kept = dict.fromkeys(passed_before & outcomes.keys(), "pass")
    return landing.SuiteOutcomes(
        job.suite,
        {**on_main, **kept},
        outcomes,
        tuple(glob for task in tasks for glob in case_globs.of_suite(task.cases, job.suite, task.suite)),
        landing.exempt(world.config.suites[job.suite].flaky, world.today()),
        case_sets.hidden(world, job.suite, on_main.keys() | outcomes.keys()),
        timed_out_s=job.verdict.get("timed_out_s", 0),
        main_ms=main_ms,
        problem=job.verdict.get("problem", ""),
        why={failure["id"]: _why(failure) for failure in job.verdict["failures"]},
    )


def _why(failure: Mapping[str, Any]) -> str:
    """Return how a case fails: how its output differs, or what its test printed."""
    if failure["input"]:
        return str(failure["difference"])
    printed = excerpt.excerpt(failure["candidate"]["output"], chars=landing.WHY_CHARS_MAX)
    return printed or str(failure["difference"])


def refusal_of_broken(world: World, suite: str, job: Job) -> Refused:
    """Return what an agent is told of a run that broke for the last time."""
    reason = case_sets.reason(world, suite, job.verdict["reason"]) if job.verdict else "no verdict"
    return words.broken(suite, job.attempts, reason)
