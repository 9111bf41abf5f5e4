"""Owns waiting for oracle jobs, and the proof before a run that every oracle can fail.

Rule: a job is asked after, never held; broken is neither passed nor failed.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from harness.failure import Exit, Failed
from harness.server import ServerClient

POLL_S = 0.2
JOB_MAX_S = 1800.0  # above any run_timeout_s in use, so that a lost runner ends the wait

Json = dict[str, Any]


def wait(client: ServerClient, job: int, *, max_s: float = JOB_MAX_S) -> Json:
    """The verdict of the job; raises Failed when it takes longer than `max_s`."""
    deadline = time.monotonic() + max_s
    while time.monotonic() < deadline:
        seen = client.job(job)
        if seen.get("verdict"):
            return seen["verdict"]
        time.sleep(POLL_S)
    raise Failed(f"oracle job {job} has no verdict after {max_s:.0f} s; is a runner up?", Exit.INFRASTRUCTURE)


def prove(client: ServerClient, *, say: Callable[[str], None]) -> None:
    """Every suite's oracle must catch every planted wrong engine, or nothing starts."""
    unproven = sorted(name for name, suite in client.status().get("suites", {}).items() if not suite.get("checked"))
    if not unproven:
        return
    say(f"checking that the oracle can fail: {', '.join(unproven)}")
    for suite, verdict in check_all(client):
        if verdict["status"] != "passed":
            raise Failed(_toothless(suite, verdict), Exit.FAILED if verdict["status"] == "failed" else Exit.INFRASTRUCTURE)
        say(f"oracle {suite}: {teeth(verdict)}")


def check_all(client: ServerClient) -> list[tuple[str, Json]]:
    """Starts the check of every suite and waits for all verdicts."""
    jobs = client.check_oracle()
    return [(started["suite"], wait(client, started["job"])) for started in jobs]


def run_many(client: ServerClient, asked: Sequence[tuple[str, str | None]], *, fresh: bool, at_once: int) -> list[Json]:
    """The verdicts of (suite, commit) pairs in their order, `at_once` jobs under way at most."""

    def one(pair: tuple[str, str | None]) -> Json:
        suite, commit = pair
        return wait(client, client.run_oracle(suite, commit, fresh=fresh)[suite])

    with ThreadPoolExecutor(max_workers=at_once) as pool:
        return list(pool.map(one, asked))


def teeth(verdict: Json) -> str:
    planted = verdict.get("planted", [])
    caught = sum(1 for engine in planted if engine.get("caught"))
    return f"{caught} of {len(planted)} planted wrong engines caught"


def _toothless(suite: str, verdict: Json) -> str:
    if verdict["status"] == "broken":
        return f"oracle {suite} could not be checked: {verdict.get('reason') or 'no reason given'}"
    missed = [engine.get("engine", "?") for engine in verdict.get("planted", []) if not engine.get("caught")]
    named = ", ".join(missed) or verdict.get("reason") or "no engine"
    return f"oracle {suite} cannot fail: it did not catch {named}; a swarm would land anything, so nothing was started"
