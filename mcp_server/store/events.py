"""The audit log's rows: appended, never changed. The chain itself is core.chain's."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, insert, select

from mcp_server.store import Tx
from mcp_server.store.schema import checkpoints, events
from mcp_server.store.statement import Statement


@dataclass(frozen=True)
class Row:
    """`body` is the canonical JSON whose hash, chained with the row before, is `hash`."""

    seq: int
    body: bytes
    hash: str


@dataclass(frozen=True)
class EventBody:
    """An event for a caller that counts: whose it is, and its canonical JSON."""

    agent: str | None
    body: bytes


NEWEST = "newest event"  # what the writer caches: the next one is chained to it
LAST = Statement(select(events.c.seq, events.c.body, events.c.hash).order_by(events.c.seq.desc()).limit(1))
OF_KIND = Statement(
    select(events.c.agent, events.c.body)
    .where(events.c.kind == bindparam("kind"), events.c.seq > bindparam("seq"))
    .order_by(events.c.seq)
)
APPEND = Statement(insert(events))
LAST_CHECKPOINT = Statement(
    select(checkpoints.c.size, checkpoints.c.note).order_by(checkpoints.c.size.desc()).limit(1)
)


def last(tx: Tx) -> Row | None:
    """Return the newest event, or None if the log is empty."""

    def read() -> Row | None:
        row = tx.run(LAST).fetchone()
        return Row(*row) if row else None

    return tx.cached(NEWEST, read)


def append(tx: Tx, row: Row, *, kind: str, agent: str | None, task: str | None) -> None:
    tx.run(
        APPEND,
        {"seq": row.seq, "body": row.body, "hash": row.hash, "kind": kind, "agent": agent, "task": task},
    )
    tx.remember(NEWEST, row)


def after(
    tx: Tx,
    seq: int,
    *,
    limit: int,
    kind: str | None = None,
    agent: str | None = None,
    task: str | None = None,
) -> list[Row]:
    """Return the first `limit` events later than `seq`, of that kind, agent and task if these are given."""
    query = (
        select(events.c.seq, events.c.body, events.c.hash)
        .where(events.c.seq > seq)
        .order_by(events.c.seq)
        .limit(limit)
    )
    for column, value in ((events.c.kind, kind), (events.c.agent, agent), (events.c.task, task)):
        if value is not None:
            query = query.where(column == value)
    return [Row(**row._mapping) for row in tx.execute(query)]


def all(tx: Tx) -> Iterator[Row]:
    """Yield every event, in order."""
    for row in tx.execute(select(events.c.seq, events.c.body, events.c.hash).order_by(events.c.seq)):
        yield Row(**row._mapping)


def copies(tx: Tx) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield each event's number and its columns for queries, which have to repeat what its body says."""
    for row in tx.execute(
        select(events.c.seq, events.c.kind, events.c.agent, events.c.task).order_by(events.c.seq)
    ):
        yield row.seq, {"kind": row.kind, "agent": row.agent, "task": row.task}


def bodies(tx: Tx, kind: str) -> list[bytes]:
    """Return the canonical JSON of every event of that kind, in order."""
    of_kind = select(events.c.body).where(events.c.kind == kind).order_by(events.c.seq)
    return list(tx.execute(of_kind).scalars())


def of_kind(tx: Tx, kind: str, *, after: int) -> Iterator[EventBody]:
    """Yield the events of that kind later than `after`, in order."""
    return (EventBody(*row) for row in tx.run(OF_KIND, {"kind": kind, "seq": after}))


def last_checkpoint(tx: Tx) -> tuple[int, str] | None:
    """Return the size and the signed note of the newest checkpoint, or None."""
    row: tuple[int, str] | None = tx.run(LAST_CHECKPOINT).fetchone()
    return row


def add_checkpoint(tx: Tx, size: int, note: str) -> None:
    tx.execute(insert(checkpoints).values(size=size, note=note))


def all_checkpoints(tx: Tx) -> list[str]:
    """Return the signed notes of all checkpoints, in order."""
    return list(tx.execute(select(checkpoints.c.note).order_by(checkpoints.c.size)).scalars())
