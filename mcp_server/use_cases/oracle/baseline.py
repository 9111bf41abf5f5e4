"""Main's outcomes: which cases of a suite pass on a commit that is main. The ratchet measures against them."""

from mcp_server.store import Tx
from mcp_server.store import jobs as rows
from mcp_server.store.jobs import Job
from mcp_server.use_cases.oracle import case_sets
from mcp_server.use_cases.oracle import jobs as oracle_jobs
from mcp_server.world import World

REMEASURE_MS = 60_000  # after so long a baseline whose runs all broke is tried again without anybody asking


def known(world: World, suite: str, commit: str) -> dict[str, str] | None:
    """Outcomes of `suite` on `commit`, or None where it has not been measured."""
    with world.store.read() as tx:
        return in_tx(world, tx, suite, commit)


def unmeasured(world: World, tx: Tx, repo: str, commit: str) -> list[str]:
    """The suites of a repository that have not been run on this commit of main."""
    known = rows.with_baseline(tx, commit)
    return [name for name in world.suites_of(repo) if case_sets.spec_key(world, name) not in known]


def in_tx(world: World, tx: Tx, suite: str, commit: str) -> dict[str, str] | None:
    return rows.baseline(tx, case_sets.spec_key(world, suite), commit)


def put(world: World, tx: Tx, suite: str, commit: str, outcomes: dict[str, str]) -> None:
    rows.put_baseline(tx, case_sets.spec_key(world, suite), commit, outcomes)


def of_main(world: World, suite: str) -> dict[str, str]:
    """Outcomes on the present main; empty where it has not been measured yet."""
    return known(world, suite, world.main(world.config.suites[suite].repo)) or {}


def measure(world: World, suite: str, main: str, *, again_before_ms: int) -> Job:
    """Asks for main's outcomes, and writes them down once they are there. One that broke is run again if it
    was asked for before that time.
    """
    wanted = oracle_jobs.JobRequest(suite, main, oracle_jobs.BASELINE)
    job = oracle_jobs.request(world, wanted, again=False)
    if oracle_jobs.is_broken(job) and job.queued_ms < again_before_ms:
        job = oracle_jobs.request(world, wanted)
    if job.state != rows.DONE or job.verdict is None or oracle_jobs.is_broken(job):
        return job
    with world.store.write() as tx:
        put(world, tx, suite, main, job.verdict["outcomes"])
        world.record(tx, "baseline", suite=suite, commit=main, counts=job.verdict["counts"])
    world.bell.ring()
    return job


def measure_main(world: World) -> None:
    """What the ticker does: main is measured before anybody pushes."""
    for repo in world.repos:
        main = world.main(repo)
        with world.store.read() as tx:
            missing = unmeasured(world, tx, repo, main)
        for name in missing:
            measure(world, name, main, again_before_ms=world.now_ms() - REMEASURE_MS)
