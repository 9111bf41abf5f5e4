"""Notes that agents leave each other."""

from dataclasses import dataclass

from sqlalchemy import bindparam, insert, select

from mcp_server.store import Tx
from mcp_server.store.schema import notes
from mcp_server.store.statement import Statement


@dataclass(frozen=True)
class Note:
    topic: str
    agent: str
    text: str
    written_ms: int


BY_AGE = (
    select(notes.c.topic, notes.c.agent, notes.c.text, notes.c.written_ms)
    .order_by(notes.c.id.desc())
    .limit(bindparam("most"))
)
NEWEST = Statement(BY_AGE)


def add(tx: Tx, note: Note) -> None:
    tx.execute(
        insert(notes).values(topic=note.topic, agent=note.agent, text=note.text, written_ms=note.written_ms)
    )


def newest(tx: Tx, *, topic: str | None = None, limit: int = 50) -> list[Note]:
    """Return the newest notes first; with `topic` those of it and of every topic below it: `demo` finds
    `demo/x`.
    """
    if topic is None:
        return [Note(*row) for row in tx.run(NEWEST, {"most": limit})]
    of_topic = BY_AGE.where((notes.c.topic == topic) | notes.c.topic.startswith(topic + "/", autoescape=True))
    return [Note(**row._mapping) for row in tx.execute(of_topic, {"most": limit})]
