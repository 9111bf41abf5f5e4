"""Tasks in the database."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from functools import lru_cache

from sqlalchemy import JSON, Text, bindparam, insert, select, type_coerce, update

from mcp_server.core.task import Salvage, State, Task
from mcp_server.store import Tx
from mcp_server.store.schema import tasks

# JSON columns come as the text that they are, so that a row that was read before is known by its values.
COLUMNS = [type_coerce(column, Text).label(column.name) if isinstance(column.type, JSON) else column for column in tasks.c]
ALL = select(*COLUMNS).order_by(tasks.c.id)
GET = select(*COLUMNS).where(tasks.c.id == bindparam("of"))
SALVAGED = ALL.where(type_coerce(tasks.c.salvage, Text) != "null")
ADD = insert(tasks)
PUT = update(tasks).where(tasks.c.id == bindparam("of"))
KNOWN_MAX = 10_000  # rows; a claim reads every task, and nearly all are as they were


def all(tx: Tx) -> dict[str, Task]:
    return {row.id: _task(tuple(row)) for row in tx.execute(ALL)}


class Every(Mapping[str, Task]):
    """All tasks of a transaction that has not changed any yet: one that is asked for by its id is read alone."""

    def __init__(self, tx: Tx):
        self._tx, self._all = tx, None

    def __getitem__(self, id: str) -> Task:
        found = self._all.get(id) if self._all is not None else get(self._tx, id)
        if found is None:
            raise KeyError(id)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def _read(self) -> dict[str, Task]:
        self._all = all(self._tx) if self._all is None else self._all
        return self._all


def salvaged(tx: Tx) -> list[Task]:
    """Those with work that an earlier holder left."""
    return [_task(tuple(row)) for row in tx.execute(SALVAGED)]


def get(tx: Tx, id: str) -> Task | None:
    row = tx.execute(GET, {"of": id}).first()
    return _task(tuple(row)) if row else None


def any_from(tx: Tx, source: str) -> bool:
    """Whether a task that is open or blocked has a source that begins so."""
    waiting = tasks.c.state.in_([str(State.OPEN), str(State.BLOCKED)])
    return tx.execute(select(tasks.c.id).where(waiting & tasks.c.source.startswith(source, autoescape=True)).limit(1)).first() is not None


def add(tx: Tx, task: Task) -> None:
    tx.execute(ADD, _values(task))


def put(tx: Tx, task: Task) -> None:
    """Overwrites the row of `task.id`."""
    tx.execute(PUT, _values(task) | {"of": task.id})


def _values(task: Task) -> dict:
    return asdict(task) | {"paths": list(task.paths), "needs": list(task.needs), "cases": list(task.cases), "state": str(task.state)}


@lru_cache(maxsize=KNOWN_MAX)
def _task(row: tuple) -> Task:
    values = dict(zip(tasks.c.keys(), row, strict=True))
    values |= {name: tuple(json.loads(values[name])) for name in ("paths", "needs", "cases")}
    salvage = json.loads(values["salvage"] or "null")
    return Task(**values | {"state": State(values["state"]), "salvage": Salvage(**salvage) if salvage else None})
