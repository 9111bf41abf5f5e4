"""Requests to models: one row each, and their sums."""

from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import case, func, insert, select
from sqlalchemy.sql.elements import ColumnElement

from mcp_server.store import Tx
from mcp_server.store.schema import model_requests as rows

_ADD = insert(rows)
REFUSED = "refused"  # by the gateway itself: nothing was asked upstream


@dataclass(frozen=True)
class ModelRequest:
    began_ms: int
    agent: str
    session: str | None
    task: str | None
    fence: int | None
    account: str
    form: str
    model: str | None
    status: int | None
    outcome: str
    input: int
    cached_read: int
    cached_write: int
    output: int
    reasoning: int
    counted: bool
    partial: bool
    cost_usd: float | None
    tries: int
    waited_ms: int
    first_byte_ms: int | None
    took_ms: int


@dataclass(frozen=True)
class Sum:
    """Requests, their tokens and their cost in US dollars. `unknown` counts requests whose tokens nobody
    counted, `unpriced` those with tokens but without a price, `partial` those whose tokens are lower bounds.
    """

    requests: int
    input: int
    cached_read: int
    cached_write: int
    output: int
    reasoning: int
    cost_usd: float
    unknown: int
    unpriced: int
    partial: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"tokens": self.input + self.output}


def add(tx: Tx, request: ModelRequest) -> None:
    tx.execute(_ADD, vars(request))


def sums(
    tx: Tx, *columns: str, task: str | None = None, after_ms: int = -1, until_ms: int | None = None
) -> list[tuple[tuple[Any, ...], Sum]]:
    """Return sums by the values of `columns`, in their order: of one task's requests if `task` is given, and
    of those that began after `after_ms` and no later than `until_ms`.
    """
    by = [rows.c[name] for name in columns]
    query = select(*by, *_SUMS).where(rows.c.outcome != REFUSED, rows.c.began_ms > after_ms)
    if task is not None:
        query = query.where(rows.c.task == task)
    if until_ms is not None:
        query = query.where(rows.c.began_ms <= until_ms)
    return [
        (tuple(row[: len(by)]), Sum(*row[len(by) :]))
        for row in tx.execute(query.group_by(*by).order_by(*by) if by else query)
    ]


def last_of_session(tx: Tx, session: str) -> int | None:
    """Return when the session's newest request began, or None if it has made none."""
    newest = select(func.max(rows.c.began_ms)).where(rows.c.session == session)
    began_ms: int | None = tx.execute(newest).scalar_one()
    return began_ms


def _total(value: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.coalesce(func.sum(value), 0)


_answered = rows.c.outcome.in_(("ok", "cut", "aborted", "budget", "lost"))
_SUMS = (
    func.count(),
    *(_total(rows.c[name]) for name in ("input", "cached_read", "cached_write", "output", "reasoning")),
    _total(rows.c.cost_usd),
    _total(case((_answered & rows.c.counted.is_(False), 1), else_=0)),
    _total(case((rows.c.counted & rows.c.cost_usd.is_(None), 1), else_=0)),
    _total(case((rows.c.partial, 1), else_=0)),
)
