"""Tasks in the database."""

import json
import re
from functools import lru_cache
from typing import Any

from sqlalchemy import Text, bindparam, insert, or_, select, type_coerce, update

from mcp_server.core.task import Salvage, Task, Tasks, TaskState
from mcp_server.store import Tx
from mcp_server.store.schema import tasks
from mcp_server.store.statement import Statement

EVERY, GREATEST = "every task", "greatest number of a task"  # what the writer caches
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
    """Return every task, as of now."""
    return every(tx).copy()


def every(tx: Tx) -> Tasks:
    """Return what `all` returns, for a caller that only looks, and no longer than until the next write."""
    return tx.cached(EVERY, lambda: Tasks(map(_task, tx.run(ALL))))


def undone(tx: Tx) -> list[Task]:
    """Return the tasks that are not done, by id."""
    return [_task(row) for row in tx.run(UNDONE)]


def salvaged(tx: Tx) -> list[Task]:
    """Return the tasks with work that an earlier holder left, by id."""
    return [_task(row) for row in tx.run(SALVAGED)]


def get(tx: Tx, id: str) -> Task | None:
    if tx.writes:
        return every(tx).get(id)
    row = tx.run(GET, {"of": id}).fetchone()
    return _task(row) if row else None


def titled(tx: Tx, title: str, module: str) -> Task | None:
    """Return the first task with this title in this module, or None."""
    row = tx.run(TITLED, {"title": title, "module": module}).fetchone()
    return _task(row) if row else None


def greatest_number(tx: Tx) -> int:
    """Return the greatest number among the ids that are T and a number; 0 if there is none."""
    return tx.cached(GREATEST, lambda: max(map(_number, every(tx)), default=0))


def any_from(tx: Tx, source: str) -> bool:
    """Return True if a task that is open or blocked has a source that begins with `source`."""
    waiting = tasks.c.state.in_([str(TaskState.OPEN), str(TaskState.BLOCKED)])
    begins_so = tasks.c.source.startswith(source, autoescape=True)
    return tx.execute(select(tasks.c.id).where(waiting & begins_so).limit(1)).first() is not None


def add(tx: Tx, task: Task) -> None:
    tx.run(ADD, _values(task))
    _update_cache(tx, task)
    if (greatest := tx.remembered(GREATEST)) is not None:
        tx.remember(GREATEST, max(greatest, _number(task.id)))


def put(tx: Tx, task: Task) -> None:
    """Overwrite the row of `task.id`."""
    tx.run(PUT, _values(task) | {"of": task.id})
    _update_cache(tx, task)


def _update_cache(tx: Tx, task: Task) -> None:
    """Keep what the writer caches true. If this transaction is undone, all of that is forgotten."""
    if (cached := tx.remembered(EVERY)) is not None:
        cached.put(task)


def _number(id: str) -> int:
    number = NUMBERED.fullmatch(id)
    return int(number[1]) if number else 0


def _values(task: Task) -> dict[str, Any]:
    return vars(task) | {
        "paths": list(task.paths),
        "needs": list(task.needs),
        "cases": list(task.cases),
        "removes": list(task.removes),
        "state": str(task.state),
        "salvage": vars(task.salvage) if task.salvage else None,
    }


@lru_cache(maxsize=ROWS_MAX)
def _task(row: tuple[Any, ...]) -> Task:
    values = dict(zip(tasks.c.keys(), row, strict=True))
    for name in ("paths", "needs", "cases", "removes"):
        values[name] = tuple(json.loads(values[name]))
    salvage = json.loads(values["salvage"] or "null")
    values["salvage"] = Salvage(**salvage) if salvage else None
    values["state"] = TaskState(values["state"])
    return Task(**values)
