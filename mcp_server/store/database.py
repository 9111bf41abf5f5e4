"""The database file: opened with the settings that durability needs, and refused where they do not hold.

Writers queue on one lock, so that SQLite's own busy handler (which backs off by up to a second) never runs.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.exc import DatabaseError

from mcp_server.store.schema import metadata

Tx = Connection

BUSY_TIMEOUT_MS = 10_000
PRAGMAS = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "cell_size_check": 1}  # 2 = FULL


class Unsafe(Exception):
    """The database cannot be used safely: the message says what is wrong and what to do."""


class Store:
    """Opens transactions. `write` is serialised and durable when it returns; `read` sees one consistent snapshot."""

    def __init__(self, path: Path):
        self.path = path
        self._engine = create_engine(f"sqlite:///{path}", connect_args={"check_same_thread": False})
        self._writing = threading.Lock()
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
        with self._writing, self._engine.connect() as connection:
            tx = connection.execution_options(writes=True)
            with tx.begin():
                yield tx

    def close(self) -> None:
        self._engine.dispose()


def _configure(connection, _record) -> None:
    # The driver's own implicit BEGIN is off: it would start a deferred transaction and upgrade it too late.
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    for pragma, value in PRAGMAS.items():
        connection.execute(f"PRAGMA {pragma}={value}")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("writes") else "BEGIN")
