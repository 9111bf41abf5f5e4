"""The version of a state: which one a database has, and how an older one becomes the newest.

Rule: a start leaves the database as it was, or whole in its newest version with a copy of the older one
beside it. Whatever is in the middle is one transaction. A version is the number of a migration; there is no
way back but the copy.
"""

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from pathlib import Path

from sqlalchemy import Connection, delete, insert, select

from mcp_server import faults
from mcp_server.disk import sync
from mcp_server.store.migrations import REVISIONS
from mcp_server.store.schema import events, meta, metadata, schema_version
from mcp_server.store.unusable import Unsafe

BASELINE = "0001"  # of the first release, whose databases say no version
NEWEST = REVISIONS[-1]
MADE_BY = "made by"  # in meta: the release that gave the database its version
EVERY_COLUMN_AND_INDEX = """
SELECT entry.name, field.name FROM sqlite_master AS entry, pragma_table_info(entry.name) AS field
WHERE entry.type = 'table'
UNION ALL SELECT name, NULL FROM sqlite_master WHERE type = 'index'
"""
log = logging.getLogger(__name__)


@dataclass
class Layout:
    """What a database consists of: columns by table, and indexes."""

    tables: dict[str, set[str]] = field(default_factory=dict)
    indexes: set[str] = field(default_factory=set)


def make_current(connection: Connection, path: Path) -> None:
    """Create what is not there, and migrate what is older. Raise Unsafe if the database is of a newer
    version, or lacks what its version has.
    """
    with connection.begin():
        layout = _layout(connection)
        revision = _revision(connection, layout, path) if layout.tables else None
    if revision is None:
        _create(connection)
    elif revision not in REVISIONS:
        raise Unsafe(_too_new(connection, path, revision))
    elif revision != NEWEST:
        _migrate(connection, path, revision, is_stamped=schema_version.name in layout.tables)
    else:
        _require_all(layout, path)
        _restore_indexes(connection, layout)


def copy_of(path: Path) -> Path:
    """Return where the database is kept as it was before its migration to the newest version."""
    return path.with_name(f"{path.name}.before-{NEWEST}")


def release() -> str:
    """Return the name of this release, as a person would look for it."""
    try:
        return f"harness {installed_version('harness-swarm')}"
    except PackageNotFoundError:
        return "a harness that was not installed"


def _layout(connection: Connection) -> Layout:
    layout = Layout()
    for name, column in connection.exec_driver_sql(EVERY_COLUMN_AND_INDEX):
        if column is None:
            layout.indexes.add(name)
        else:
            layout.tables.setdefault(name, set()).add(column)
    return layout


def _revision(connection: Connection, layout: Layout, path: Path) -> str:
    if schema_version.name in layout.tables:
        return connection.execute(select(schema_version.c.version_num)).scalar() or BASELINE
    if events.name not in layout.tables:
        raise Unsafe(
            f"{path} is not a harness's database: it holds no events; "
            "nothing was changed, so move it away or choose another state directory."
        )
    return BASELINE


@contextmanager
def _transaction(connection: Connection) -> Iterator[None]:
    """Hold the database for writing; commit at the end, or undo everything if the block raises."""
    with connection.begin():
        # The driver begins none by itself (database.py), so SQLAlchemy's own has no effect until here.
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield


def _create(connection: Connection) -> None:
    with _transaction(connection):
        metadata.create_all(connection, checkfirst=False)
        connection.execute(insert(schema_version).values(version_num=NEWEST))
        _sign(connection)


def _sign(connection: Connection) -> None:
    connection.execute(delete(meta).where(meta.c.key == MADE_BY))
    connection.execute(insert(meta).values(key=MADE_BY, value=release()))


def _migrate(connection: Connection, path: Path, revision: str, *, is_stamped: bool) -> None:
    # Alembic takes 0.2 s to import, and nearly every start does without.
    from mcp_server.store.migrations import running

    _copy_aside(connection, copy_of(path))
    faults.reached("migration.copied")
    with _transaction(connection):
        if not is_stamped:
            running.stamp(connection, revision)
        running.upgrade(connection)
        _sign(connection)
        layout = _layout(connection)
        _require_all(layout, path)
        faults.reached("migration.written")
    faults.reached("migration.committed")
    _restore_indexes(connection, layout)
    log.info(
        "%s was migrated from version %s to %s; as it was before it is kept in %s",
        path,
        revision,
        NEWEST,
        copy_of(path),
    )


def _copy_aside(connection: Connection, copy: Path) -> None:
    """Copy the database, so that after a power loss the copy is there whole or not at all."""
    source = connection.connection.driver_connection
    assert isinstance(source, sqlite3.Connection)
    partial = copy.with_name(f"{copy.name}.new")
    partial.unlink(missing_ok=True)
    try:
        target = sqlite3.connect(partial)
        try:
            source.backup(target)
        finally:
            target.close()
        sync(partial)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    os.replace(partial, copy)
    sync(copy.parent)


def _require_all(layout: Layout, path: Path) -> None:
    """Raise Unsafe if a table or a column of the newest version is not there."""
    for table in metadata.sorted_tables:
        if table.name not in layout.tables:
            raise Unsafe(_damaged(path, f"the table {table.name}"))
        for column in table.columns:
            if column.name not in layout.tables[table.name]:
                raise Unsafe(_damaged(path, f"the column {table.name}.{column.name}"))


def _restore_indexes(connection: Connection, layout: Layout) -> None:
    """Make the indexes that are not there: they hold nothing that the tables do not."""
    indexes = [index for table in metadata.sorted_tables for index in table.indexes]
    missing = [index for index in indexes if index.name not in layout.indexes]
    if missing:
        with _transaction(connection):
            for index in missing:
                index.create(connection)


def _damaged(path: Path, part: str) -> str:
    return (
        f"{path} is damaged: {part}, which every state of version {NEWEST} has, is not there; "
        "nothing was changed, so restore it from a copy or move the state directory away."
    )


def _too_new(connection: Connection, path: Path, revision: str) -> str:
    with connection.begin():
        made_by = connection.execute(select(meta.c.value).where(meta.c.key == MADE_BY)).scalar()
    return (
        f"{path} has version {revision}, made by {made_by or 'an unknown release'}, and {release()} knows "
        f"versions up to {NEWEST}; nothing was changed, so start the release that made it or a later one, "
        "or move the state directory away."
    )
