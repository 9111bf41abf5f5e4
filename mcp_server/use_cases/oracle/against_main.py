"""What a finished run is held against: main's outcomes, and what main's own run said against itself.

Rule: gate and `run_oracle` both judge what is made here, by the same ratchet, so that neither says of a run
what the other one does not.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mcp_server.core import case_globs, landing
from mcp_server.core.landing import SuiteOutcomes
from mcp_server.core.task import Task
from mcp_server.store import Tx
from mcp_server.store.jobs import Job
from mcp_server.use_cases.oracle import baseline, case_sets, pace
from mcp_server.world import World
from oracle.judging import excerpt
from oracle.judging.contradictions import Contradiction
from oracle.judging.verdict import SKIP
from oracle.suites import kinds


@dataclass(frozen=True)
class MainRecord:
    """What is on record of a suite on main. `kinds` are those of its contradictions, and it takes `ms`; 0 if
    nobody knows.
    """

    outcomes: Mapping[str, str]
    kinds: frozenset[str]
    ms: int


@dataclass(frozen=True)
class AskedRun:
    """What decides about a run that was asked for. `is_whole`: it was of all cases that agents may see."""

    suite: SuiteOutcomes
    is_whole: bool


def record(world: World, tx: Tx, suite: str, commit: str) -> MainRecord | None:
    """Return what is on record of a suite on `commit`; None if it has not been measured there."""
    outcomes = baseline.in_tx(world, tx, suite, commit)
    if outcomes is None:
        return None
    kinds_on_main = baseline.contradictions_in_tx(world, tx, suite, commit)
    return MainRecord(outcomes, kinds_on_main, pace.main_ms(world, tx, suite))


def of_run(
    world: World, job: Job, on_main: MainRecord, tasks: Sequence[Task], passed_alone: Collection[str] = ()
) -> SuiteOutcomes:
    """Return what decides about a finished run of a whole suite. `passed_alone` are cases that count as if
    main passed them.
    """
    assert job.verdict is not None
    outcomes = job.verdict["outcomes"]
    kept = dict.fromkeys(outcomes.keys() & passed_alone, "pass")
    return SuiteOutcomes(
        job.suite,
        {**on_main.outcomes, **kept},
        outcomes,
        named=_named(job.suite, tasks),
        gone=_gone(world, job, on_main.outcomes),
        removes=tuple(
            glob for task in tasks for glob in case_globs.of_suite(task.removes, job.suite, task.suite)
        ),
        exempt=landing.exempt(world.config.suites[job.suite].flaky, world.today()),
        hidden=case_sets.hidden(world, job.suite, on_main.outcomes.keys() | outcomes.keys()),
        contradictions=tuple(map(Contradiction.from_json, job.verdict.get("contradictions", ()))),
        kinds_on_main=on_main.kinds,
        timed_out_s=job.verdict.get("timed_out_s", 0),
        main_ms=on_main.ms,
        problem=job.verdict.get("problem", ""),
        why={failure["id"]: _why(failure) for failure in job.verdict["failures"]},
    )


def _gone(world: World, job: Job, on_main: Mapping[str, str]) -> frozenset[str]:
    """Return the tests that main reports and that this run does not run; of a suite with cases, which are
    main's, there are none.
    """
    assert job.verdict is not None
    if kinds.of(world.config.suites[job.suite]).cases is not None:
        return frozenset()
    outcomes = job.verdict["outcomes"]
    skipped = {case for case, outcome in on_main.items() if outcome == SKIP and case not in outcomes}
    return frozenset(skipped | (set(job.verdict.get("missing", ())) & on_main.keys()))


def _why(failure: Mapping[str, Any]) -> str:
    """Return how a case fails: how its output differs, or what its test printed."""
    if failure["input"]:
        return str(failure["difference"])
    printed = excerpt.excerpt(failure["candidate"]["output"], chars=landing.WHY_CHARS_MAX)
    return printed or str(failure["difference"])


def of_asked_run(world: World, job: Job, on_main: MainRecord, tasks: Sequence[Task]) -> AskedRun:
    """Return the same of a run that may be of some cases only: about the others it decides nothing.

    A command suite's is of all, since its tests say which those are.
    """
    suite = of_run(world, job, on_main, tasks)
    if kinds.of(world.config.suites[job.suite]).cases is None:
        return AskedRun(suite, is_whole=True)
    ran = suite.on_candidate.keys()
    is_whole = on_main.outcomes.keys() - suite.hidden <= ran
    of_these = {case: outcome for case, outcome in on_main.outcomes.items() if case in ran}
    hits = tuple(glob for glob in suite.named if case_globs.hits(glob, ran - suite.hidden))
    return AskedRun(replace(suite, on_main=of_these, named=suite.named if is_whole else hits), is_whole)


def _named(suite: str, tasks: Sequence[Task]) -> tuple[str, ...]:
    return tuple(glob for task in tasks for glob in case_globs.of_suite(task.cases, suite, task.suite))
