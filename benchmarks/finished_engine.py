"""Owns the projects that the oracle's speed is measured on: the finished engine of examples/minisql with
cases of our own, in a git repository.

Rule: gone when left, its server with it.
"""

import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.project import USER
from harness.boxes.containers import Engine
from harness.boxes.sandbox import RUN
from harness.client import ServerClient
from harness.images.stock import Images
from harness.oracle_runner.runner import Runner
from harness.run import oracle_jobs
from harness.run.place import admin_client
from harness.run.server_process import start_server
from harness.run.state import DIRECTORY_NAME, StateDirectory
from mcp_server.wire.jobs import JobOrder
from oracle.judging.verdict import Verdict

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "minisql"
VERDICT_S_MAX = 600.0
HEAD = """\
[run]
name = "bench"
port = 0

[repos.engine]
path = "."

[modules.engine]
paths = ["minisql/**", "words/**"]
"""
BUILD = "python3 -E -m compileall -q --invalidation-mode unchecked-hash minisql"
REFERENCE_PACKAGES = ("sqlite3",)
CANDIDATE, REFERENCE = "python3 -S -E minisql/__main__.py", "sqlite3 :memory:"
SUITE = """
[oracle.{name}]
kind = "differential"
cases = ["{cases}"]
{build}candidate = "{candidate}"
start = "{start}"
reference = "{reference}"
reference_packages = ["sqlite3"]
reads = ["{reads}"]
run_timeout_s = 600.0
"""


def suite(name: str, cases: str, *, start: str = "process", build: bool = True) -> str:
    """A suite of SQL cases, as harness.toml has it."""
    built = f'build = "{BUILD}"\n' if build else ""
    return SUITE.format(
        name=name,
        cases=cases,
        build=built,
        candidate=CANDIDATE,
        start=start,
        reference=REFERENCE,
        reads="minisql/**",
    )


def word_suite(name: str, cases: str) -> str:
    """A suite that reads nothing of the engine."""
    return SUITE.format(
        name=name,
        cases=cases,
        build="",
        candidate="sh words/shout.sh",
        start="process",
        reference="tr a-z A-Z",
        reads="words/**",
    )


def lay_out(root: Path) -> None:
    """The finished engine: the project with every solution laid over it."""
    kept = shutil.ignore_patterns("__pycache__")
    shutil.copytree(EXAMPLE / "project" / "minisql", root / "minisql", ignore=kept)
    for solution in sorted((EXAMPLE / "solutions").glob("T[0-9]*")):
        shutil.copytree(solution / "minisql", root / "minisql", dirs_exist_ok=True, ignore=kept)


class Gated(ServerClient):
    """A runner's client that claims nothing until it is let through: what is measured begins when it is asked
    for.
    """

    def __init__(self, url: str, token: str) -> None:
        super().__init__(url, token)
        self._may = threading.Semaphore(0)

    def let(self, jobs: int = 1) -> None:
        self._may.release(jobs)

    def claim_job(
        self, runner: str, wait_s: float = 20.0, images: Mapping[str, str] | None = None
    ) -> JobOrder | None:
        if not self._may.acquire(timeout=wait_s):
            return None
        job = super().claim_job(runner, wait_s, images)
        if job is None:
            self._may.release()
        return job


@dataclass(frozen=True)
class Judge:
    """A server over such a project, and a runner that is let through job by job. `commits`: oldest first."""

    admin: ServerClient
    gate: Gated
    commits: Sequence[str]

    def ask(self, suite: str, commit: str | None = None) -> int:
        return self.admin.run_oracle(suite, commit)[suite]

    def verdict(self, job: int) -> Verdict:
        return oracle_jobs.wait(self.admin, job, max_s=VERDICT_S_MAX).verdict

    def started(self) -> list[dict[str, Any]]:
        """What the log says of every job that was begun."""
        return [dict(event.data) for event in self.admin.events(kind="job_started")]


@contextmanager
def judging(
    engine: Engine, images: Images, label: str, suites: Sequence[str], *states: Mapping[str, str]
) -> Iterator[Judge]:
    """`states`: the files that each commit on main adds to the engine or changes."""
    with tempfile.TemporaryDirectory(prefix="harness-bench-", ignore_cleanup_errors=True) as directory:
        root = Path(directory).resolve() / "engine"
        root.mkdir()
        lay_out(root)
        _git(root, "init", "--quiet", "--initial-branch=main")
        (root / "harness.toml").write_text(HEAD + "".join(suites))
        commits = [_commit(root, files) for files in states]
        state = StateDirectory(root / DIRECTORY_NAME)
        state.prepare()
        server = start_server(root / "harness.toml", state.root)
        try:
            with (
                admin_client(server.url, state) as admin,
                Gated(server.url, str(state.token("runner"))) as gate,
                _runner(engine, images, gate, label),
            ):
                yield Judge(admin, gate, commits)
        finally:
            server.stop()


@contextmanager
def _runner(engine: Engine, images: Images, client: ServerClient, label: str) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(
        target=Runner(client, engine, images.image_for, "bench", labels={RUN: label}).run,
        args=(stop,),
        daemon=True,
    )
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _commit(root: Path, files: Mapping[str, str]) -> str:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    _git(root, "add", "--all")
    _git(root, "commit", "--quiet", "--allow-empty", "--message=more")
    return _git(root, "rev-parse", "HEAD")


def _git(root: Path, *words: str) -> str:
    return subprocess.run(
        ["git", *USER, *words], cwd=root, check=True, stdin=subprocess.DEVNULL, capture_output=True, text=True
    ).stdout.strip()
