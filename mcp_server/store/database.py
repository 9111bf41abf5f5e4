"""The database file: opened with the settings that durability needs, and refused where they do not hold.

Writers queue on one lock, so that SQLite's own busy handler (which backs off by up to a second) never runs.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import QueuePool

from mcp_server.store.schema import metadata

Tx = Connection

BUSY_TIMEOUT_MS = 10_000
UNWRITABLE = {
    "SQLITE_FULL": "its disk is full",
    "SQLITE_READONLY": "its disk is read-only",
    "SQLITE_IOERR": "its disk does not take what is written (is it full?)",
    "SQLITE_CANTOPEN": "its disk does not let it open its files",
}
PRAGMAS = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "cell_size_check": 1}  # 2 = FULL


class Unsafe(Exception):
    """The database cannot be used safely: the message says what is wrong and what to do."""


class Unwritable(Exception):
    """The state cannot be written at present (a full disk, a read-only one): the message says why. The transaction left nothing behind."""


class Store:
    """Opens transactions. `write` is serialised and durable when it returns; `read` sees one consistent snapshot."""

    def __init__(self, path: Path):
        self.path = path
        # Last in, first out: the connection that was used last has its pages and statements at hand.
        self._engine = create_engine(f"sqlite:///{path}", connect_args={"check_same_thread": False}, poolclass=QueuePool, pool_use_lifo=True)
        self._writing = threading.Lock()
        self._writer: Connection | None = None  # one for all writes: what it has read stays true, since nobody else writes
        event.listen(self._engine, "connect", _configure)
        event.listen(self._engine, "begin", _begin)

    @classmethod
    def open(cls, path: Path) -> "Store":
        """The store at `path`, created where there is none. Raises Unsafe."""
        store = cls(path)
        try:
            with store._engine.connect() as tx:
                store._check(tx)
            metadata.create_all(store._engine)
        except DatabaseError as broke:
            if why := _unwritable(broke):
                raise Unsafe(f"{path} cannot be used: {why}. Nothing was changed; make room, or make it writable, and start again.") from broke
            raise Unsafe(f"{path} cannot be used: {broke.orig}. Nothing was changed; restore it from a copy or move it away.") from broke
        return store

    def _check(self, tx: Tx) -> None:
        for pragma, wanted in PRAGMAS.items():
            got = tx.exec_driver_sql(f"PRAGMA {pragma}").scalar()
            if got != wanted:
                raise Unsafe(f"{self.path}: SQLite says {pragma}={got}, and {wanted} is needed; put the state directory on a local disk.")
        verdict = tx.exec_driver_sql("PRAGMA quick_check").scalar()
        if verdict != "ok":
            raise Unsafe(f"{self.path} is damaged ({verdict}); restore it from a copy. Nothing was changed.")

    @contextmanager
    def read(self) -> Iterator[Tx]:
        with self._engine.connect() as tx:
            yield tx

    @contextmanager
    def write(self) -> Iterator[Tx]:
        try:
            with self._writing:
                tx = self._writer = self._writer or self._engine.connect().execution_options(writes=True)
                with tx.begin():
                    yield tx
        except DatabaseError as broke:
            self._forget_writer()
            if (why := _unwritable(broke)) is None:
                raise
            raise Unwritable(f"the server cannot write its state: {why}") from broke

    def _forget_writer(self) -> None:
        """The next write opens a new connection: after a fault of the disk nobody knows what this one holds."""
        with self._writing:
            writer, self._writer = self._writer, None
            if writer is not None:
                writer.invalidate()
                writer.close()

    def close(self) -> None:
        self._forget_writer()
        self._engine.dispose()


def _unwritable(broke: DatabaseError) -> str | None:
    """What keeps SQLite from writing, where it is the disk and not us."""
    name = getattr(broke.orig, "sqlite_errorname", "")
    found = next((code for code in UNWRITABLE if name.startswith(code)), None)
    return UNWRITABLE[found] if found is not None else None


def _configure(connection, _record) -> None:
    # The driver's own implicit BEGIN is off: it would start a deferred transaction and upgrade it too late.
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    for pragma, value in PRAGMAS.items():
        connection.execute(f"PRAGMA {pragma}={value}")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("writes") else "BEGIN")
