"""Owns what the measurements run on: a small git repository with its configuration, and a server over it.
Rule: gone when left.
"""

import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from harness.client import ServerClient
from harness.run.place import admin_client
from harness.run.server_process import ServerProcess, start_server
from harness.run.state import DIRECTORY_NAME, StateDirectory

REPO, BRANCH = "bench", "main"
USER = ("-c", "user.name=Bench", "-c", "user.email=bench@localhost", "-c", "commit.gpgsign=false")
CONFIG = """\
[run]
name = "bench"
port = 0
oracle_slots = 1

[repos.bench]
path = "."
branch = "main"

[modules.work]
repo = "bench"
paths = ["work/**"]

[oracle.shout]
kind = "differential"
repo = "bench"
cases = ["cases/*.txt"]
candidate = "python3 -S work/shout.py"
reference = "tr a-z A-Z"
reads = ["work/**"]

[agents.sleeper]
kind = "command"
count = {sleepers}
command = ["sleep", "3600"]
memory_mb = 128
"""
FILES = {
    "work/shout.py": "import sys\nsys.stdout.write(sys.stdin.read().upper())\n",
    "cases/one.txt": "one\n",
    "cases/two.txt": "two\n",
    "tasks/1.md": (
        '+++\nid = "T01"\ntitle = "Shout louder"\nmodule = "work"\n+++\nNobody does it: the task keeps the'
        " run alive.\n"
    ),
}


def make(root: Path, *, sleepers: int = 1, tasks: int = 0) -> Path:
    """A user's repository, with so many more tasks in modules of their own; answers with its harness.toml."""
    modules = "".join(
        f'\n[modules.m{number}]\nrepo = "bench"\npaths = ["m{number}/**"]\n' for number in range(tasks)
    )
    more = {
        f"tasks/more{number}.md": (
            f'+++\nid = "{task(number)}"\ntitle = "Task {number}"\nmodule = "m{number}"\n+++\nWork.\n'
        )
        for number in range(tasks)
    }
    return begin(root, {**FILES, **more, "harness.toml": CONFIG.format(sleepers=sleepers) + modules})


def begin(root: Path, files: Mapping[str, str]) -> Path:
    """A repository of these files, one of which is the harness.toml that it answers with."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    for words in (
        ("init", "--quiet", f"--initial-branch={BRANCH}"),
        ("add", "--all"),
        ("commit", "--quiet", "--message=begin"),
    ):
        subprocess.run(["git", *USER, *words], cwd=root, check=True, stdin=subprocess.DEVNULL)
    return root / "harness.toml"


def task(number: int) -> str:
    """The id of one of the `tasks` of `make`."""
    return f"C{number}"


@dataclass(frozen=True)
class Served:
    """A project with its server up."""

    root: Path
    state: StateDirectory
    server: ServerProcess
    admin: ServerClient

    @property
    def runner_token(self) -> str:
        token = self.state.token("runner")
        assert token is not None, "the server writes it before it answers"
        return token


def served(*, tasks: int = 0) -> AbstractContextManager[Served]:
    return serving(partial(make, tasks=tasks))


@contextmanager
def serving(make: Callable[[Path], Path]) -> Iterator[Served]:
    """A server over what `make` puts into the directory that it is given."""
    with tempfile.TemporaryDirectory(prefix="harness-bench-", ignore_cleanup_errors=True) as directory:
        root = Path(directory).resolve() / REPO
        config, state = make(root), StateDirectory(root / DIRECTORY_NAME)
        state.prepare()
        server = start_server(config, state.root)
        try:
            with admin_client(server.url, state) as admin:
                yield Served(root, state, server, admin)
        finally:
            server.stop()
