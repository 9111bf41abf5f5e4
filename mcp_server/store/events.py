"""The audit log's rows: appended, never changed. The chain itself is core.chain's."""

from collections.abc import Iterator
from dataclasses import dataclass

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
    """A row for who counts: by whom it was, and what it says."""

    agent: str | None
    body: bytes


NEWEST = "newest event"  # what the writer knows: the next one is chained to it
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
    return tx.cached(NEWEST, lambda: Row(*row) if (row := tx.run(LAST).fetchone()) else None)


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
    query = (
        select(events.c.seq, events.c.body, events.c.hash)
        .where(events.c.seq > seq)
        .order_by(events.c.seq)
        .limit(limit)
    )
    for column, wanted in ((events.c.kind, kind), (events.c.agent, agent), (events.c.task, task)):
        if wanted is not None:
            query = query.where(column == wanted)
    return [Row(**row._mapping) for row in tx.execute(query)]


def all(tx: Tx) -> Iterator[Row]:
    for row in tx.execute(select(events.c.seq, events.c.body, events.c.hash).order_by(events.c.seq)):
        yield Row(**row._mapping)


def copies(tx: Tx) -> Iterator[tuple[int, dict]]:
    """What the columns for queries say of each event, which is to be what its body says."""
    for row in tx.execute(
        select(events.c.seq, events.c.kind, events.c.agent, events.c.task).order_by(events.c.seq)
    ):
        yield row.seq, {"kind": row.kind, "agent": row.agent, "task": row.task}


def bodies(tx: Tx, kind: str) -> list[bytes]:
    return list(
        tx.execute(select(events.c.body).where(events.c.kind == kind).order_by(events.c.seq)).scalars()
    )


def of_kind(tx: Tx, kind: str, *, after: int) -> Iterator[EventBody]:
    """Those later than `after`, in order."""
    return (EventBody(*row) for row in tx.run(OF_KIND, {"kind": kind, "seq": after}))


def last_checkpoint(tx: Tx) -> tuple[int, str] | None:
    return tx.run(LAST_CHECKPOINT).fetchone()


def add_checkpoint(tx: Tx, size: int, note: str) -> None:
    tx.execute(insert(checkpoints).values(size=size, note=note))


def all_checkpoints(tx: Tx) -> list[str]:
    return list(tx.execute(select(checkpoints.c.note).order_by(checkpoints.c.size)).scalars())
