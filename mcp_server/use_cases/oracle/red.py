"""What is red on main: kept over a restart, written into main's record, and told.

Rule: whoever has seen main itself fail or pass a case (the tip check, the doubt of a refusal, a fresh run
that a person asked for) says so here, and all that follows from it happens in one transaction.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from mcp_server.core import landing
from mcp_server.core import red_suite as core
from mcp_server.core.red_suite import Correction, Look, RedSuite
from mcp_server.store import Tx, meta
from mcp_server.use_cases.oracle import baseline, case_sets
from mcp_server.use_cases.oracle import jobs as oracle_jobs
from mcp_server.world import World

NAMED_MAX = 50  # cases in an event
COUNTED_MAX = 500  # cases of a suite of which it is kept how often they turned red
RELAPSES_MIN = 2  # a case that turned red so often, and was green in between, is told as flaky


def load(world: World) -> None:
    """Take up what is red since an earlier start."""
    with world.store.read() as tx:
        for suite in world.config.suites:
            kept = json.loads(meta.get(tx, _red_name(suite)) or "null")
            if kept is not None:
                world.red[suite] = RedSuite.from_json(kept)


def lost(world: World, suite: str, commit: str, outcomes: Mapping[str, str]) -> list[str]:
    """Return the cases that a whole run has shown to fail though they are on record as passing there."""
    record = baseline.outcomes_at(world, suite, commit) or {}
    return core.lost(record, whole(record, outcomes), _exempt(world, suite))


def whole(record: Iterable[str], outcomes: Mapping[str, str]) -> dict[str, str]:
    """Return the outcomes of a whole run: what is on record and did not run has failed."""
    return {**dict.fromkeys(record, "fail"), **outcomes}


def see(world: World, suite: str, commit: str, outcomes: Mapping[str, str], job: int) -> Correction:
    """Write down what the run `job` has shown of `commit` of main, and return what that changed.

    `outcomes` are of every case that the run was to show. What is contradicted is not shown again.
    """
    look = Look(outcomes, commit, world.now_ms(), job)
    record = baseline.outcomes_at(world, suite, commit) or {}
    correction = core.correct(world.red.get(suite), record, look, _exempt(world, suite))
    if correction.lost or correction.mended:
        oracle_jobs.forget(world, oracle_jobs.JobRequest(suite, commit, oracle_jobs.TIP))
    with world.store.write() as tx:
        baseline.correct(world, tx, suite, commit, correction.record)
        _keep(world, tx, suite, correction)
        _record(world, tx, suite, commit, correction)
    if correction.red is None:
        world.red.pop(suite, None)
    else:
        world.red[suite] = correction.red
    world.bell.ring()
    return correction


def sentence(world: World, suite: str) -> str:
    """Return what an agent is told of a red suite, without held-out cases by name; "" if it is not red."""
    red = world.red.get(suite)
    if red is None:
        return ""
    hidden = case_sets.hidden(world, suite, red.cases)
    named = [case for case in red.cases if case not in hidden]
    what = f"{len(named)} cases: {landing.some(named)}" if named else "held-out cases"
    return f"main is red in {suite} since {red.commit[:12]}, in {what}"


def relapsed(world: World, tx: Tx, suite: str) -> dict[str, int]:
    """Return how often each case turned red on main, of those that were green again in between."""
    counts = _turns(tx, suite)
    return {case: count for case, count in counts.items() if count >= RELAPSES_MIN}


def _keep(world: World, tx: Tx, suite: str, correction: Correction) -> None:
    kept = correction.red.to_json() if correction.red else None
    meta.put(tx, _red_name(suite), json.dumps(kept))
    if correction.lost:
        counts = _turns(tx, suite)
        for case in correction.lost:
            counts[case] = counts.pop(case, 0) + 1  # the newest are last: the oldest are forgotten first
        newest = dict(list(counts.items())[-COUNTED_MAX:])
        meta.put(tx, _turns_name(suite), json.dumps(newest))


def _record(world: World, tx: Tx, suite: str, commit: str, correction: Correction) -> None:
    """Write the events: cases that turned red, cases that are mended."""
    if correction.lost:
        assert correction.red is not None
        named = _named(world, suite, correction.lost)
        again = [case for case in relapsed(world, tx, suite) if case in named]
        more: dict[str, Any] = {"flaky": again} if again else {}
        world.record(
            tx,
            "main_red",
            suite=suite,
            commit=commit,
            cases=named,
            count=len(correction.lost),
            since=correction.red.commit,
            job=correction.red.job,
            **more,
        )
    if correction.mended:
        left = len(correction.red.cases) if correction.red else 0
        named = _named(world, suite, correction.mended)
        world.record(tx, "main_green", suite=suite, commit=commit, cases=named, left=left)


def _named(world: World, suite: str, cases: Iterable[str]) -> list[str]:
    """Return the first cases that may be named."""
    cases = list(cases)
    hidden = case_sets.hidden(world, suite, cases)
    return [case for case in cases if case not in hidden][:NAMED_MAX]


def _turns(tx: Tx, suite: str) -> dict[str, int]:
    counts: dict[str, int] = json.loads(meta.get(tx, _turns_name(suite)) or "{}")
    return counts


def _exempt(world: World, suite: str) -> frozenset[str]:
    return landing.exempt(world.config.suites[suite].flaky, world.today())


def _red_name(suite: str) -> str:
    return f"red {suite}"


def _turns_name(suite: str) -> str:
    return f"turned red {suite}"
