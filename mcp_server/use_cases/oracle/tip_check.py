"""The tip check: where no run has seen main's newest tree as a whole, every suite is run on it afresh once
nobody else needs a runner.

A suite that is contradicted twice is red: its outcomes on main are corrected, what was remembered of them is
forgotten, and until it is green again its runs are known by the whole tree, so that nothing lands without
one. State: two meta values.
"""

import json
import secrets
from dataclasses import asdict, dataclass, field, fields, replace

from mcp_server.core import landing
from mcp_server.store import Tx, meta
from mcp_server.store import jobs as job_rows
from mcp_server.store import submissions as rows
from mcp_server.use_cases.oracle import baseline, case_sets
from mcp_server.use_cases.oracle import jobs as oracle_jobs
from mcp_server.world import World

NAMED_MAX = 50  # cases in an event


@dataclass(frozen=True)
class TipCheck:
    """How far the check of `commit` has come: the run asked for last and its suite, the suites still to be
    run, and the cases that the suite's first run contradicted, while it is run again."""

    commit: str
    suite: str = ""
    job: int | None = None
    left: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)


def load(world: World) -> None:
    """What is red since an earlier start: {"commit", "cases", "count"} by suite; held-out cases are only
    counted.
    """
    with world.store.read() as tx:
        found = {name: json.loads(meta.get(tx, f"red {name}") or "null") for name in world.config.suites}
    world.red.update({name: told for name, told in found.items() if told is not None})


def look(world: World) -> None:
    """What the ticker does. A tip is checked once, suite by suite, so that of all runners it never keeps more
    than one busy; the next run is asked for only while nothing is in the gate."""
    for repo in world.repos if world.config.run.tip_check else ():
        tip = world.main(repo)
        with world.store.read() as tx:
            known, idle = _known(tx, repo), not rows.pending(tx)
        if known and known.job is not None and known.commit == tip:
            _judge(world, repo, known)
        elif idle and (known is None or known.commit != tip):
            _next(
                world, repo, TipCheck(tip, left=_due(world, repo, tip, after=known.suite if known else None))
            )
        elif idle and known is not None and known.left:
            _next(world, repo, known)


def _known(tx: Tx, repo: str) -> TipCheck | None:
    told = json.loads(meta.get(tx, f"tip {repo}") or "{}")
    return TipCheck(**told) if told.keys() == {field.name for field in fields(TipCheck)} else None


def _due(world: World, repo: str, tip: str, *, after: str | None) -> list[str]:
    """All suites, or only those that are red where runs have seen this tree as a whole. They take turns: main
    may move before all have been run.
    """
    suites = world.suites_of(repo)
    at = suites.index(after) + 1 if after in suites else 0
    suites = suites[at:] + suites[:at]
    return [name for name in suites if name in world.red] if _is_covered(world, repo, tip) else suites


def _is_covered(world: World, repo: str, tip: str) -> bool:
    """Whether every suite was run on exactly this tree; one that did not land here was measured as it is."""
    with world.store.read() as tx:
        landed = rows.landed_as(tx, tip)
        jobs = [job for id in landed.jobs.values() if (job := job_rows.get(tx, id))] if landed else []
    tree_of = world.repos[repo].objects.tree_of
    return all(tree_of(job.commit) == tree_of(tip) for job in jobs)


def _next(world: World, repo: str, known: TipCheck) -> None:
    """Asks for the next run of a check, if one is left."""
    if known.left:
        wanted = oracle_jobs.JobRequest(
            known.left[0], known.commit, oracle_jobs.TIP, nonce=f"tip {secrets.token_hex(8)}"
        )
        known = replace(
            known, suite=known.left[0], job=oracle_jobs.request(world, wanted).id, left=known.left[1:]
        )
    _put(world, repo, known)


def _put(world: World, repo: str, known: TipCheck) -> None:
    with world.store.write() as tx:
        meta.put(tx, f"tip {repo}", json.dumps(asdict(known)))


def _judge(world: World, repo: str, known: TipCheck) -> None:
    """Once its run has ended. What it contradicts is run once more before it is believed."""
    with world.store.read() as tx:
        job = job_rows.get(tx, known.job)
    if job is None or job.state != job_rows.DONE:
        return
    suite, before, again = known.suite, set(known.lost), []
    if job.verdict and not oracle_jobs.is_broken(job):
        lost = _lost(world, suite, known.commit, job.verdict["outcomes"])
        if confirmed := sorted(before & set(lost)):
            _redden(world, suite, known.commit, confirmed)
        elif not lost:
            _whiten(world, suite, known.commit)
        again = lost if lost and not before else []
    left = [suite, *known.left] if again else known.left
    _put(world, repo, replace(known, job=None, left=left, lost=again))


def _lost(world: World, suite: str, tip: str, outcomes: dict[str, str]) -> list[str]:
    """Cases that are on record as passing there, and do not."""
    on_record = baseline.known(world, suite, tip) or {}
    exempt = landing.exempt(world.config.suites[suite].flaky, world.today())
    return sorted(
        case
        for case, outcome in on_record.items()
        if outcome == "pass" and outcomes.get(case) != "pass" and case not in exempt
    )


def _redden(world: World, suite: str, tip: str, cases: list[str]) -> None:
    wanted = oracle_jobs.JobRequest(suite, tip, oracle_jobs.TIP)
    on_record = baseline.known(world, suite, tip) or {}
    hidden = case_sets.hidden(world, suite, cases)
    seen = [case for case in cases if case not in hidden]
    told = {"commit": tip, "cases": seen[:NAMED_MAX], "count": len(cases)}
    oracle_jobs.forget(world, wanted, set(cases))
    with world.store.write() as tx:
        baseline.put(world, tx, suite, tip, on_record | dict.fromkeys(cases, "fail"))
        meta.put(tx, f"red {suite}", json.dumps(told))
        world.record(tx, "main_red", suite=suite, **told)
    world.red[suite] = told
    world.bell.ring()


def _whiten(world: World, suite: str, tip: str) -> None:
    if suite not in world.red:
        return
    with world.store.write() as tx:
        meta.put(tx, f"red {suite}", "null")
        world.record(tx, "main_green", suite=suite, commit=tip)
    del world.red[suite]
    world.bell.ring()
