"""What keeps the database from being used or written, in words for whoever started the server.

Rule: a fault of the disk is told from a fault of ours by the code that SQLite gave it.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DatabaseError

BROKEN = (DatabaseError, sqlite3.DatabaseError)  # as SQLAlchemy raises it, and as the driver does
UNWRITABLE = {
    "SQLITE_FULL": "its disk is full",
    "SQLITE_READONLY": "its disk is read-only",
    "SQLITE_IOERR": "its disk does not take what is written (is it full, or read-only?)",
    "SQLITE_CANTOPEN": "its disk does not let it open its files",
}


class Unsafe(Exception):
    """The database cannot be used safely: the message says what is wrong and what to do."""


class Unwritable(Exception):
    """The state cannot be written at present (a full disk, a read-only one), and the transaction left nothing
    behind: the message says why.
    """


@contextmanager
def as_unwritable() -> Iterator[None]:
    """Raise Unwritable for a fault of the disk; let every other fault pass as it is."""
    try:
        yield
    except BROKEN as broke:
        if (why := why_unwritable(broke)) is None:
            raise
        raise Unwritable(f"the server cannot write its state: {why}") from broke


def why_unwritable(broke: Exception) -> str | None:
    """Return what keeps SQLite from writing, or None if it is not the disk."""
    name = getattr(getattr(broke, "orig", broke), "sqlite_errorname", "")
    for code, why in UNWRITABLE.items():
        if name.startswith(code):
            return why
    return None
