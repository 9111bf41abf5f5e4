"""A small project with a real server process over it, and runners for its jobs: threads of this process, or
processes of their own.

Rule: the runner in another process is the harness's own, and the server is too; both only learn of silence
sooner than after 30 s.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.boxes import sandbox
from harness.boxes.containers import Engine
from harness.client import ServerClient, ServerGone
from harness.oracle_runner.runner import Runner
from harness.run.place import admin_client
from harness.run.server_process import SOURCES, ServerProcess
from harness.run.state import DIRECTORY_NAME, StateDirectory
from oracle.cases.spec import Suite
from tests.waiting import BOUND_S, until

LOST_MS, RENEW_S = 3_000, 0.5
MEMORY_MB = 256
NAME = "runner-1"  # of every runner: each host calls its first one so
# how long a case takes that begins with "slow": an argument that no other process on the machine has
SLOW_S = f"1.0{os.getpid():07}"
SERVER = f"""
import sys
from mcp_server.__main__ import main
from mcp_server.use_cases.oracle import jobs
from mcp_server.use_cases.oracle import suite_images
jobs.LOST_MS = suite_images.LOST_MS = {LOST_MS}
sys.exit(main())
"""
RUNNER = "import sys; from tests.containers import judged; judged.serve(*sys.argv[1:])"
CONFIG = """\
[run]
name = "judged"
port = 0
oracle_slots = 1

[repos.toy]
path = "."

[modules.toy]
paths = ["toy/**"]

[oracle.shout]
kind = "differential"
cases = ["cases/*.txt"]
build = "chmod a+r toy/shout.sh"
candidate = "sh toy/shout.sh"
reference = "tr a-z A-Z"
reads = ["toy/**"]
case_timeout_s = 20.0
"""
RIGHT, WRONG = "tr a-z A-Z", "tr a-z B-ZA"
SHOUT = "read first; case $first in slow*) sleep {slow};; esac; echo $first | {shout}\n"
CASES = {"plain": "one\n", "slow": "slow two\n"}
USER = ("-c", "user.name=Test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false")

Json = dict[str, Any]


@dataclass(frozen=True)
class Judged:
    """`right` and `wrong`: commits on main whose engine is so; right is main."""

    state: StateDirectory
    server: ServerProcess
    admin: ServerClient
    right: str
    wrong: str

    def client(self) -> ServerClient:
        token = self.state.token("runner")
        assert token is not None
        return ServerClient(self.server.url, token)

    def ask(self, commit: str | None = None) -> int:
        """A run of every case, whatever is known."""
        return self.admin.run_oracle("shout", commit or self.right, fresh=True)["shout"]

    def verdict(self, job: int) -> Json:
        verdict = until(lambda: self.admin.job(job).verdict)
        return verdict.to_json()

    def events(self, kind: str, job: int) -> list[Json]:
        return [dict(event.data) for event in self.admin.events(kind=kind) if event.data["job"] == job]

    def tries(self, job: int) -> list[tuple[int, str]]:
        """What the log says of each try: its number and how it ended."""
        return [(told["attempt"], told["status"]) for told in self.events("job_done", job)]

    def alive(self) -> bool:
        try:
            return bool(self.admin.health().ok)
        except ServerGone:
            return False

    def runs(self, job: int) -> bool:
        """Whether a slow case of it is under way."""
        return self.admin.job(job).state == "running" and bool(sleepers())


def make(root: Path, config: str = CONFIG) -> tuple[str, str]:
    """A repository with its harness.toml; answers with the commits of the right and of the wrong engine."""
    root.mkdir()
    cases = {f"cases/{name}.txt": text for name, text in CASES.items()}
    wrong = _commit(
        root, {"harness.toml": config, "toy/shout.sh": SHOUT.format(slow=SLOW_S, shout=WRONG), **cases}
    )
    return _commit(root, {"toy/shout.sh": SHOUT.format(slow=SLOW_S, shout=RIGHT)}), wrong


@contextmanager
def judged(root: Path, config: str = CONFIG) -> Iterator[Judged]:
    right, wrong = make(root, config)
    state = StateDirectory(root / DIRECTORY_NAME)
    state.prepare()
    server = ServerProcess(
        lambda port: [
            sys.executable,
            "-c",
            SERVER,
            "--config",
            f"{root}/harness.toml",
            "--state",
            str(state.root),
            "--port",
            str(port),
        ],
        state.root,
        0,
    )
    try:
        with admin_client(server.url, state) as admin:
            yield Judged(state, server, admin, right, wrong)
    finally:
        server.stop()


def _commit(root: Path, files: dict[str, str]) -> str:
    def git(*words: str) -> str:
        return subprocess.run(
            ["git", *USER, *words],
            cwd=root,
            check=True,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        ).stdout.strip()

    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    for words in (
        ("init", "--quiet", "--initial-branch=main"),
        ("add", "--all"),
        ("commit", "--quiet", "--message=more"),
    ):
        git(*words)
    return git("rev-parse", "HEAD")


@contextmanager
def runner(
    judged: Judged,
    engine: Engine,
    image_for: Callable[[Suite, str], str],
    labels: dict[str, str],
    slots: int = 1,
) -> Iterator[threading.Thread]:
    """A runner in a thread; stopped at the end."""
    stop = threading.Event()
    with judged.client() as client:
        runs = Runner(
            client, engine, image_for, NAME, labels=labels, slots=slots, memory_mb=MEMORY_MB, renew_s=RENEW_S
        ).run
        thread = threading.Thread(target=runs, args=(stop,), daemon=True)
        thread.start()
        try:
            yield thread
        finally:
            stop.set()
            thread.join(BOUND_S)


def start_runner(judged: Judged, label: str, images: tuple[str, str]) -> subprocess.Popen[bytes]:
    """A runner in a process of its own, to be killed."""
    argv = [
        sys.executable,
        "-c",
        RUNNER,
        judged.server.url,
        str(judged.state.token("runner")),
        label,
        *images,
    ]
    return subprocess.Popen(argv, cwd=SOURCES, stdin=subprocess.DEVNULL)


def serve(url: str, token: str, label: str, candidate: str, reference: str) -> None:
    """What that process does."""
    images = {"candidate": candidate, "reference": reference}
    with Engine.connect() as engine, ServerClient(url, token) as client:
        labels = {sandbox.RUN: label}
        Runner(
            client,
            engine,
            lambda _, role: images[role],
            NAME,
            labels=labels,
            slots=1,
            memory_mb=MEMORY_MB,
            renew_s=RENEW_S,
        ).run(threading.Event())


@contextmanager
def up(root: Path) -> Iterator[tuple[subprocess.Popen[bytes], StateDirectory]]:
    """`harness up` in a process of its own, once its oracles are proven; killed at the end, if it still runs."""
    state = StateDirectory(root / DIRECTORY_NAME)
    argv = [sys.executable, "-m", "harness", "up", "--plain", "--stay", "--config", f"{root}/harness.toml"]
    with subprocess.Popen(
        argv, cwd=SOURCES, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
    ) as running:
        try:
            until(
                lambda: (
                    running.poll() is not None
                    or ((run := state.run()) and run.pid == running.pid and run.running)
                )
            )
            assert running.poll() is None
            yield running, state
        finally:
            running.kill()


def sleepers() -> list[int]:
    """Processes of slow cases, in whatever box."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if entry.read_bytes() == b"sleep\0" + SLOW_S.encode() + b"\0":
                found.append(int(entry.parent.name))
        except OSError:  # it has ended meanwhile
            continue
    return found
