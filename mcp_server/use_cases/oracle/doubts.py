"""Runs of main itself, asked for before a change is blamed for cases that main is on record to pass.

Rule: a doubt answers for a run of a candidate only if it began after that run had ended; else main could have
turned red between the two. So whoever asks joins one that still waits for a runner, and never one that runs.
"""

import secrets
from collections.abc import Collection

from mcp_server.store import Tx, meta
from mcp_server.store import jobs as job_rows
from mcp_server.store.jobs import Job
from mcp_server.use_cases.oracle import jobs as oracle_jobs
from mcp_server.world import World


def ask(world: World, of: Job, base: str, cases: Collection[str], *, since_ms: int) -> Job:
    """Return the run of these cases on main at `base` that answers for the finished run `of`. One that broke
    answers for nothing any more: whoever asks again gets a new one.
    """
    with world.store.read() as tx:
        own = _doubt(tx, _own_name(of.id), base, cases)
        waiting = _doubt(tx, _newest_name(of.suite), base, cases)
    if own is not None:
        if oracle_jobs.is_broken(own):
            _note(world, {_own_name(of.id): ""})
        return own
    if waiting is None or waiting.state != job_rows.QUEUED:
        request = oracle_jobs.JobRequest(
            of.suite,
            base,
            oracle_jobs.GATE,
            case_ids=tuple(sorted(cases)),
            nonce=f"doubt {secrets.token_hex(8)}",
            since_ms=since_ms,
        )
        waiting = oracle_jobs.request(world, request)
    _note(world, {_own_name(of.id): str(waiting.id), _newest_name(of.suite): str(waiting.id)})
    return waiting


def under_way(tx: Tx, of: Collection[int]) -> list[int]:
    """Return the doubts that are not done yet, of those that answer for these runs."""
    ids = [int(kept) for id in of if (kept := meta.get(tx, _own_name(id)))]
    return [id for id, state in job_rows.states(tx, ids).items() if state != job_rows.DONE]


def _doubt(tx: Tx, name: str, base: str, cases: Collection[str]) -> Job | None:
    """Return the doubt that is kept under this name if it is of all these cases on this commit. One of a
    command suite, whose job names no case, is of all there are.
    """
    kept = meta.get(tx, name)
    job = job_rows.get(tx, int(kept)) if kept else None
    if job is None or job.commit != base or not (not job.todo or set(cases) <= set(job.todo)):
        return None
    return job


def _note(world: World, ids: dict[str, str]) -> None:
    with world.store.write() as tx:
        for name, id in ids.items():
            meta.put(tx, name, id)


def _own_name(job: int) -> str:
    return f"doubt of {job}"


def _newest_name(suite: str) -> str:
    return f"newest doubt of {suite}"
