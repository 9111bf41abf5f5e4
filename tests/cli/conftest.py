"""A small project of its own for each test, a real server on it, and `harness` run as a person runs it."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.client import ServerClient
from harness.run.place import admin_client
from harness.run.server_process import ServerProcess, start_server
from harness.run.state import RunFile, StateDirectory

SOURCES = Path(__file__).resolve().parents[2]
VERB_TIMEOUT_S = 60
GIT = ("git", "-c", "user.name=Tester", "-c", "user.email=tester@localhost")

CONFIG = """
    [run]
    name = "toy"
    port = 0

    [repos.toy]
    path = "."

    [modules.pkg]
    repo = "toy"
    paths = ["pkg/**"]

    [modules.docs]
    repo = "toy"
    paths = ["docs/**"]

    [oracle.unit]
    kind = "command"
    command = "python3 -m unittest"

    [agents.worker]
    kind = "command"
    count = 2
    command = ["true"]
"""
TASK = """
    +++
    id = "{id}"
    title = "{title}"
    module = "pkg"
    +++
    {title}, in pkg/.
"""

Verb = Callable[..., subprocess.CompletedProcess[str]]


def git(project: Path, *words: str) -> str:
    done = subprocess.run([*GIT, *words], cwd=project, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def make_project(root: Path) -> Path:
    """A git repository with a configuration and two tasks."""
    (root / "tasks").mkdir(parents=True)
    (root / "pkg").mkdir()
    (root / "pkg" / "__init__.py").write_text("")
    (root / "harness.toml").write_text(textwrap.dedent(CONFIG).lstrip())
    for number, title in enumerate(("Write add", "Write subtract"), 1):
        text = textwrap.dedent(TASK).lstrip().format(id=f"T{number:02}", title=title)
        (root / "tasks" / f"{number:02}.md").write_text(text)
    git(root, "init", "--quiet", "--initial-branch=main")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message=begin")
    return root


@contextmanager
def running_server(project: Path) -> Iterator[ServerProcess]:
    """A server that holds the project's state directory, as a run does."""
    state = StateDirectory(project / ".harness")
    with state.hold() as hold:
        process = start_server(project / "harness.toml", state.root)
        hold.announce(RunFile(os.getpid(), 0, process.url, running=True))
        try:
            yield process
        finally:
            process.stop()
            hold.goodbye()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_project(tmp_path / "toy")


@pytest.fixture
def state(project: Path) -> StateDirectory:
    return StateDirectory(project / ".harness")


@pytest.fixture
def server(project: Path) -> Iterator[ServerProcess]:
    with running_server(project) as process:
        yield process


@pytest.fixture
def client(server: ServerProcess, state: StateDirectory) -> Iterator[ServerClient]:
    with admin_client(server.url, state) as made:
        yield made


@pytest.fixture
def harness(project: Path) -> Verb:
    """`harness` in the project, as a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(SOURCES), "COLUMNS": "160", "NO_COLOR": "1"}
    for name in ("HARNESS_SERVER", "HARNESS_TOKEN_FILE"):
        environment.pop(name, None)

    def run(
        *words: str, cwd: Path = project, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "harness", *words], cwd=cwd, env=environment | (env or {}), capture_output=True,
            text=True, timeout=VERB_TIMEOUT_S, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    return run
