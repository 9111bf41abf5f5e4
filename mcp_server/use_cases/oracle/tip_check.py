"""The tip check: where no run has seen main's newest tree as a whole, every suite is run on it afresh once
nobody else needs a runner.

A suite that is contradicted twice is red: its outcomes on main are corrected, what was remembered of them is
forgotten, and until it is green again its runs are known by the whole tree, so that nothing lands without
one. State: one meta value.
"""

import json
import secrets
from dataclasses import asdict, dataclass, field, fields, replace

from mcp_server.store import Tx, meta
from mcp_server.store import jobs as job_rows
from mcp_server.store import submissions as rows
from mcp_server.store.jobs import Job
from mcp_server.use_cases.oracle import baseline, red
from mcp_server.use_cases.oracle import jobs as oracle_jobs
from mcp_server.world import World


@dataclass(frozen=True)
class TipCheck:
    """How far the check of `commit` has come: the run asked for last and its suite, the suites still to be
    run, and the cases that the suite's first run contradicted, while it is run again.
    """

    commit: str
    suite: str = ""
    job: int | None = None
    left: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)


def look(world: World) -> None:
    """Take one step of every repository's check, as the ticker does.

    A tip is checked once, suite by suite, so that of all runners it never keeps more than one busy; the next
    run is asked for only while nothing is in the gate.
    """
    for repo in world.repos if world.config.run.tip_check else ():
        tip = world.main(repo)
        with world.store.read() as tx:
            check, is_idle = _get(tx, repo), not rows.pending(tx)
        if check and check.job is not None and check.commit == tip:
            _judge(world, repo, check)
        elif is_idle and (check is None or check.commit != tip):
            left = _due(world, repo, tip, after=check.suite if check else None)
            _ask_next(world, repo, TipCheck(tip, left=left))
        elif is_idle and check is not None and check.left:
            _ask_next(world, repo, check)


def _get(tx: Tx, repo: str) -> TipCheck | None:
    """Return how far the check of a repository has come; None if there is none that can be read."""
    stored = json.loads(meta.get(tx, f"tip {repo}") or "{}")
    return TipCheck(**stored) if stored.keys() == {field.name for field in fields(TipCheck)} else None


def _due(world: World, repo: str, tip: str, *, after: str | None) -> list[str]:
    """Return all suites, or only those that are red if runs have seen this tree as a whole. They take turns:
    main may move before all have been run.
    """
    suites = world.suites_of(repo)
    at = suites.index(after) + 1 if after in suites else 0
    suites = suites[at:] + suites[:at]
    return [name for name in suites if name in world.red] if _is_covered(world, repo, tip) else suites


def _is_covered(world: World, repo: str, tip: str) -> bool:
    """Return True if every suite was run on exactly this tree; one that did not land here was measured as it
    is.
    """
    with world.store.read() as tx:
        landed = rows.landed_as(tx, tip)
        jobs = [job for id in landed.jobs.values() if (job := job_rows.get(tx, id))] if landed else []
    tree_of = world.repos[repo].objects.tree_of
    return all(tree_of(job.commit) == tree_of(tip) for job in jobs)


def _ask_next(world: World, repo: str, check: TipCheck) -> None:
    """Ask for the next run of a check, if one is left."""
    if check.left:
        suite, *left = check.left
        request = oracle_jobs.JobRequest(
            suite, check.commit, oracle_jobs.TIP, nonce=f"tip {secrets.token_hex(8)}"
        )
        check = replace(check, suite=suite, job=oracle_jobs.request(world, request).id, left=left)
    _put(world, repo, check)


def _put(world: World, repo: str, check: TipCheck) -> None:
    with world.store.write() as tx:
        meta.put(tx, f"tip {repo}", json.dumps(asdict(check)))


def _judge(world: World, repo: str, check: TipCheck) -> None:
    """Judge a run that has ended. What it contradicts is run once more before it is believed."""
    assert check.job is not None
    with world.store.read() as tx:
        job = job_rows.get(tx, check.job)
    if job is None or job.state != job_rows.DONE:
        return
    suite, before = check.suite, set(check.lost)
    again: list[str] = []
    if job.verdict and not oracle_jobs.is_broken(job) and not oracle_jobs.is_outdated(world, job):
        outcomes = job.verdict["outcomes"]
        lost = red.lost(world, suite, check.commit, outcomes)
        if not lost or before.intersection(lost):
            _see(world, suite, check.commit, job, unsure=set(lost) - before)
        again = lost if not before else []
    left = [suite, *check.left] if again else check.left
    _put(world, repo, replace(check, job=None, left=left, lost=again))


def _see(world: World, suite: str, tip: str, job: Job, unsure: set[str]) -> None:
    """Write down what a run has shown of the tip, but for the cases that only this one run contradicted."""
    assert job.verdict is not None
    record = baseline.outcomes_at(world, suite, tip) or {}
    outcomes = red.whole(record, job.verdict["outcomes"])
    sure = {case: outcome for case, outcome in outcomes.items() if case not in unsure}
    red.see(world, suite, tip, sure, job.id)
