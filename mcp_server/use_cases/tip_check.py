"""The tip check: where no run has seen main's newest tree as a whole, every suite is run on it afresh once nobody else needs a runner.

A suite that is contradicted twice is red: its outcomes on main are corrected, what was remembered of them is forgotten, and
until it is green again its runs are known by the whole tree, so that nothing lands without one. State: two meta values.
"""

import json
import secrets

from mcp_server.core import landing
from mcp_server.store import Tx, meta
from mcp_server.store import jobs as job_rows
from mcp_server.store import submissions as rows
from mcp_server.use_cases import baseline, case_sets, oracle_jobs
from mcp_server.world import World

NAMED_MAX = 50  # cases in an event


def look(world: World) -> None:
    """What the ticker does. A tip is checked once, and begun only while nothing is in the gate."""
    for repo in world.repos if world.config.run.tip_check else ():
        tip = world.main(repo)
        with world.store.read() as tx:
            known, idle = _known(tx, repo), not rows.pending(tx)
        if known.get("commit") == tip:
            _judge(world, repo, known)
        elif idle:
            suites = world.suites_of(repo)
            _ask(world, repo, tip, [name for name in suites if is_red(world, name)] if _is_covered(world, repo, tip) else suites, {})


def _known(tx: Tx, repo: str) -> dict:
    """{"commit", "jobs": {suite: job}, "first": {suite: cases that failed in the first run}}, or nothing yet."""
    return json.loads(meta.get(tx, f"tip {repo}") or "{}")


def _is_covered(world: World, repo: str, tip: str) -> bool:
    """Whether every suite was run on exactly this tree; one that did not land here was measured as it is."""
    with world.store.read() as tx:
        landed = rows.landed_as(tx, tip)
        jobs = [job for id in landed.jobs.values() if (job := job_rows.get(tx, id))] if landed else []
    tree_of = world.repos[repo].tree_of
    return all(tree_of(job.commit) == tree_of(tip) for job in jobs)


def _ask(world: World, repo: str, tip: str, suites: list[str], first: dict[str, list[str]]) -> None:
    jobs = {}
    for name in suites:
        wanted = oracle_jobs.Wanted(name, tip, oracle_jobs.TIP, nonce=f"tip {secrets.token_hex(8)}")
        jobs[name] = oracle_jobs.request(world, wanted).id
    with world.store.write() as tx:
        meta.put(tx, f"tip {repo}", json.dumps({"commit": tip, "jobs": jobs, "first": first}))


def _judge(world: World, repo: str, known: dict) -> None:
    """Once all runs have ended. Those with a contradiction are run once more before they are believed."""
    with world.store.read() as tx:
        jobs = {name: job for name, id in known["jobs"].items() if (job := job_rows.get(tx, id))}
    if not jobs or any(job.state != job_rows.DONE for job in jobs.values()):
        return
    tip, first = known["commit"], known["first"]
    outcomes = {name: job.verdict["outcomes"] for name, job in jobs.items() if job.verdict and not oracle_jobs.is_broken(job)}
    lost = {name: _lost(world, name, tip, told) for name, told in outcomes.items()}
    for name, cases in lost.items():
        if confirmed := sorted(set(cases) & set(first.get(name, ()))):
            _redden(world, name, tip, confirmed)
        elif not cases:
            _whiten(world, name, tip)
    _ask(world, repo, tip, [name for name, cases in lost.items() if cases and name not in first], lost)


def _lost(world: World, suite: str, tip: str, outcomes: dict[str, str]) -> list[str]:
    """Cases that are on record as passing there, and do not."""
    on_record = baseline.known(world, suite, tip) or {}
    exempt = landing.exempt(world.config.suites[suite].flaky, world.today())
    return sorted(case for case, outcome in on_record.items() if outcome == "pass" and outcomes.get(case) != "pass" and case not in exempt)


def _redden(world: World, suite: str, tip: str, cases: list[str]) -> None:
    wanted = oracle_jobs.Wanted(suite, tip, oracle_jobs.TIP)
    on_record = baseline.known(world, suite, tip) or {}
    hidden = case_sets.hidden(world, suite, cases)
    seen = [case for case in cases if case not in hidden]
    told = {"commit": tip, "cases": seen[:NAMED_MAX], "count": len(cases)}
    oracle_jobs.forget(world, wanted, set(cases))
    with world.store.write() as tx:
        baseline.put(world, tx, suite, tip, on_record | dict.fromkeys(cases, "fail"))
        meta.put(tx, oracle_jobs.red_name(suite), json.dumps(told))
        world.record(tx, "main_red", suite=suite, **told)
    world.bell.ring()


def _whiten(world: World, suite: str, tip: str) -> None:
    if not is_red(world, suite):
        return
    with world.store.write() as tx:
        meta.put(tx, oracle_jobs.red_name(suite), "")
        world.record(tx, "main_green", suite=suite, commit=tip)
    world.bell.ring()


def is_red(world: World, suite: str) -> bool:
    return red(world, suite) is not None


def red(world: World, suite: str) -> dict | None:
    """{"commit", "cases", "count"} of a suite that was contradicted and has not been green since; held-out cases are only counted."""
    with world.store.read() as tx:
        return json.loads(meta.get(tx, oracle_jobs.red_name(suite)) or "null")
