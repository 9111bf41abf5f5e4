"""Tasks in the database."""

import json
import re
from functools import lru_cache

from sqlalchemy import Text, bindparam, insert, or_, select, type_coerce, update

from mcp_server.core.task import Salvage, Task, Tasks, TaskState
from mcp_server.store import Tx
from mcp_server.store.schema import tasks
from mcp_server.store.statement import Statement

EVERY, GREATEST = "every task", "greatest number of a task"  # what the writer knows
NUMBERED = re.compile(r"T(\d+)")
ROWS_MAX = 10_000  # nearly all are as they were when they were read before
ALL = Statement(select(tasks).order_by(tasks.c.id))
GET = Statement(select(tasks).where(tasks.c.id == bindparam("of")))
SALVAGED = Statement(select(tasks).where(type_coerce(tasks.c.salvage, Text) != "null").order_by(tasks.c.id))
UNDONE = Statement(
    select(tasks)
    .where(or_(*(tasks.c.state == str(state) for state in TaskState if state is not TaskState.DONE)))
    .order_by(tasks.c.id)
)
TITLED = Statement(
    select(tasks)
    .where(tasks.c.title == bindparam("title"), tasks.c.module == bindparam("module"))
    .order_by(tasks.c.id)
    .limit(1)
)
ADD = Statement(insert(tasks))
PUT = Statement(update(tasks).where(tasks.c.id == bindparam("of")))


def all(tx: Tx) -> Tasks:
    return every(tx).copy()


def every(tx: Tx) -> Tasks:
    """As `all`, for who only looks, and before the next is written."""
    return tx.cached(EVERY, lambda: Tasks(map(_task, tx.run(ALL))))


def undone(tx: Tx) -> list[Task]:
    return [_task(row) for row in tx.run(UNDONE)]


def salvaged(tx: Tx) -> list[Task]:
    """Those with work that an earlier holder left."""
    return [_task(row) for row in tx.run(SALVAGED)]


def get(tx: Tx, id: str) -> Task | None:
    if tx.writes:
        return every(tx).get(id)
    row = tx.run(GET, {"of": id}).fetchone()
    return _task(row) if row else None


def titled(tx: Tx, title: str, module: str) -> Task | None:
    """The first of those with this title in this module."""
    row = tx.run(TITLED, {"title": title, "module": module}).fetchone()
    return _task(row) if row else None


def greatest_number(tx: Tx) -> int:
    """Of the ids that are T and a number; 0 where there is none."""
    return tx.cached(GREATEST, lambda: max(map(_number, every(tx)), default=0))


def any_from(tx: Tx, source: str) -> bool:
    """Whether a task that is open or blocked has a source that begins so."""
    waiting = tasks.c.state.in_([str(TaskState.OPEN), str(TaskState.BLOCKED)])
    return (
        tx.execute(
            select(tasks.c.id).where(waiting & tasks.c.source.startswith(source, autoescape=True)).limit(1)
        ).first()
        is not None
    )


def add(tx: Tx, task: Task) -> None:
    tx.run(ADD, _values(task))
    _follow(tx, task)
    if (known := tx.remembered(GREATEST)) is not None:
        tx.remember(GREATEST, max(known, _number(task.id)))


def put(tx: Tx, task: Task) -> None:
    """Overwrites the row of `task.id`."""
    tx.run(PUT, _values(task) | {"of": task.id})
    _follow(tx, task)


def _follow(tx: Tx, task: Task) -> None:
    """What the writer knows stays true. Were this transaction undone, all that it knows would be forgotten."""
    if (known := tx.remembered(EVERY)) is not None:
        known.put(task)


def _number(id: str) -> int:
    return int(found[1]) if (found := NUMBERED.fullmatch(id)) else 0


def _values(task: Task) -> dict:
    told = {
        "paths": list(task.paths),
        "needs": list(task.needs),
        "cases": list(task.cases),
        "state": str(task.state),
    }
    return vars(task) | told | {"salvage": vars(task.salvage) if task.salvage else None}


@lru_cache(maxsize=ROWS_MAX)
def _task(row: tuple) -> Task:
    values = dict(zip(tasks.c.keys(), row, strict=True))
    values |= {name: tuple(json.loads(values[name])) for name in ("paths", "needs", "cases")}
    salvage = json.loads(values["salvage"] or "null")
    return Task(
        **values | {"state": TaskState(values["state"]), "salvage": Salvage(**salvage) if salvage else None}
    )
