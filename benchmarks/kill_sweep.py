"""Owns what a `kill -9` of the harness leaves, and how long the next `harness up` takes to remove it. Rule:
both runs are real ones, processes of their own.
"""

import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import project
from benchmarks.report import Figure
from harness.boxes import sandbox
from harness.boxes.containers import Engine
from harness.failure import Exit, VerbFailed
from harness.run.server_process import SOURCES, stop_stray_server
from harness.run.state import DIRECTORY_NAME, StateDirectory

UP_WITHIN_S = 300.0  # a first run may build the oracle's images
SWEPT_WITHIN_S = 60.0
END_WITHIN_S = 90.0
POLL_S = 0.1
RECOVERED = "recovered from run"


@dataclass(frozen=True)
class Things:
    """What a run has on the machine: ids of boxes, names of volumes, its server's process."""

    boxes: frozenset[str]
    volumes: frozenset[str]
    servers: frozenset[int]

    @property
    def count(self) -> int:
        return len(self.boxes) + len(self.volumes) + len(self.servers)

    def still(self, now: "Things") -> "Things":
        return Things(self.boxes & now.boxes, self.volumes & now.volumes, self.servers & now.servers)


def measure(engine: Engine, sleepers: int) -> list[Figure]:
    with _project(engine, sleepers) as state:
        orphans = _killed(engine, state, sleepers)
        with _up(state) as second:
            swept_s = _until_line(second, RECOVERED, SWEPT_WITHIN_S)
            left = orphans.still(things(engine, state))
            _wait(
                lambda: second.poll() is not None or _works(state, second.pid),
                UP_WITHIN_S,
                "the next run did not work",
            )
            second.send_signal(signal.SIGINT)
            _until_ended(second)
        at_end = things(engine, state)
    assert orphans.count, "a killed run leaves its boxes: else nothing was measured"
    about = (
        f"of {len(orphans.boxes)} boxes, {len(orphans.volumes)} volumes, {len(orphans.servers)} server; by"
        f" the next harness up {swept_s:.2f} s after its start"
    )
    return [
        Figure("sweep_left", left.count, "", "left of a harness killed with -9", 0, about),
        Figure("sweep_orphans", orphans.count, ""),
        Figure("sweep_s", swept_s, "s"),
        Figure("sweep_left_at_end", at_end.count, "", "left when that run was interrupted", 0),
    ]


@contextmanager
def _project(engine: Engine, sleepers: int) -> Iterator[StateDirectory]:
    with tempfile.TemporaryDirectory(prefix="harness-bench-", ignore_cleanup_errors=True) as directory:
        root = Path(directory).resolve() / "killed"
        project.make(root, sleepers=sleepers)
        state = StateDirectory(root / DIRECTORY_NAME)
        try:
            yield state
        finally:
            stop_stray_server(state.root)
            sandbox.sweep_run(engine, state.label)


def _killed(engine: Engine, state: StateDirectory, sleepers: int) -> Things:
    """Starts a run, and kills it once every agent is in its box; what it leaves."""
    with _up(state) as first:
        _wait(
            lambda: first.poll() is not None or agents(engine, state) == sleepers,
            UP_WITHIN_S,
            "no box for every agent",
        )
        if first.poll() is not None:
            raise VerbFailed(f"the run ended before it was killed: {_rest(first)}", Exit.INFRASTRUCTURE)
        first.kill()
        first.wait()
    return things(engine, state)


@contextmanager
def _up(state: StateDirectory) -> Iterator[subprocess.Popen[bytes]]:
    argv = [
        sys.executable,
        "-m",
        "harness",
        "up",
        "--plain",
        "--config",
        str(state.root.parent / "harness.toml"),
    ]
    # In its own session: Ctrl-C is ours, and we end it. Unbuffered, so that a line is read when it is said.
    running = subprocess.Popen(
        argv,
        cwd=SOURCES,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    with running:
        try:
            yield running
        finally:
            if running.poll() is None:
                running.kill()


def _until_line(running: subprocess.Popen[bytes], words: str, within_s: float) -> float:
    """Seconds until the process says it."""
    began, output = time.monotonic(), b""
    assert running.stdout is not None
    with selectors.DefaultSelector() as ready:
        ready.register(running.stdout, selectors.EVENT_READ)
        while (left_s := within_s - (time.monotonic() - began)) > 0:
            if not ready.select(left_s):
                continue
            chunk = os.read(running.stdout.fileno(), 65536)
            output += chunk
            if words.encode() in output:
                return time.monotonic() - began
            if not chunk:
                break
    raise VerbFailed(
        f"`harness up` did not say {words!r}: {output.decode(errors='replace')[-300:]}", Exit.INFRASTRUCTURE
    )


def _until_ended(running: subprocess.Popen[bytes]) -> None:
    try:
        running.communicate(timeout=END_WITHIN_S)
    except subprocess.TimeoutExpired as late:
        raise VerbFailed(
            f"`harness up` did not end within {END_WITHIN_S:.0f} s of an interrupt", Exit.INFRASTRUCTURE
        ) from late


def _rest(ended: subprocess.Popen[bytes]) -> str:
    output, _ = ended.communicate()
    return output.decode(errors="replace").strip()[-500:]


def _works(state: StateDirectory, pid: int) -> bool:
    run = state.run()
    return run is not None and run.pid == pid and run.running


def agents(engine: Engine, state: StateDirectory) -> int:
    return len(engine.list({sandbox.RUN: state.label, sandbox.KIND: "agent"}, running_only=True))


def things(engine: Engine, state: StateDirectory) -> Things:
    label = {sandbox.RUN: state.label}
    return Things(
        frozenset(box.id for box in engine.list(label)),
        frozenset(engine.volumes(label)),
        servers_below(state.root),
    )


def servers_below(directory: Path) -> frozenset[int]:
    """Processes that serve a state directory there."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it has ended meanwhile
            continue
        if "mcp_server" in command and f"--state {directory}" in command:
            found.add(int(entry.parent.name))
    return frozenset(found)


def _wait(condition: Callable[[], bool], within_s: float, otherwise: str) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            raise VerbFailed(f"{otherwise} within {within_s:.0f} s", Exit.INFRASTRUCTURE)
        time.sleep(POLL_S)
