"""Leases in the database, and the one counter that fences come from."""

import json
from functools import lru_cache
from typing import Any

from sqlalchemy import bindparam, func, insert, select, update

from mcp_server.core.lease import Lease
from mcp_server.store import Tx, meta
from mcp_server.store.schema import leases
from mcp_server.store.statement import Statement

FENCE = "fence"
UNENDED = "leases that have not ended"  # by fence, oldest first: what the writer caches
ROWS_MAX = 10_000  # every look at the open leases reads them all, and only its own changes
ADD = Statement(insert(leases))
PUT = Statement(update(leases).where(leases.c.fence == bindparam("of")))
GET = Statement(select(leases).where(leases.c.fence == bindparam("of")))
OPEN = Statement(select(leases).where(leases.c.ended_ms.is_(None)).order_by(leases.c.fence))
AT = Statement(
    select(leases)
    .where(
        leases.c.agent == bindparam("of"),
        leases.c.granted_ms <= bindparam("ms"),
        leases.c.ended_ms.is_(None) | (leases.c.ended_ms >= bindparam("ms")),
    )
    .order_by(leases.c.fence.desc())
    .limit(1)
)
OF_TASK = Statement(select(leases).where(leases.c.task == bindparam("of")).order_by(leases.c.fence))


def next_fence(tx: Tx) -> int:
    """Take the next fence: one more than any before, never reset, rolled back with its transaction."""
    fence = int(meta.get(tx, FENCE) or 0) + 1
    meta.put(tx, FENCE, str(fence))
    return fence


def add(tx: Tx, lease: Lease) -> None:
    tx.run(ADD, _values(lease))
    _update_cache(tx, lease)


def put(tx: Tx, lease: Lease) -> None:
    tx.run(PUT, _values(lease) | {"of": lease.fence})
    _update_cache(tx, lease)


def get(tx: Tx, fence: int) -> Lease | None:
    row = tx.run(GET, {"of": fence}).fetchone()
    return _lease(row) if row else None


def open_ones(tx: Tx) -> list[Lease]:
    """Return the leases that are not written as ended, oldest first; some may be past their time."""
    return list(_unended(tx).values())


def of_agent(tx: Tx, agent: str) -> Lease | None:
    """Return the newest lease of an agent that is not written as ended."""
    newest_first = reversed(_unended(tx).values())
    return next((lease for lease in newest_first if lease.agent == agent), None)


def at(tx: Tx, agent: str, ms: int) -> Lease | None:
    """Return the lease that an agent held at that time, whatever has become of it."""
    row = tx.run(AT, {"of": agent, "ms": ms}).fetchone()
    return _lease(row) if row else None


def of_task(tx: Tx, task: str) -> list[Lease]:
    return [_lease(row) for row in tx.run(OF_TASK, {"of": task})]


def _unended(tx: Tx) -> dict[int, Lease]:
    def read() -> dict[int, Lease]:
        return {lease.fence: lease for lease in map(_lease, tx.run(OPEN))}

    return tx.cached(UNENDED, read)


def _update_cache(tx: Tx, lease: Lease) -> None:
    """Keep the writer's cache true, in order of age: fences only grow, and no ended lease begins again."""
    unended = tx.remembered(UNENDED)
    if unended is None:
        return
    if lease.ended_ms is None:
        unended[lease.fence] = lease
    else:
        unended.pop(lease.fence, None)


def count_of_session(tx: Tx, session: str) -> int:
    """Return how many leases the session has held, or holds."""
    count: int = tx.execute(
        select(func.count()).select_from(leases).where(leases.c.session == session)
    ).scalar_one()
    return count


def _values(lease: Lease) -> dict[str, Any]:
    return vars(lease) | {"paths": list(lease.paths)}


@lru_cache(maxsize=ROWS_MAX)
def _lease(row: tuple[Any, ...]) -> Lease:
    values = dict(zip(leases.c.keys(), row, strict=True))
    values["paths"] = tuple(json.loads(values["paths"]))
    values["pinned"] = bool(values["pinned"])
    return Lease(**values)
