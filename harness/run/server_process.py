"""Owns the server as a child process: start, watch, start again, stop, and the end of one left by a killed
harness.

Rule: a process is signalled only when it is our child, or its command line names our state directory.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx2

from harness.client import ServerGone
from harness.failure import Exit, VerbFailed

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 10.0
HEALTH_TIMEOUT_S = 5.0
RESTARTS_MAX = 5  # a server that dies more often in one run has a fault that restarting hides
RESTART_PAUSE_S = 0.5
POLL_S = 0.05
LOG_BYTES_MAX = 16 << 20  # of the server's log, which is then kept once more as server.log.1
# the server's exit status for a configuration or cases that cannot be used, each problem told on a line
UNUSABLE = 2
PROBLEMS = "cannot start, mend these first:"  # the line above those
# Where our packages lie. Children start there: in the user's directory a package named `oracle` would hide
# ours.
SOURCES = Path(__file__).resolve().parents[2]


class ServerProcess:
    """A running server child; started again, a bounded number of times, when it dies before `stop`."""

    def __init__(self, argv: Callable[[int], list[str]], state: Path, port: int) -> None:
        self.state = state
        self.log = state / "logs" / "server.log"
        self.restarts = 0
        self._argv = argv
        self._stopping = threading.Event()
        self._child = self._launch(port)
        self.gone = threading.Event()  # set when it died too often: the run cannot go on
        try:
            self.url = self._await_health()
        except BaseException:  # Ctrl-C included: nobody else knows of this child yet
            _end(self._child)
            raise
        self._watcher = threading.Thread(target=self._watch, name="server-watch", daemon=True)
        self._watcher.start()

    @property
    def pid(self) -> int:
        return self._child.pid

    def stop(self) -> None:
        """Send SIGTERM, and SIGKILL after STOP_TIMEOUT_S; return when the process is gone."""
        self._stopping.set()
        self._watcher.join()
        _end(self._child)

    def _launch(self, port: int) -> subprocess.Popen[bytes]:
        (self.state / "server.json").unlink(missing_ok=True)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            # Its own session: Ctrl-C reaches the harness alone, which still needs the server to salvage work.
            return subprocess.Popen(
                self._argv(port),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=SOURCES,
                start_new_session=True,
            )

    def _rotate_log(self) -> None:
        """Begin the log anew if it is long. It stays the same file, to which the server appends."""
        if self.log.stat().st_size > LOG_BYTES_MAX:
            shutil.copyfile(self.log, self.log.with_name(f"{self.log.name}.1"))
            os.truncate(self.log, 0)
            self._log_start = 0

    def _output(self) -> str:
        """Return what this child has logged so far."""
        return self.log.read_bytes()[self._log_start :].decode(errors="replace")

    def _last_line(self) -> str:
        lines = self._output().strip().splitlines()
        return lines[-1] if lines else f"it ended with status {self._child.returncode}"

    def _ended_early(self) -> ServerGone | VerbFailed:
        _, _, problems = self._output().rpartition(f"{PROBLEMS}\n")
        if self._child.returncode != UNUSABLE or not problems:
            return ServerGone(f"the server did not start: {self._last_line()}; see {self.log}")
        count = len(problems.splitlines())
        noun = "problem" if count == 1 else "problems"
        return VerbFailed(f"{problems}{count} {noun}; nothing was started", Exit.USAGE)

    def _await_health(self) -> str:
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline and not self._stopping.is_set():
            if self._child.poll() is not None:
                raise self._ended_early()
            url = _listening_at(self.state / "server.json", self._child.pid)
            if url and _healthy(url):
                return url
            time.sleep(POLL_S)
        _end(self._child)
        raise ServerGone(f"the server was not ready within {START_TIMEOUT_S:.0f} s; see {self.log}")

    def _watch(self) -> None:
        while not self._stopping.wait(RESTART_PAUSE_S):
            if self._child.poll() is None:
                self._rotate_log()
                continue
            if self.restarts >= RESTARTS_MAX:
                self.gone.set()
                return
            self.restarts += 1
            self._child = self._launch(httpx2.URL(self.url).port or 0)
            try:
                self._await_health()
            except (ServerGone, VerbFailed):
                continue  # counted; the next turn of the loop sees the dead child


def start_server(config: Path, state: Path, host: str = "127.0.0.1", port: int = 0) -> ServerProcess:
    """Start the server on `state`, and return when it answers. Raise ServerGone with the log's place, or
    VerbFailed with every problem if what it is to serve cannot be used.
    """
    fixed = [
        sys.executable,
        "-m",
        "mcp_server",
        "--config",
        str(config),
        "--state",
        str(state),
        "--host",
        host,
    ]
    return ServerProcess(lambda at: [*fixed, "--port", str(at)], state, port)


def stop_stray_server(state: Path) -> bool:
    """End the server that a killed harness left on `state`. Return True if there was one."""
    try:
        pid = int(json.loads((state / "server.json").read_text())["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return False
    if not _is_our_server(pid, state):
        return False
    for number, patience_s in ((signal.SIGTERM, STOP_TIMEOUT_S), (signal.SIGKILL, STOP_TIMEOUT_S)):
        os.kill(pid, number)
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            if not _is_our_server(pid, state):
                return True
            time.sleep(POLL_S)
    return True


def _is_our_server(pid: int, state: Path) -> bool:
    """Return True if the process is a server on this very state directory: a pid alone may have been given
    away.
    """
    command = _command_line(pid)
    return "mcp_server" in command and f"--state {state}" in command


def _command_line(pid: int) -> str:
    if Path("/proc/self").exists():
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            return ""
    argv = ["ps", "-ww", "-p", str(pid), "-o", "args="]
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout


def _listening_at(file: Path, pid: int) -> str | None:
    try:
        server = json.loads(file.read_text())
    except (OSError, ValueError):
        return None
    return server.get("url") if server.get("pid") == pid else None


def _healthy(url: str) -> bool:
    try:
        answer = httpx2.get(f"{url}/health", timeout=HEALTH_TIMEOUT_S, trust_env=False)
        return bool(answer.json().get("ok"))
    except (httpx2.TransportError, ValueError):
        return False


def _end(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is None:
        child.terminate()
    try:
        child.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait(STOP_TIMEOUT_S)
