"""Owns the state directory: where everything of a run lies, and the lock that lets one run at a time use it.

Rule: who holds run.lock owns the directory; run.json only tells others who that is.
"""

import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

LOCK_WAIT_S = 1.0  # `status` and `down` try the lock for an instant; a starting run must outlast them
DIRECTORY_NAME = ".harness"
LABEL_DIGITS = 12


class StateBusy(Exception):
    """Another process holds the state directory."""


@dataclass(frozen=True)
class RunFile:
    """What run.json says of the process that holds the lock."""

    pid: int
    started_ms: int
    url: str | None = None
    running: bool = False  # true once the agents are started: what `up --detach` waits for


@dataclass(frozen=True)
class StateDirectory:
    root: Path

    @property
    def label(self) -> str:
        """What the boxes and volumes of a run here are labelled with; a later run on this directory can sweep
        them.
        """
        return hashlib.sha256(str(self.root).encode()).hexdigest()[:LABEL_DIGITS]

    @property
    def run_file(self) -> Path:
        return self.root / "run.json"

    @property
    def server_file(self) -> Path:
        return self.root / "server.json"

    @property
    def database(self) -> Path:
        return self.root / "state.db"

    @property
    def doors(self) -> Path:
        return self.root / "doors"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def server_log(self) -> Path:
        return self.logs / "server.log"

    @property
    def up_log(self) -> Path:
        return self.logs / "up.log"

    def token(self, role: str) -> str | None:
        """Return the `admin` or `runner` token that the server wrote; None before it ever ran."""
        try:
            return (self.root / "tokens" / role).read_text().strip() or None
        except FileNotFoundError:
            return None

    def server_url(self) -> str | None:
        """Return where the server said that it listens; it may be gone by now."""
        server = _read_json(self.server_file)
        return server.get("url") if server else None

    def run(self) -> RunFile | None:
        """Return what run.json says; None if there is none to read."""
        value = _read_json(self.run_file)
        if not value or not isinstance(value.get("pid"), int):
            return None
        return RunFile(value["pid"], value.get("started_ms", 0), value.get("url"), bool(value.get("running")))

    def is_held(self) -> bool:
        """Return True while a process holds the lock."""
        if not self.root.is_dir():
            return False
        try:
            with self._lock().acquire(timeout=0):
                return False
        except Timeout:
            return True

    def session_logs(self, agent: str) -> list[Path]:
        """Return the agent's session logs, oldest first."""
        files = (self.logs / agent).glob("*.log")
        return sorted(files, key=lambda log: (log.stat().st_mtime_ns, log.name))

    def agents_with_logs(self) -> list[str]:
        return sorted(entry.name for entry in self.logs.glob("*") if entry.is_dir())

    def prepare(self) -> None:
        """Make the directory, unseen by the git repository around it and closed to other users."""
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)  # tokens and agents' work lie below
        ignore = self.root / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n")
        self.logs.mkdir(exist_ok=True)

    @contextmanager
    def hold(self) -> Iterator["Hold"]:
        """Hold the directory for one run; raise StateBusy if another process does. `Hold.stale` tells of a
        run that never said goodbye.
        """
        self.prepare()
        try:
            lock = self._lock().acquire(timeout=LOCK_WAIT_S)
        except Timeout:
            raise StateBusy(_busy(self)) from None
        with lock:
            yield Hold(self, stale=self.run())

    def _lock(self) -> FileLock:
        return FileLock(self.root / "run.lock")


class Hold:
    """The held directory; only its holder writes run.json."""

    def __init__(self, state: StateDirectory, stale: RunFile | None) -> None:
        self._state = state
        self.stale = stale

    def announce(self, run: RunFile) -> None:
        partial = self._state.run_file.with_suffix(".new")
        partial.write_text(json.dumps(asdict(run)))
        partial.replace(self._state.run_file)

    def say_running(self) -> None:
        run = self._state.run()
        assert run is not None, "announced before it runs"
        self.announce(replace(run, running=True))

    def goodbye(self) -> None:
        self._state.run_file.unlink(missing_ok=True)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def _busy(state: StateDirectory) -> str:
    run = state.run()
    who = f"process {run.pid}" if run else "another process"
    return f"{who} already uses {state.root}; `harness status` shows it, `harness down` stops it"


def _read_json(file: Path) -> dict[str, Any] | None:
    try:
        value = json.loads(file.read_text())
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None
