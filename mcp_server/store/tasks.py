"""Tasks in the database."""

import json
from collections.abc import Mapping
from functools import lru_cache

from sqlalchemy import Text, bindparam, insert, select, type_coerce, update

from mcp_server.core.task import Salvage, State, Task
from mcp_server.store import Tx
from mcp_server.store.schema import tasks
from mcp_server.store.statement import Statement

EVERY = "every task"  # by id: what the writer knows
ROWS_MAX = 10_000  # nearly all are as they were when they were read before
ALL = Statement(select(tasks).order_by(tasks.c.id))
GET = Statement(select(tasks).where(tasks.c.id == bindparam("of")))
SALVAGED = Statement(select(tasks).where(type_coerce(tasks.c.salvage, Text) != "null").order_by(tasks.c.id))
ADD = Statement(insert(tasks))
PUT = Statement(update(tasks).where(tasks.c.id == bindparam("of")))


def all(tx: Tx) -> dict[str, Task]:
    return dict(every(tx))


def every(tx: Tx) -> Mapping[str, Task]:
    """As `all`, for who only looks, and before the next is written."""
    return tx.known(EVERY, lambda: {task.id: task for task in map(_task, tx.run(ALL))})


def salvaged(tx: Tx) -> list[Task]:
    """Those with work that an earlier holder left."""
    return [_task(row) for row in tx.run(SALVAGED)]


def get(tx: Tx, id: str) -> Task | None:
    if tx.writes:
        return every(tx).get(id)
    row = tx.run(GET, {"of": id}).fetchone()
    return _task(row) if row else None


def any_from(tx: Tx, source: str) -> bool:
    """Whether a task that is open or blocked has a source that begins so."""
    waiting = tasks.c.state.in_([str(State.OPEN), str(State.BLOCKED)])
    return tx.execute(select(tasks.c.id).where(waiting & tasks.c.source.startswith(source, autoescape=True)).limit(1)).first() is not None


def add(tx: Tx, task: Task) -> None:
    tx.run(ADD, _values(task))
    tx.forget(EVERY)  # it has its place among them by its id


def put(tx: Tx, task: Task) -> None:
    """Overwrites the row of `task.id`."""
    tx.run(PUT, _values(task) | {"of": task.id})
    if (known := tx.remembered(EVERY)) is not None:
        known[task.id] = task


def _values(task: Task) -> dict:
    told = {"paths": list(task.paths), "needs": list(task.needs), "cases": list(task.cases), "state": str(task.state)}
    return vars(task) | told | {"salvage": vars(task.salvage) if task.salvage else None}


@lru_cache(maxsize=ROWS_MAX)
def _task(row: tuple) -> Task:
    values = dict(zip(tasks.c.keys(), row, strict=True))
    values |= {name: tuple(json.loads(values[name])) for name in ("paths", "needs", "cases")}
    salvage = json.loads(values["salvage"] or "null")
    return Task(**values | {"state": State(values["state"]), "salvage": Salvage(**salvage) if salvage else None})
