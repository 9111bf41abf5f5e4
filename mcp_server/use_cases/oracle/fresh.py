"""Fresh runs of main that a person asked for: what they show is main's record from then on.

Rule: state is one meta value a suite, so that a run which ends while nobody looks is taken up later.
"""

import json
import secrets

from mcp_server.store import Tx, meta
from mcp_server.store import jobs as job_rows
from mcp_server.store.jobs import Job
from mcp_server.use_cases.oracle import baseline, red
from mcp_server.use_cases.oracle import jobs as oracle_jobs
from mcp_server.world import World


def ask(world: World, suite: str, commit: str) -> Job:
    """Return a new run of every case, whatever is known of it. One of main is taken up by `look`."""
    nonce = f"fresh {secrets.token_hex(8)}"
    job = oracle_jobs.request(world, oracle_jobs.JobRequest(suite, commit, oracle_jobs.AUDIT, nonce=nonce))
    if commit == world.main(job.repo):
        with world.store.write() as tx:
            _keep(tx, suite, [*_kept(tx, suite), job.id])
    return job


def look(world: World) -> None:
    """Take up what fresh runs of main have shown since. Main may have moved on: then they are of the past."""
    for suite in world.config.suites:
        with world.store.read() as tx:
            jobs = [job for id in _kept(tx, suite) if (job := job_rows.get(tx, id))]
        done = [job for job in jobs if job.state == job_rows.DONE]
        for job in done:
            _see(world, suite, job)
        if done:
            with world.store.write() as tx:
                seen = {job.id for job in done}
                _keep(tx, suite, [id for id in _kept(tx, suite) if id not in seen])


def _see(world: World, suite: str, job: Job) -> None:
    if oracle_jobs.is_broken(job) or oracle_jobs.is_outdated(world, job):
        return
    if job.commit != world.main(job.repo):
        return
    assert job.verdict is not None
    record = baseline.outcomes_at(world, suite, job.commit) or {}
    red.see(world, suite, job.commit, red.whole(record, job.verdict["outcomes"]), job.id)


def _kept(tx: Tx, suite: str) -> list[int]:
    ids: list[int] = json.loads(meta.get(tx, _name(suite)) or "[]")
    return ids


def _keep(tx: Tx, suite: str, ids: list[int]) -> None:
    meta.put(tx, _name(suite), json.dumps(ids))


def _name(suite: str) -> str:
    return f"fresh runs {suite}"
