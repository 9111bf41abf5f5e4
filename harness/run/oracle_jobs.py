"""Owns waiting for oracle jobs, and the proof before a run that every oracle can fail.

Rule: a job is asked after, never held; broken is neither passed nor failed.
"""

import itertools
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from harness.client import ServerClient
from harness.failure import Exit, VerbFailed
from harness.show.table import red_words
from mcp_server.wire.jobs import HeldOutFailure
from mcp_server.wire.tasks import TasksFromOracle
from oracle.judging.verdict import BROKEN, FAILED, PASSED, Verdict
from oracle.suites.base import CANARY_ENGINE

WAIT_S = 20.0  # for which the server is asked to wait with its answer
POLL_S = 0.05
MAIN_MOVES_MAX = 10
JOB_MAX_S = 1800.0  # above any run_timeout_s in use, so that a lost runner ends the wait

HELD_OUT = "held_out_failing"


@dataclass(frozen=True)
class JudgedJob:
    """A job that is done: its verdict, and the held-out cases that fail."""

    verdict: Verdict
    held_out_failing: tuple[HeldOutFailure, ...] = ()
    number: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the verdict's JSON, with the held-out cases that fail if there are any."""
        value = self.verdict.to_json()
        if self.held_out_failing:
            value[HELD_OUT] = [case.render() for case in self.held_out_failing]
        return value


def wait(client: ServerClient, job: int, *, max_s: float = JOB_MAX_S) -> JudgedJob:
    """Return the job once it has a verdict; raise VerbFailed if that takes longer than `max_s`."""
    deadline = time.monotonic() + max_s
    while time.monotonic() < deadline:
        job_state = client.job(job, wait_s=WAIT_S)
        if job_state.verdict is not None:
            return JudgedJob(job_state.verdict, job_state.held_out_failing, job)
        time.sleep(POLL_S)
    message = f"oracle job {job} has no verdict after {max_s:.0f} s; is a runner up?"
    raise VerbFailed(message, Exit.INFRASTRUCTURE)


def prove(client: ServerClient, *, say: Callable[[str], None]) -> None:
    """Have every suite's oracle catch every planted wrong engine; raise VerbFailed if one does not."""
    status = client.status()
    for warning in status.warnings:
        say(f"warning: {warning}")
    for name, on_main in status.suites.items():
        if on_main.red is not None:
            say(f"warning: oracle {name}: {red_words(on_main.red)}")
    unproven = sorted(name for name, suite in status.suites.items() if not suite.checked)
    if not unproven:
        return
    say(f"checking that the oracle can fail: {', '.join(unproven)}")
    for suite, job, verdict in check_all(client):
        if verdict.status != PASSED:
            exit = Exit.FAILED if verdict.status == FAILED else Exit.INFRASTRUCTURE
            raise VerbFailed(_toothless(suite, verdict) + log_hint(job, verdict), exit)
        say(f"oracle {suite}: {teeth(verdict)}")


def check_all(client: ServerClient) -> list[tuple[str, int, Verdict]]:
    """Start the check of every suite, and return each with its job and its verdict."""
    checks = client.check_oracle()
    return [(check.suite, check.job, wait(client, check.job).verdict) for check in checks]


def log_hint(job: int, verdict: Verdict) -> str:
    """Return how to see all that a run printed, as a line of its own; "" where nothing was kept."""
    return f"\n`harness oracle log {job}` prints the whole output" if verdict.log else ""


def run_many(
    client: ServerClient, pairs: Sequence[tuple[str, str | None]], *, fresh: bool, at_once: int
) -> list[JudgedJob]:
    """Return the verdicts of (suite, commit) pairs in their order, `at_once` jobs under way at most."""

    def judge(pair: tuple[str, str | None]) -> JudgedJob:
        suite, commit = pair
        return wait(client, client.run_oracle(suite, commit, fresh=fresh)[suite])

    with ThreadPoolExecutor(max_workers=at_once) as pool:
        return list(pool.map(judge, pairs))


@dataclass(frozen=True)
class Repeated:
    """What several fresh runs of one suite on one commit have shown."""

    runs: Sequence[JudgedJob]

    @property
    def judged(self) -> Sequence[JudgedJob]:
        """The runs that were not broken."""
        return [run for run in self.runs if run.verdict.status != BROKEN]

    def flaky(self) -> dict[str, int]:
        """Return the cases whose outcomes differ, each with the number of runs in which it did not pass."""
        runs, passes = len(self.judged), Counter[str]()
        cases = set()
        for run in self.judged:
            outcomes = run.verdict.outcomes
            cases |= set(outcomes)
            passes.update(case for case, outcome in outcomes.items() if outcome == "pass")
        return {case: runs - passes[case] for case in sorted(cases) if 0 < passes[case] < runs}

    def places(self) -> dict[str, str]:
        """Return file and line of held-out cases, whose ids tell nothing."""
        return {case.id: f"{case.file}:{case.line}" for run in self.judged for case in run.held_out_failing}


def repeat(
    client: ServerClient, suites: Sequence[str], commit: str | None, *, times: int, at_once: int
) -> dict[str, Repeated]:
    """Run each suite so many times, without the cache of verdicts, all on the commit that the first of them
    was on.
    """
    first = {name: client.run_oracle(name, commit, fresh=True)[name] for name in suites}
    more = [(name, client.job(job).commit) for name, job in first.items() for _ in range(times - 1)]
    rest = iter(run_many(client, more, fresh=True, at_once=at_once))
    return {
        name: Repeated([*itertools.islice(rest, times - 1), wait(client, job)]) for name, job in first.items()
    }


def tasks(
    client: ServerClient, suite: str | None, module: str | None, *, limit: int | None, dry_run: bool
) -> TasksFromOracle:
    """Make tasks from what fails on main, which is run first, and again if main moves meanwhile. Return what
    that changed.
    """
    client.run_oracle(suite)
    for _ in range(MAIN_MOVES_MAX):
        changes = client.tasks_from_oracle(suite, module, limit=limit, dry_run=dry_run)
        if not changes.running:
            return changes
        for job in changes.running.values():
            wait(client, job)
    raise VerbFailed(f"main moved {MAIN_MOVES_MAX} times while it was run; try again")


def teeth(verdict: Verdict) -> str:
    """Return how many of the planted wrong engines were caught, in words."""
    planted = verdict.planted or ()
    caught = sum(1 for engine in planted if engine.get("caught"))
    return f"{caught} of {len(planted)} planted wrong engines caught"


def _toothless(suite: str, verdict: Verdict) -> str:
    if verdict.status == BROKEN:
        reason = verdict.reason or "no reason given"
        return f"oracle {suite} could not be checked, so nothing was started: {reason}"
    missed = [engine.get("engine", "?") for engine in verdict.planted or () if not engine.get("caught")]
    if missed == [CANARY_ENGINE]:
        return f"oracle {suite} cannot be trusted: {verdict.reason}; so nothing was started"
    named = ", ".join(missed) or verdict.reason or "no engine"
    return (
        f"oracle {suite} cannot fail: it did not catch {named}; "
        "a swarm would land anything, so nothing was started"
    )
