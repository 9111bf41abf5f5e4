"""A database has a version: an older one is migrated with a copy beside it, any other is refused in one
sentence.
"""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from mcp_server import faults
from mcp_server.store import Store, Unsafe, meta, version
from mcp_server.store.migrations import REVISIONS, running
from mcp_server.store.schema import metadata
from tests.waiting import BOUND_S

from .test_old_states import RELEASES, Unpacked, unpack

SOURCES = Path(__file__).resolve().parents[2]
KILLED = -signal.SIGKILL


def run(path: Path, *statements: str) -> None:
    database = sqlite3.connect(path)
    with database:
        for sql in statements:
            database.execute(sql)
    database.close()


def rows(path: Path, sql: str) -> list[tuple]:
    database = sqlite3.connect(path)
    try:
        return database.execute(sql).fetchall()
    finally:
        database.close()


def dump(path: Path) -> list[str]:
    database = sqlite3.connect(path)
    try:
        return list(database.iterdump())
    finally:
        database.close()


def layout(path: Path) -> dict[str, object]:
    """Return columns, keys and indexes as SQLite tells them, whatever the words that made them."""
    found: dict[str, object] = {}
    for name, kind, sql in rows(path, "SELECT name, type, sql FROM sqlite_master"):
        if kind == "table":
            columns = rows(
                path, f"SELECT name, type, \"notnull\", dflt_value, pk FROM pragma_table_info('{name}')"
            )
            uniques = rows(path, f"SELECT \"unique\", origin, partial FROM pragma_index_list('{name}')")
            found[name] = (sorted(columns), sorted(uniques))
        elif sql is not None:
            found[name] = sql
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database of the newest version."""
    Store.open(tmp_path / "state.db").close()
    return tmp_path / "state.db"


@pytest.fixture
def old(tmp_path: Path) -> Unpacked:
    """The state of the first release."""
    [release] = [file for file in RELEASES if file.name == "first-release.tar.gz"]
    return unpack(release, tmp_path)


def serve(old: Unpacked, fault: str = "") -> subprocess.CompletedProcess[str]:
    """Start a real server on the state. It ends at `fault`, or because it cannot start."""
    argv = [sys.executable, "-m", "mcp_server", "--config", str(old.root / "project/harness.toml")]
    return subprocess.run(
        [*argv, "--state", str(old.root / "state"), "--port", "0"],
        env=os.environ | ({faults.VARIABLE: fault} if fault else {}),
        cwd=SOURCES,
        capture_output=True,
        text=True,
        timeout=BOUND_S,
    )


def test_a_new_database_is_what_all_migrations_make(path: Path, tmp_path: Path) -> None:
    migrated = tmp_path / "migrated.db"
    with create_engine(f"sqlite:///{migrated}").begin() as connection:
        running.upgrade(connection)
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    assert layout(path) == layout(migrated)
    assert rows(path, "SELECT * FROM alembic_version") == rows(migrated, "SELECT * FROM alembic_version")


def test_the_versions_are_one_line_in_the_order_of_their_numbers() -> None:
    scripts = ScriptDirectory.from_config(running.settings(None))
    assert tuple(script.revision for script in scripts.walk_revisions())[::-1] == REVISIONS
    assert REVISIONS[0] == version.BASELINE and REVISIONS[-1] == version.NEWEST


def test_the_first_release_is_migrated_and_kept_as_it_was(old: Unpacked) -> None:
    before = dump(old.database)
    Store.open(old.database).close()
    assert rows(old.database, "SELECT version_num FROM alembic_version") == [(version.NEWEST,)]
    assert rows(old.database, f"SELECT value FROM meta WHERE key = '{version.MADE_BY}'") == [
        (version.release(),)
    ]
    copy = old.database.with_name(f"state.db.before-{version.NEWEST}")
    assert dump(copy) == before
    assert sorted(file.name for file in copy.parent.glob("state.db*")) == ["state.db", copy.name]
    assert rows(copy, "SELECT told FROM crew") == rows(old.database, "SELECT member FROM crew") != []
    changed_ns = copy.stat().st_mtime_ns
    Store.open(old.database).close()
    assert copy.stat().st_mtime_ns == changed_ns, "the next start migrates nothing"


def test_a_start_without_a_migration_does_not_import_alembic(path: Path) -> None:
    opens = "import pathlib, sys; from mcp_server.store import Store; Store.open(pathlib.Path(sys.argv[1])); "
    done = subprocess.run(
        [sys.executable, "-c", opens + "sys.exit('alembic' in sys.modules)", str(path)], cwd=SOURCES
    )
    assert done.returncode == 0


@pytest.mark.parametrize("point", [point for point in faults.POINTS if point.startswith("migration.")])
def test_a_crash_in_a_migration_leaves_the_old_or_the_new_and_the_copy(old: Unpacked, point: str) -> None:
    before = dump(old.database)
    assert serve(old, point).returncode == KILLED
    copy = old.database.with_name(f"state.db.before-{version.NEWEST}")
    assert dump(copy) == before
    is_new = point == "migration.committed"
    assert (dump(old.database) == before) is not is_new
    Store.open(old.database).close()
    assert rows(old.database, "SELECT version_num FROM alembic_version") == [(version.NEWEST,)]
    assert dump(copy) == before


def test_a_migration_is_one_line_in_the_log(old: Unpacked) -> None:
    done = serve(old, "start.imported")
    assert done.returncode == KILLED
    told = [line for line in done.stderr.splitlines() if "migrat" in line.lower() or "alembic" in line]
    assert len(told) == 1 and f"from version 0001 to {version.NEWEST}" in told[0], done.stderr


def test_a_migration_that_fails_changes_nothing(old: Unpacked) -> None:
    run(old.database, "ALTER TABLE leases DROP COLUMN pinned")
    before = dump(old.database)
    with pytest.raises(Unsafe, match=r"column leases\.pinned"):
        Store.open(old.database)
    assert dump(old.database) == before


def drop(table: str) -> Callable[[Path], None]:
    return lambda path: run(path, f"DROP TABLE {table}")


def newer(path: Path) -> None:
    made_by = f"UPDATE meta SET value = 'harness 9.1' WHERE key = '{version.MADE_BY}'"
    run(path, "UPDATE alembic_version SET version_num = '0999'", made_by)


def foreign(path: Path) -> None:
    path.unlink()
    run(path, "PRAGMA journal_mode=wal", "CREATE TABLE recipes (id INTEGER)")


UNUSABLE: dict[str, tuple[Callable[[Path], None], str]] = {
    "newer": (newer, "has version 0999, made by harness 9.1, and .* start the release that made it"),
    "no table": (drop("notes"), "is damaged: the table notes"),
    "no column": (lambda path: run(path, "ALTER TABLE tasks DROP COLUMN brief"), r"the column tasks\.brief"),
    "no SQLite": (lambda path: path.write_bytes(b"no database" * 1_000), "file is not a database"),
    "somebody else's": (foreign, "is not a harness's database"),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_what_cannot_be_used_is_refused_in_one_sentence_and_left_alone(old: Unpacked, case: str) -> None:
    Store.open(old.database).close()
    spoil, sentence = UNUSABLE[case]
    spoil(old.database)
    before = old.database.read_bytes()
    done = serve(old)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    [line] = [line for line in done.stderr.splitlines() if line.startswith("cannot start: ")]
    assert pytest.raises(Unsafe, Store.open, old.database).match(sentence)
    assert str(old.database) in line and "othing was changed" in line
    assert old.database.read_bytes() == before


def test_a_database_says_which_release_made_it(path: Path) -> None:
    store = Store.open(path)
    with store.read() as tx:
        assert meta.get(tx, version.MADE_BY) == version.release()
    store.close()
