"""Leases in the database, and the one counter that fences come from."""

import json
from functools import lru_cache

from sqlalchemy import JSON, Text, bindparam, func, insert, select, type_coerce, update

from mcp_server.core.lease import Lease
from mcp_server.store import Tx, meta
from mcp_server.store.schema import leases

FENCE = "fence"
KNOWN_MAX = 10_000  # rows: every call reads all open leases, and only its own changes
# Built once: SQLAlchemy takes longer to build a statement than SQLite to run it.
ADD = insert(leases)
COLUMNS = [type_coerce(column, Text).label(column.name) if isinstance(column.type, JSON) else column for column in leases.c]
PUT = update(leases).where(leases.c.fence == bindparam("of"))
GET = select(*COLUMNS).where(leases.c.fence == bindparam("of"))
OPEN = select(*COLUMNS).where(leases.c.ended_ms.is_(None)).order_by(leases.c.fence)


def next_fence(tx: Tx) -> int:
    """One more than any fence ever given; never reset, and rolled back with its transaction."""
    fence = int(meta.get(tx, FENCE) or 0) + 1
    meta.put(tx, FENCE, str(fence))
    return fence


def add(tx: Tx, lease: Lease) -> None:
    tx.execute(ADD, _values(lease))


def put(tx: Tx, lease: Lease) -> None:
    tx.execute(PUT, _values(lease) | {"of": lease.fence})


def get(tx: Tx, fence: int) -> Lease | None:
    row = tx.execute(GET, {"of": fence}).first()
    return _lease(tuple(row)) if row else None


def open_ones(tx: Tx) -> list[Lease]:
    """Leases that have not been written as ended; some may be past their time."""
    return [_lease(tuple(row)) for row in tx.execute(OPEN)]


def of_agent(tx: Tx, agent: str) -> Lease | None:
    """The newest lease of an agent that has not been written as ended."""
    row = tx.execute(select(*COLUMNS).where(leases.c.ended_ms.is_(None), leases.c.agent == agent).order_by(leases.c.fence.desc()).limit(1)).first()
    return _lease(tuple(row)) if row else None


def at(tx: Tx, agent: str, ms: int) -> Lease | None:
    """The lease that an agent held at that time, whatever has become of it."""
    then = (leases.c.agent == agent) & (leases.c.granted_ms <= ms) & (leases.c.ended_ms.is_(None) | (leases.c.ended_ms >= ms))
    row = tx.execute(select(*COLUMNS).where(then).order_by(leases.c.fence.desc()).limit(1)).first()
    return _lease(tuple(row)) if row else None


def of_task(tx: Tx, task: str) -> list[Lease]:
    return [_lease(tuple(row)) for row in tx.execute(select(*COLUMNS).where(leases.c.task == task).order_by(leases.c.fence))]


def count_of_session(tx: Tx, session: str) -> int:
    """How many leases the session has held, or holds."""
    return tx.execute(select(func.count()).select_from(leases).where(leases.c.session == session)).scalar_one()


def _values(lease: Lease) -> dict:
    return vars(lease) | {"paths": list(lease.paths)}


@lru_cache(maxsize=KNOWN_MAX)
def _lease(row: tuple) -> Lease:
    values = dict(zip(leases.c.keys(), row, strict=True))
    return Lease(**values | {"paths": tuple(json.loads(values["paths"]))})
