"""How long main's suites take: a part of main's record, against which changes are held.

Rule: only runs of main's own tree count, each as its outcomes become main's. State: one meta value a suite.
"""

import json
from typing import Any

from mcp_server.core import duration
from mcp_server.store import Tx, meta
from mcp_server.store.jobs import Job
from mcp_server.use_cases.oracle import case_sets
from mcp_server.world import World

RUNS_KEPT = 10  # of main, by which it is told that a suite has become slower


def note(world: World, tx: Tx, job: Job, commit: str) -> None:
    """Write down how long a run took whose outcomes are main's at `commit`."""
    run_ms = _run_ms(job)
    if run_ms:
        runs = [*_runs(world, tx, job.suite), {"commit": commit, "ms": run_ms}]
        meta.put(tx, _name(world, job.suite), json.dumps(runs[-RUNS_KEPT:]))


def main_ms(world: World, tx: Tx, suite: str) -> int:
    """Return how long the suite took on main when it was run there last; 0 if nobody knows."""
    runs = _runs(world, tx, suite)
    return int(runs[-1]["ms"]) if runs else 0


def slower(world: World, tx: Tx, job: Job) -> str:
    """Return in words that a whole run takes much longer than main's last one; "" if it does not."""
    before_ms, run_ms = main_ms(world, tx, job.suite), _run_ms(job)
    if not duration.is_slower(before_ms, run_ms, world.config.suites[job.suite].slow_factor):
        return ""
    return duration.sentence(job.suite, before_ms, run_ms)


def slowdown(world: World, suite: str) -> str:
    """Return in words that the suite has become much slower on main lately; "" if it has not."""
    with world.store.read() as tx:
        runs = _runs(world, tx, suite)
    if not runs:
        return ""
    fastest, newest = min(runs, key=lambda run: int(run["ms"])), runs[-1]
    if not duration.is_slower(fastest["ms"], newest["ms"], world.config.suites[suite].slow_factor):
        return ""
    return (
        f"the oracle {suite} takes {duration.seconds(newest['ms'])} on main; "
        f"at {fastest['commit'][:12]} it took {duration.seconds(fastest['ms'])}"
    )


def _run_ms(job: Job) -> int:
    return int((job.verdict or {}).get("run_ms", 0))


def _runs(world: World, tx: Tx, suite: str) -> list[dict[str, Any]]:
    runs: list[dict[str, Any]] = json.loads(meta.get(tx, _name(world, suite)) or "[]")
    return runs


def _name(world: World, suite: str) -> str:
    return f"pace {case_sets.spec_key(world, suite)}"
