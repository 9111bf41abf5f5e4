"""Notes that agents leave each other."""

from dataclasses import dataclass

from sqlalchemy import bindparam, insert, select

from mcp_server.store import Tx
from mcp_server.store.schema import notes


@dataclass(frozen=True)
class Note:
    topic: str
    agent: str
    text: str
    written_ms: int


# Built once: every claim runs it, and SQLAlchemy takes longer to build a statement than SQLite to run it.
NEWEST = select(notes.c.topic, notes.c.agent, notes.c.text, notes.c.written_ms).order_by(notes.c.id.desc()).limit(bindparam("most"))


def add(tx: Tx, note: Note) -> None:
    tx.execute(insert(notes).values(topic=note.topic, agent=note.agent, text=note.text, written_ms=note.written_ms))


def newest(tx: Tx, *, topic: str | None = None, limit: int = 50) -> list[Note]:
    """The newest first; with `topic`, that topic and everything below it (`demo` finds `demo/x`)."""
    query = NEWEST
    if topic is not None:
        query = query.where((notes.c.topic == topic) | notes.c.topic.startswith(topic + "/", autoescape=True))
    return [Note(**row._mapping) for row in tx.execute(query, {"most": limit})]
