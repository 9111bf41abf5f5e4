"""Tasks in the database."""

from dataclasses import asdict

from sqlalchemy import insert, select, update
from sqlalchemy.engine import Row

from mcp_server.core.task import Salvage, State, Task
from mcp_server.store import Tx
from mcp_server.store.schema import tasks


def all(tx: Tx) -> dict[str, Task]:
    return {row.id: _task(row) for row in tx.execute(select(tasks).order_by(tasks.c.id))}


def get(tx: Tx, id: str) -> Task | None:
    row = tx.execute(select(tasks).where(tasks.c.id == id)).first()
    return _task(row) if row else None


def any_from(tx: Tx, source: str) -> bool:
    """Whether a task that is open or blocked has a source that begins so."""
    waiting = tasks.c.state.in_([str(State.OPEN), str(State.BLOCKED)])
    return tx.execute(select(tasks.c.id).where(waiting & tasks.c.source.startswith(source, autoescape=True)).limit(1)).first() is not None


def add(tx: Tx, task: Task) -> None:
    tx.execute(insert(tasks).values(**_values(task)))


def put(tx: Tx, task: Task) -> None:
    """Overwrites the row of `task.id`."""
    tx.execute(update(tasks).where(tasks.c.id == task.id).values(**_values(task)))


def _values(task: Task) -> dict:
    return asdict(task) | {"paths": list(task.paths), "needs": list(task.needs), "cases": list(task.cases), "state": str(task.state)}


def _task(row: Row) -> Task:
    values = dict(row._mapping)
    values |= {name: tuple(values[name]) for name in ("paths", "needs", "cases")}
    return Task(**values | {"state": State(row.state), "salvage": Salvage(**row.salvage) if row.salvage else None})
