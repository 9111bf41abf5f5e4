"""Main's outcomes: which cases of a suite pass on a commit that is main. Rule: the ratchet measures against
them and nothing else.
"""

from collections.abc import Collection

from mcp_server.store import Tx
from mcp_server.store import jobs as rows
from mcp_server.store.jobs import Job
from mcp_server.use_cases.oracle import builds, case_sets, pace
from mcp_server.use_cases.oracle import jobs as oracle_jobs
from mcp_server.world import World

REMEASURE_MS = 60_000  # after so long a baseline whose runs all broke is tried again without anybody asking


def outcomes_at(world: World, suite: str, commit: str) -> dict[str, str] | None:
    """Return the outcomes of `suite` on `commit` by case; None if it has not been measured."""
    with world.store.read() as tx:
        return in_tx(world, tx, suite, commit)


def unmeasured(world: World, tx: Tx, repo: str, commit: str) -> list[str]:
    """Return the suites of a repository that have not been run on this commit of main."""
    measured = rows.with_baseline(tx, commit)
    return [name for name in world.suites_of(repo) if case_sets.spec_key(world, name) not in measured]


def in_tx(world: World, tx: Tx, suite: str, commit: str) -> dict[str, str] | None:
    """Return the same as `outcomes_at`, as a transaction sees it."""
    return rows.baseline(tx, case_sets.spec_key(world, suite), commit)


def contradictions_in_tx(world: World, tx: Tx, suite: str, commit: str) -> frozenset[str]:
    """Return the kinds of what the run of `suite` on `commit` said against itself."""
    return frozenset(rows.baseline_contradictions(tx, case_sets.spec_key(world, suite), commit))


def put(world: World, tx: Tx, suite: str, commit: str, job: Job, *, gone: Collection[str] = ()) -> None:
    """Write what a run of `suite` on the tree of `commit` has shown in its images as main's, but for the
    cases that are `gone`.
    """
    assert job.verdict is not None
    outcomes = {case: outcome for case, outcome in job.verdict["outcomes"].items() if case not in gone}
    kinds = sorted(contradiction["kind"] for contradiction in job.verdict.get("contradictions", ()))
    values = {"outcomes": outcomes, "contradictions": kinds}
    rows.put_baseline(tx, case_sets.spec_key(world, suite, image=job.image), commit, values)
    builds.note(tx, suite, job.verdict)
    pace.note(world, tx, job, commit)


def correct(world: World, tx: Tx, suite: str, commit: str, outcomes: dict[str, str]) -> None:
    """Write other outcomes of `suite` on `commit`."""
    rows.put_baseline(tx, case_sets.spec_key(world, suite), commit, {"outcomes": outcomes})


def of_main(world: World, suite: str) -> dict[str, str]:
    """Return the outcomes on the present main; none if it has not been measured yet."""
    return outcomes_at(world, suite, world.main(world.config.suites[suite].repo)) or {}


def measure(world: World, suite: str, main: str, *, again_before_ms: int) -> Job:
    """Ask for main's outcomes, and write them down once they are there. Return the run; one that broke is run
    again if it was asked for before `again_before_ms`.
    """
    request = oracle_jobs.JobRequest(suite, main, oracle_jobs.BASELINE)
    job = oracle_jobs.request(world, request, again=False)
    if oracle_jobs.is_broken(job) and job.queued_ms < again_before_ms:
        job = oracle_jobs.request(world, request)
    if job.state != rows.DONE or job.verdict is None or oracle_jobs.is_broken(job):
        return job
    with world.store.write() as tx:
        put(world, tx, suite, main, job)
        world.record(tx, "baseline", suite=suite, commit=main, counts=job.verdict["counts"])
    world.bell.ring()
    return job


def measure_main(world: World) -> None:
    """Ask for what is missing of every main, as the ticker does: it is measured before anybody pushes."""
    for repo in world.repos:
        main = world.main(repo)
        with world.store.read() as tx:
            missing = unmeasured(world, tx, repo, main)
        for name in missing:
            measure(world, name, main, again_before_ms=world.now_ms() - REMEASURE_MS)
