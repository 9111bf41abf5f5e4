"""A full disk, a read-only one, a damaged file, a clock that jumps: clear words, nothing broken, and work
again once it is over.
"""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from mcp_server.store import Store, Unsafe
from mcp_server.store.database import PRAGMAS
from tests.waiting import BOUND_S, until

from . import toy, wide
from .conftest import Server
from .wide import refused, settled

DISK = "24m"
FAILING_DISK_BYTES = 64 << 20
HOUR_MS = 3_600_000

mounts = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("mount") is None, reason="a small disk is mounted, which needs root"
)


@contextmanager
def small_disk(where: Path) -> Iterator[Path]:
    where.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(where)], capture_output=True, text=True
    )
    if made.returncode:
        pytest.skip(f"nothing can be mounted here: {made.stderr.strip()}")
    try:
        yield where
    finally:
        subprocess.run(["umount", "-l", str(where)], check=True)


class FailingDisk:
    """An ext4 file system in a file, that becomes read-only under its users as a real one does: after a fault
    of its own.
    """

    def __init__(self, root: Path):
        self.image, self.where = root / "disk.img", root / "disk"
        self.where.mkdir()
        with open(self.image, "wb") as image:
            image.truncate(FAILING_DISK_BYTES)
        self._run("mkfs.ext4", "-q", str(self.image))
        self.mount()

    def mount(self) -> None:
        self._run("mount", "-o", "loop,errors=remount-ro", str(self.image), str(self.where))

    def fail(self) -> None:
        source = subprocess.run(
            ["findmnt", "-no", "SOURCE", str(self.where)], check=True, capture_output=True, text=True
        ).stdout.strip()
        trigger = Path("/sys/fs/ext4", Path(source).name, "trigger_fs_error")
        if not trigger.exists():
            pytest.skip("this kernel's ext4 has no faults on demand")
        trigger.write_text("a fault on demand\n")

    def mend(self) -> None:
        """As a person does: nothing may use it meanwhile."""
        self.unmount()
        subprocess.run(
            ["e2fsck", "-fy", str(self.image)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self.mount()

    def unmount(self) -> None:
        self._run("umount", str(self.where))

    @staticmethod
    def _run(*argv: str) -> None:
        done = subprocess.run(argv, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"no disk can be made here: {done.stderr.strip()}")


def fill(disk: Path) -> Path:
    """Takes the last byte; answers with what to remove to have room again."""
    filler = disk / "filler"
    with open(filler, "wb", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            with suppress(OSError):
                while True:
                    file.write(b"x" * size)
    return filler


@mounts
def test_a_full_disk_is_told_in_words_breaks_nothing_and_ends_with_room(tmp_path: Path):
    with small_disk(tmp_path / "state") as disk:
        server = Server(wide.project(tmp_path / "project"), disk, wide.WAIT_S)
        try:
            one, two = server.agent("one"), server.agent("two")
            claimed = one.call("claim_task", task="M01")
            clone = one.clone(tmp_path / "clone")
            commit = one.commit(clone, {"m01/x": "1\n"})
            filler = fill(disk)
            for agent, tool, args in (
                (two, "claim_task", {"task": "M02"}),
                (one, "list_tasks", {}),
                (one, "push", {"fence": claimed["fence"], "commit": commit, "summary": "x"}),
                (one, "release_task", {"fence": claimed["fence"], "outcome": "abandoned"}),
            ):
                answer = refused(agent.call(tool, **args), "unavailable")
                assert "disk is full" in answer["happened"] and "again" in answer["next"]
            toy.git("commit", "-q", "--allow-empty", "-m", "more", cwd=clone)
            (clone / "m01/big").write_bytes(os.urandom(1 << 16))
            toy.git("add", "-A", cwd=clone)
            toy.git("commit", "-qm", "big", cwd=clone)
            assert "No space left" in toy.git(
                "push", "origin", f"HEAD:refs/agents/one/{one.session}", cwd=clone, check=False
            )
            with server.http() as http:
                told = http.post("/api/sessions", json={"agent": "three", "kind": "command", "door": False})
                assert (told.status_code, told.json()["error"]) == (503, "unavailable")
                assert http.get("/api/audit/verify").json()["ok"] and http.get("/health").status_code == 200
            filler.unlink()
            with wide.running(server):
                assert one.call("claim_task")["fence"] == claimed["fence"], (
                    "the lease that was told of is still there"
                )
                assert two.call("claim_task", task="M02")["fence"] == claimed["fence"] + 1, (
                    "what was refused took no fence"
                )
                assert (
                    settled(one, "push", fence=claimed["fence"], commit=commit, summary="x")["status"]
                    == "landed"
                )
            with server.http() as http:
                assert http.get("/api/audit/verify").json()["problems"] == []
        finally:
            server.stop()
        assert toy.git("fsck", "--no-dangling", cwd=disk / "repos/toy.git") == ""


@mounts
@pytest.mark.parametrize("hard", ["read-only", "full"])
def test_a_disk_that_takes_nothing_stops_the_start_in_one_line(tmp_path: Path, hard: str):
    project = wide.project(tmp_path / "project")
    with small_disk(tmp_path / "state") as disk:
        server = Server(project, disk)
        server.stop()
        before = fill(disk) if hard == "full" else None
        subprocess.run(
            ["mount", "-o", f"remount,{'ro' if hard == 'read-only' else 'rw'}", str(disk)], check=True
        )
        argv = [
            sys.executable,
            "-m",
            "mcp_server",
            "--config",
            str(project / "harness.toml"),
            "--state",
            str(disk),
            "--port",
            "0",
        ]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=BOUND_S)
        assert (
            done.returncode == 1
            and done.stderr.startswith("cannot start: ")
            and "Traceback" not in done.stderr
        ), done.stderr
        assert "ead-only" in done.stderr or "full" in done.stderr or "No space" in done.stderr, done.stderr
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
        if before is not None:
            before.unlink()
        server.start()
        try:
            assert server.agent("one").call("claim_task")["status"] == "leased"
        finally:
            server.stop()


@mounts
@pytest.mark.skipif(
    not all(map(shutil.which, ("mkfs.ext4", "e2fsck", "findmnt"))), reason="needs the tools of ext4"
)
def test_a_disk_that_turns_read_only_under_the_server_is_told_in_words_and_loses_nothing(tmp_path: Path):
    disk = FailingDisk(tmp_path)
    try:
        server = Server(wide.project(tmp_path / "project"), disk.where / "state", wide.WAIT_S)
        try:
            one, two = server.agent("one"), server.agent("two")
            claimed = one.call("claim_task", task="M01")
            disk.fail()
            for agent, tool, args in (
                (two, "claim_task", {"task": "M02"}),
                (one, "list_tasks", {}),
                (one, "release_task", {"fence": claimed["fence"], "outcome": "abandoned"}),
            ):
                answer = refused(agent.call(tool, **args), "unavailable")
                assert "read-only" in answer["happened"] and "again" in answer["next"]
            with server.http() as http:
                assert http.get("/api/audit/verify").json()["ok"] and http.get("/health").status_code == 200
        finally:
            server.stop()
        disk.mend()
        server.start()
        try:
            assert one.call("claim_task")["fence"] == claimed["fence"], (
                "the lease that was told of is still there"
            )
            assert two.call("claim_task", task="M02")["fence"] == claimed["fence"] + 1, (
                "what was refused took no fence"
            )
            with server.http() as http:
                assert http.get("/api/audit/verify").json()["problems"] == []
        finally:
            server.stop()
    finally:
        disk.unmount()


def test_a_clock_that_jumps_back_and_forth_revives_nothing_and_loses_nothing(
    server: Server, runner: toy.LocalRunner, tmp_path: Path
):
    one, two = server.agent("one"), server.agent("two")
    first = one.call("claim_task", task="T02")
    server.clock.ahead_ms -= HOUR_MS
    assert one.call("claim_task")["fence"] == first["fence"], "a clock that went back ends nothing"
    refused(two.call("claim_task", task="T02"), "held")
    server.clock.ahead_ms += 2 * HOUR_MS
    second = two.call("claim_task", task="T02")
    assert second["fence"] > first["fence"], "its time was up"
    server.clock.ahead_ms -= 2 * HOUR_MS
    commit = one.commit(one.clone(tmp_path / "one"), {"count/x": "1\n"})
    refused(one.call("push", fence=first["fence"], commit=commit, summary="late"), "stale_fence")
    refused(one.call("claim_task", task="T02"), "held")
    work = two.commit(two.clone(tmp_path / "two"), {"count/y": "1\n"})
    assert settled(two, "push", fence=second["fence"], commit=work, summary="Count")["status"] == "landed"
    with server.http() as http:
        signed = http.get("/api/audit/verify").json()["checkpoints"]
        one.call("write_note", topic="clock", text="went back")
        until(
            lambda: http.get("/api/audit/verify").json()["checkpoints"] > signed
        )  # though by the clock it is long before the last one
        assert http.get("/api/audit/verify").json()["problems"] == []


def test_a_database_that_is_not_kept_as_durability_needs_is_refused():
    assert PRAGMAS["journal_mode"] == "wal" and PRAGMAS["synchronous"] == 2
    with pytest.raises(Unsafe, match="journal_mode=memory, and wal is needed"):
        Store.open(Path(":memory:"))


@pytest.mark.parametrize("pragma", sorted(PRAGMAS))
def test_every_setting_is_read_back_at_the_start(tmp_path: Path, pragma: str):
    class Forgetful(Store):
        """A driver with a will of its own: it takes the setting, and has another."""

        def _check(self, tx) -> None:
            tx.driver.execute(f"PRAGMA {pragma}={'delete' if pragma == 'journal_mode' else 0}")
            super()._check(tx)

    with pytest.raises(Unsafe, match=pragma):
        Forgetful.open(tmp_path / "state.db")


def test_a_damaged_database_is_refused_and_left_alone(tmp_path: Path):
    path = tmp_path / "state.db"
    Store.open(path).close()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    damaged = bytearray(path.read_bytes())
    damaged[4096 * 2 : 4096 * 3] = os.urandom(4096)
    path.write_bytes(damaged)
    with pytest.raises(Unsafe):
        Store.open(path)
    assert path.read_bytes() == damaged


def test_every_git_process_syncs_all_that_it_writes(tmp_path: Path):
    """Read back by git itself, from a repository that the server has made."""
    from mcp_server.repos.repository import Repository

    made = Repository.create(tmp_path / "bare.git")
    assert toy.git("config", "--get", "core.fsync", cwd=made.path) == "all"
    toy.git("config", "core.fsync", "none", cwd=made.path)
    Repository.open(made.path)
    assert toy.git("config", "--get", "core.fsync", cwd=made.path) == "all", "set again at every start"
