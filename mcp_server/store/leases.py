"""Leases in the database, and the one counter that fences come from."""

import json
from functools import lru_cache

from sqlalchemy import bindparam, func, insert, select, update

from mcp_server.core.lease import Lease
from mcp_server.store import Tx, meta
from mcp_server.store.schema import leases
from mcp_server.store.statement import Statement

FENCE = "fence"
UNENDED = "leases that have not ended"  # by fence, oldest first: what the writer knows
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
    """One more than any fence ever given; never reset, and rolled back with its transaction."""
    fence = int(meta.get(tx, FENCE) or 0) + 1
    meta.put(tx, FENCE, str(fence))
    return fence


def add(tx: Tx, lease: Lease) -> None:
    tx.run(ADD, _values(lease))
    _follow(tx, lease)


def put(tx: Tx, lease: Lease) -> None:
    tx.run(PUT, _values(lease) | {"of": lease.fence})
    _follow(tx, lease)


def get(tx: Tx, fence: int) -> Lease | None:
    row = tx.run(GET, {"of": fence}).fetchone()
    return _lease(row) if row else None


def open_ones(tx: Tx) -> list[Lease]:
    """Leases that have not been written as ended; some may be past their time."""
    return list(_unended(tx).values())


def of_agent(tx: Tx, agent: str) -> Lease | None:
    """The newest lease of an agent that has not been written as ended."""
    return next((lease for lease in reversed(_unended(tx).values()) if lease.agent == agent), None)


def at(tx: Tx, agent: str, ms: int) -> Lease | None:
    """The lease that an agent held at that time, whatever has become of it."""
    row = tx.run(AT, {"of": agent, "ms": ms}).fetchone()
    return _lease(row) if row else None


def of_task(tx: Tx, task: str) -> list[Lease]:
    return [_lease(row) for row in tx.run(OF_TASK, {"of": task})]


def _unended(tx: Tx) -> dict[int, Lease]:
    return tx.cached(UNENDED, lambda: {lease.fence: lease for lease in map(_lease, tx.run(OPEN))})


def _follow(tx: Tx, lease: Lease) -> None:
    """Fences only grow, and no ended lease begins again: whatever is new belongs to the end."""
    known = tx.remembered(UNENDED)
    if known is None:
        return
    if lease.ended_ms is None:
        known[lease.fence] = lease
    else:
        known.pop(lease.fence, None)


def count_of_session(tx: Tx, session: str) -> int:
    """How many leases the session has held, or holds."""
    return tx.execute(
        select(func.count()).select_from(leases).where(leases.c.session == session)
    ).scalar_one()


def _values(lease: Lease) -> dict:
    return vars(lease) | {"paths": list(lease.paths)}


@lru_cache(maxsize=ROWS_MAX)
def _lease(row: tuple) -> Lease:
    values = dict(zip(leases.c.keys(), row, strict=True))
    return Lease(**values | {"paths": tuple(json.loads(values["paths"])), "pinned": bool(values["pinned"])})
