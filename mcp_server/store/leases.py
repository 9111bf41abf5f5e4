"""Leases in the database, and the one counter that fences come from."""

from dataclasses import asdict

from sqlalchemy import insert, select, update
from sqlalchemy.engine import Row

from mcp_server.core.lease import Lease
from mcp_server.store import Tx, meta
from mcp_server.store.schema import leases

FENCE = "fence"


def next_fence(tx: Tx) -> int:
    """One more than any fence ever given; never reset, and rolled back with its transaction."""
    fence = int(meta.get(tx, FENCE) or 0) + 1
    meta.put(tx, FENCE, str(fence))
    return fence


def add(tx: Tx, lease: Lease) -> None:
    tx.execute(insert(leases).values(**_values(lease)))


def put(tx: Tx, lease: Lease) -> None:
    tx.execute(update(leases).where(leases.c.fence == lease.fence).values(**_values(lease)))


def get(tx: Tx, fence: int) -> Lease | None:
    row = tx.execute(select(leases).where(leases.c.fence == fence)).first()
    return _lease(row) if row else None


def open_ones(tx: Tx) -> list[Lease]:
    """Leases that have not been written as ended; some may be past their time."""
    return [_lease(row) for row in tx.execute(select(leases).where(leases.c.ended_ms.is_(None)).order_by(leases.c.fence))]


def of_agent(tx: Tx, agent: str) -> Lease | None:
    """The newest lease of an agent that has not been written as ended."""
    row = tx.execute(select(leases).where(leases.c.ended_ms.is_(None), leases.c.agent == agent).order_by(leases.c.fence.desc()).limit(1)).first()
    return _lease(row) if row else None


def at(tx: Tx, agent: str, ms: int) -> Lease | None:
    """The lease that an agent held at that time, whatever has become of it."""
    then = (leases.c.agent == agent) & (leases.c.granted_ms <= ms) & (leases.c.ended_ms.is_(None) | (leases.c.ended_ms >= ms))
    row = tx.execute(select(leases).where(then).order_by(leases.c.fence.desc()).limit(1)).first()
    return _lease(row) if row else None


def of_task(tx: Tx, task: str) -> list[Lease]:
    return [_lease(row) for row in tx.execute(select(leases).where(leases.c.task == task).order_by(leases.c.fence))]


def _values(lease: Lease) -> dict:
    return asdict(lease) | {"paths": list(lease.paths)}


def _lease(row: Row) -> Lease:
    values = dict(row._mapping)
    return Lease(**values | {"paths": tuple(values["paths"])})
