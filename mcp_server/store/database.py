"""The database file: opened with the settings that durability needs, and refused where they do not hold.

Writers queue on one lock, so that SQLite's own busy handler (which backs off by up to a second) never runs.
All of them write through one connection, so that what it has read stays true: nobody else writes.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, CursorResult, create_engine, event
from sqlalchemy.pool import NullPool

from mcp_server.store import version
from mcp_server.store.statement import Statement
from mcp_server.store.unusable import BROKEN, Unsafe, as_unwritable, why_unwritable

T = TypeVar("T")

# Idle connections, open from the start; what more of them were needed at once is closed again.
READERS_KEPT = 4
BUSY_TIMEOUT_MS = 10_000
PRAGMAS = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "cell_size_check": 1}  # 2 = FULL


class Tx:
    """A transaction on a connection of its own. Statements that every call makes go through `run`, others
    through `execute`.
    """

    def __init__(self, connection: Connection, *, writes: bool = False):
        self._connection, self.writes = connection, writes
        driver = connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        self.driver = driver
        # What the writer has read, by name; true until it rolls back, because nobody else writes.
        self._read: dict[str, Any] = {}

    def run(self, statement: Statement, values: Mapping[str, Any] = {}) -> sqlite3.Cursor:
        return self.driver.execute(statement.sql, statement.parameters(values))

    def execute(self, *statement_and_values: Any) -> CursorResult[Any]:
        return self._connection.execute(*statement_and_values)

    def exec_driver_sql(self, sql: str) -> CursorResult[Any]:
        """Run any SQL. What was cached is forgotten, because it may be no longer true."""
        self._read.clear()
        return self._connection.exec_driver_sql(sql)

    def cached(self, name: str, read: Callable[[], T]) -> T:
        """Return what `read` returns. The writer reads it once; whoever changes it in the database then
        changes it here too, by `remember`.
        """
        if not self.writes:
            return read()
        if name not in self._read:
            self._read[name] = read()
        value: T = self._read[name]
        return value

    def remembered(self, name: str) -> Any:
        """Return what the writer has read or remembered under that name, or None."""
        return self._read.get(name)

    def remember(self, name: str, value: Any) -> None:
        """Keep what the next `cached` of that name returns. A reader keeps nothing."""
        if self.writes:
            self._read[name] = value

    def begin(self) -> None:
        self.driver.execute("BEGIN IMMEDIATE" if self.writes else "BEGIN")

    def commit(self) -> None:
        self.driver.execute("COMMIT")

    def roll_back(self) -> None:
        self._read.clear()
        self.driver.execute("ROLLBACK")

    @contextmanager
    def part(self) -> Iterator[None]:
        """Undo what the block did, and nothing else of the transaction, if the block raises. If it was the
        database that broke, the whole transaction has to be undone by the caller.
        """
        self.driver.execute("SAVEPOINT part")
        try:
            yield
        except BaseException as wrong:
            if isinstance(wrong, BROKEN):
                raise
            self._read.clear()
            self.driver.execute("ROLLBACK TO part")
            self.driver.execute("RELEASE part")
            raise
        self.driver.execute("RELEASE part")

    def close(self) -> None:
        self._connection.invalidate()
        self._connection.close()


class Store:
    """Opens transactions. `write` is serialised, and durable when it returns; `read` sees one consistent
    snapshot.
    """

    def __init__(self, path: Path):
        self.path = path
        self._engine = create_engine(
            f"sqlite:///{path}", connect_args={"check_same_thread": False}, poolclass=NullPool
        )
        # Idle ones; the one that was used last has its pages and statements at hand.
        self._readers: list[Tx] = []
        # To write. It may be released by another thread than the one that acquired it.
        self.turn = threading.Lock()
        self._writer: Tx | None = None
        event.listen(self._engine, "connect", _configure)

    @classmethod
    def open(cls, path: Path) -> "Store":
        """Open the store at `path`: create it if there is none, migrate it if it is of an older version.
        Raise Unsafe if it cannot be used.
        """
        store = cls(path)
        try:
            first = Tx(store._engine.connect())
            store._check(first)
            store._readers.append(first)
            with store._engine.connect() as connection:
                version.make_current(connection, path)
            store._readers += [Tx(store._engine.connect()) for _ in range(READERS_KEPT - 1)]
        except BROKEN as broke:
            if why := why_unwritable(broke):
                advice = "make room, or make it writable, and start again"
            else:
                why, advice = str(getattr(broke, "orig", broke)), "restore it from a copy or move it away"
            raise Unsafe(f"{path} cannot be used: {why}. Nothing was changed; {advice}.") from broke
        return store

    def _check(self, tx: Tx) -> None:
        """Raise Unsafe if a setting did not take or the file is damaged."""
        for pragma, needed in PRAGMAS.items():
            actual = tx.exec_driver_sql(f"PRAGMA {pragma}").scalar()
            if actual != needed:
                raise Unsafe(
                    f"{self.path}: SQLite says {pragma}={actual}, and {needed} is needed; "
                    "put the state directory on a local disk."
                )
        verdict = tx.exec_driver_sql("PRAGMA quick_check").scalar()
        if verdict != "ok":
            raise Unsafe(f"{self.path} is damaged ({verdict}); restore it from a copy. Nothing was changed.")

    @contextmanager
    def read(self) -> Iterator[Tx]:
        try:
            tx = self._readers.pop()
        except IndexError:
            tx = Tx(self._engine.connect())
        try:
            tx.begin()
            yield tx
            tx.commit()
        except BaseException:
            tx.close()
            raise
        if len(self._readers) < READERS_KEPT:
            self._readers.append(tx)
        else:
            tx.close()

    @contextmanager
    def write(self) -> Iterator[Tx]:
        with self.turn, as_unwritable():
            tx = self.begin()
            try:
                yield tx
                tx.commit()
            except BaseException as wrong:
                self.undo(tx, wrong)
                raise

    # -- for whoever has the turn to write

    def begin(self) -> Tx:
        """Begin the writer's transaction. Raise what SQLite raises if nothing can be written."""
        try:
            self._writer = self._writer or Tx(self._engine.connect(), writes=True)
            self._writer.begin()
        except BROKEN:
            self._forget_writer()
            raise
        return self._writer

    def undo(self, tx: Tx, wrong: BaseException) -> None:
        """Undo the writer's transaction, which ended with `wrong`. After a fault of the disk nobody knows
        what the connection holds, so the next write opens a new one.
        """
        if isinstance(wrong, BROKEN):
            self._forget_writer()
        else:
            tx.roll_back()

    def _forget_writer(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()

    def close(self) -> None:
        with self.turn:
            self._forget_writer()
        while self._readers:
            self._readers.pop().close()
        self._engine.dispose()


def _configure(connection: sqlite3.Connection, _record: object) -> None:
    # The driver's own implicit BEGIN is off: it would start a deferred transaction and upgrade it too late.
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    # With what is in it a part of a transaction undoes itself; a file would cost 0.2 ms.
    connection.execute("PRAGMA temp_store=memory")
    for pragma, value in PRAGMAS.items():
        connection.execute(f"PRAGMA {pragma}={value}")
