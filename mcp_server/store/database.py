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
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import NullPool

from mcp_server.store.schema import metadata
from mcp_server.store.statement import Statement

T = TypeVar("T")

READERS_KEPT = (
    4  # idle connections, open from the start; what more of them were needed at once is closed again
)
BUSY_TIMEOUT_MS = 10_000
UNWRITABLE = {
    "SQLITE_FULL": "its disk is full",
    "SQLITE_READONLY": "its disk is read-only",
    "SQLITE_IOERR": "its disk does not take what is written (is it full, or read-only?)",
    "SQLITE_CANTOPEN": "its disk does not let it open its files",
}
PRAGMAS = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "cell_size_check": 1}  # 2 = FULL
BROKEN = (DatabaseError, sqlite3.DatabaseError)  # as SQLAlchemy tells it, and as the driver does


class Unsafe(Exception):
    """The database cannot be used safely: the message says what is wrong and what to do."""


class Unwritable(Exception):
    """The state cannot be written at present (a full disk, a read-only one): the message says why. The
    transaction left nothing behind.
    """


class Tx:
    """An open transaction, on a connection of its own. Statements of every call go through `run`, others
    through `execute`.
    """

    def __init__(self, connection: Connection, *, writes: bool = False):
        self._connection, self.writes = connection, writes
        driver = connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        self.driver = driver
        self._known: dict[str, Any] = {}  # by the writer, and true until it is rolled back

    def run(self, statement: Statement, values: Mapping[str, Any] = {}) -> sqlite3.Cursor:
        return self.driver.execute(statement.sql, statement.parameters(values))

    def execute(self, *statement_and_values: Any) -> CursorResult:
        return self._connection.execute(*statement_and_values)

    def exec_driver_sql(self, sql: str) -> CursorResult:
        """Anything at all: what is known may be no longer true."""
        self._known.clear()
        return self._connection.exec_driver_sql(sql)

    def known(self, name: str, read: Callable[[], T]) -> T:
        """What `read` finds. The writer reads it once; whoever changes it then changes what is `remembered`
        too.
        """
        if not self.writes:
            return read()
        if name not in self._known:
            self._known[name] = read()
        return self._known[name]

    def remembered(self, name: str) -> Any:
        """What the writer knows under that name, or None."""
        return self._known.get(name)

    def remember(self, name: str, value: Any) -> None:
        if self.writes:
            self._known[name] = value

    def begin(self) -> None:
        self.driver.execute("BEGIN IMMEDIATE" if self.writes else "BEGIN")

    def commit(self) -> None:
        self.driver.execute("COMMIT")

    def roll_back(self) -> None:
        self._known.clear()
        self.driver.execute("ROLLBACK")

    @contextmanager
    def part(self) -> Iterator[None]:
        """Of a transaction: undone where it raises, and nothing else with it. Where the database broke, all
        of it has to be.
        """
        self.driver.execute("SAVEPOINT part")
        try:
            yield
        except BaseException as wrong:
            if isinstance(wrong, BROKEN):
                raise
            self._known.clear()
            self.driver.execute("ROLLBACK TO part")
            self.driver.execute("RELEASE part")
            raise
        self.driver.execute("RELEASE part")

    def close(self) -> None:
        self._connection.invalidate()
        self._connection.close()


class Store:
    """Opens transactions. `write` is serialised and durable when it returns; `read` sees one consistent
    snapshot.
    """

    def __init__(self, path: Path):
        self.path = path
        self._engine = create_engine(
            f"sqlite:///{path}", connect_args={"check_same_thread": False}, poolclass=NullPool
        )
        self._readers: list[
            Tx
        ] = []  # idle ones; the one that was used last has its pages and statements at hand
        self.turn = threading.Lock()  # to write; it may be given back by another thread than took it
        self._writer: Tx | None = None
        event.listen(self._engine, "connect", _configure)

    @classmethod
    def open(cls, path: Path) -> "Store":
        """The store at `path`, created where there is none. Raises Unsafe."""
        store = cls(path)
        try:
            first = Tx(store._engine.connect())
            store._check(first)
            store._readers.append(first)
            with store._engine.connect() as connection:
                metadata.create_all(connection)
                for table in metadata.sorted_tables:  # in a database that is older than one of its indexes
                    for index in table.indexes:
                        index.create(connection, checkfirst=True)
            store._readers += [Tx(store._engine.connect()) for _ in range(READERS_KEPT - 1)]
        except BROKEN as broke:
            if why := _unwritable(broke):
                raise Unsafe(
                    f"{path} cannot be used: {why}. Nothing was changed; make room, or make it writable, and start again."
                ) from broke
            raise Unsafe(
                f"{path} cannot be used: {getattr(broke, 'orig', broke)}. Nothing was changed; restore it from a copy or move it away."
            ) from broke
        return store

    def _check(self, tx: Tx) -> None:
        for pragma, wanted in PRAGMAS.items():
            got = tx.exec_driver_sql(f"PRAGMA {pragma}").scalar()
            if got != wanted:
                raise Unsafe(
                    f"{self.path}: SQLite says {pragma}={got}, and {wanted} is needed; put the state directory on a local disk."
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
        with self.turn, told():
            tx = self.begin()
            try:
                yield tx
                tx.commit()
            except BaseException as wrong:
                self.undo(tx, wrong)
                raise

    # -- of whoever has the turn to write

    def begin(self) -> Tx:
        """Raises what SQLite does where nothing can be written."""
        try:
            self._writer = self._writer or Tx(self._engine.connect(), writes=True)
            self._writer.begin()
        except BROKEN:
            self._forget_writer()
            raise
        return self._writer

    def undo(self, tx: Tx, wrong: BaseException) -> None:
        """After a fault of the disk nobody knows what the connection holds: the next write opens a new one."""
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


@contextmanager
def told() -> Iterator[None]:
    """Raises Unwritable where it is the disk that broke, and not us."""
    try:
        yield
    except BROKEN as broke:
        if (why := _unwritable(broke)) is None:
            raise
        raise Unwritable(f"the server cannot write its state: {why}") from broke


def _unwritable(broke: Exception) -> str | None:
    """What keeps SQLite from writing, where it is the disk and not us."""
    name = getattr(getattr(broke, "orig", broke), "sqlite_errorname", "")
    found = next((code for code in UNWRITABLE if name.startswith(code)), None)
    return UNWRITABLE[found] if found is not None else None


def _configure(connection, _record) -> None:
    # The driver's own implicit BEGIN is off: it would start a deferred transaction and upgrade it too late.
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    connection.execute(
        "PRAGMA temp_store=memory"
    )  # what a part of a transaction undoes itself with: a file of its own costs 0.2 ms
    for pragma, value in PRAGMAS.items():
        connection.execute(f"PRAGMA {pragma}={value}")
