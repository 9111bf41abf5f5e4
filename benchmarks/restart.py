"""`python -m benchmarks.restart`: how long after `kill -9` the server answers a tool call again, with much in
its state.

Rule: from the start of the process to the first answer, imports and recovery and all; beside it in the same
run, in turn, the SDK's server with an empty tool and no state. Processor time stands beside wall time: a busy
machine moves it less.
"""

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import command, empty_server, first_call, project
from benchmarks.command import cpu_s, say
from benchmarks.report import Figure
from harness.failure import Exit, VerbFailed
from harness.run.place import admin_client
from harness.run.server_process import start_server
from harness.run.state import DIRECTORY_NAME, StateDirectory
from mcp_server.audit import Audit, SigningKey
from mcp_server.edge.app import REQUEST_BYTES_MAX
from mcp_server.store import Store

RESTART_S_MAX = 2.0
ANSWER_S = 120.0
POLL_S = 0.005
SOURCES = Path(__file__).parents[1]


@dataclass(frozen=True)
class Size:
    tasks: int
    events: int
    starts: int


FULL = Size(tasks=1_000, events=10_000, starts=7)
QUICK = Size(tasks=20, events=100, starts=1)


@dataclass(frozen=True)
class Start:
    """Until the first answer."""

    wall_s: float
    cpu_s: float


def measure(size: Size) -> tuple[list[Figure], dict[str, Any]]:
    assert empty_server.REQUEST_BYTES_MAX == REQUEST_BYTES_MAX, "the two are served alike"
    machine = command.about()
    with tempfile.TemporaryDirectory(prefix="harness-bench-") as directory:
        config = project.make(Path(directory).resolve() / project.REPO, tasks=size.tasks)
        state = StateDirectory(config.parent / DIRECTORY_NAME)
        token = _fill(config, state, size)
        starts: list[tuple[Start, Start]] = []
        for number in range(size.starts):
            say(f"start {number + 1} of {size.starts}")
            starts.append((_started(config, state, token), _started_empty()))
    ours, empty = zip(*starts, strict=True)
    return _figures(ours, empty, size), machine


def _fill(config: Path, state: StateDirectory, size: Size) -> str:
    """A server's state with so many tasks and events; answers with an agent's token."""
    state.prepare()
    server = start_server(config, state.root)
    try:
        with admin_client(server.url, state) as admin:
            token = admin.create_session("one", "command", door=False).token
    finally:
        server.stop()
    store = Store.open(state.root / "state.db")
    audit = Audit(
        store, SigningKey.open(state.root / "audit" / "key.pem"), state.root / "audit" / "checkpoints"
    )
    with store.write() as tx:
        for number in range(size.events):
            audit.record(
                tx,
                time.time_ns() // 1_000_000,
                "tool_call",
                agent="one",
                tool="write_note",
                args={"text": f"note {number} " * 10},
                status="ok",
                ms=1,
            )
    store.close()
    return token


def _started(config: Path, state: StateDirectory, token: str) -> Start:
    about = state.root / "server.json"

    def url(pid: int) -> str | None:
        run_record = json.loads(about.read_text()) if about.exists() else {}
        return run_record["url"] if run_record.get("pid") == pid else None

    argv = ["mcp_server", "--config", str(config), "--state", str(state.root), "--port", "0"]
    return _until_answered(argv, url, lambda at: b'"tasks"' in first_call.call(at, token))


def _started_empty() -> Start:
    with tempfile.NamedTemporaryFile() as out:
        port_file = Path(out.name)

        def url(_pid: int) -> str | None:
            return (
                f"http://127.0.0.1:{port_file.read_text().strip()}"
                if port_file.read_text().endswith("\n")
                else None
            )

        return _until_answered(
            ["benchmarks.empty_server"],
            url,
            lambda at: b"200 OK" in first_call.call(at, "none", empty_server.NAME),
            port_file,
        )


def _until_answered(
    module: list[str],
    url: Callable[[int], str | None],
    answers: Callable[[str], bool],
    out: Path = Path(os.devnull),
) -> Start:
    began = time.perf_counter()
    with out.open("wb") as to:
        process = subprocess.Popen(
            [sys.executable, "-m", *module],
            cwd=SOURCES,
            stdin=subprocess.DEVNULL,
            stdout=to,
            stderr=subprocess.DEVNULL,
        )
    try:
        while (at := url(process.pid)) is None:
            if process.poll() is not None or time.perf_counter() - began > ANSWER_S:
                raise VerbFailed(f"{module[0]} did not start", Exit.INFRASTRUCTURE)
            time.sleep(POLL_S)
        if not answers(at):
            raise VerbFailed(f"{module[0]} gave no answer", Exit.INFRASTRUCTURE)
        return Start(time.perf_counter() - began, cpu_s(process.pid))
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def _figures(ours: Sequence[Start], empty: Sequence[Start], size: Size) -> list[Figure]:
    wall, cpu = (
        [statistics.median(getattr(start, name) for start in side) for side in (ours, empty)]
        for name in ("wall_s", "cpu_s")
    )
    best = [min(start.wall_s for start in side) for side in (ours, empty)]
    about = (
        f"{size.tasks} tasks, {size.events} events; at best {best[0]:.2f} s; processor {cpu[0]:.2f} s;"
        f" {len(ours)} starts"
    )
    return [
        Figure("restart_s", wall[0], "s", "from kill -9 to the first answered call", RESTART_S_MAX, about),
        Figure(
            "empty_start_s",
            wall[1],
            "s",
            "the SDK's empty server",
            None,
            f"at best {best[1]:.2f} s; processor {cpu[1]:.2f} s",
        ),
        Figure("restart_best_s", best[0], "s"),
        Figure("restart_cpu_s", cpu[0], "s"),
        Figure("empty_start_cpu_s", cpu[1], "s"),
    ]


if __name__ == "__main__":
    sys.exit(
        command.main(
            "restart",
            "How soon a killed server answers again.",
            lambda quick: measure(QUICK if quick else FULL),
        )
    )
