"""A small project, the real `harness up` on it, and a scripted model as every vendor's upstream."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.client import ServerClient, ServerGone
from harness.run.place import admin_client
from harness.run.state import StateDirectory
from tests.fake_models import FakeModels, Script
from tests.server import toy

from . import letters

ROOT = Path(__file__).parents[2]
UP_WITHIN_S = 600.0  # one agent's work takes seconds; on a loaded machine minutes
STOP_WITHIN_S = 90.0
POLL_S = 0.2


@dataclass
class Place:
    """A project whose run may be started, watched and asked about."""

    project: Path
    models: FakeModels
    past: list[dict] = field(default_factory=list)  # all events, once the run is over

    @property
    def state(self) -> StateDirectory:
        return StateDirectory(self.project / ".harness")

    def harness(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "harness", *words], cwd=self.project, env=environment(), capture_output=True, text=True,
            timeout=STOP_WITHIN_S, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def json(self, *words: str) -> Any:
        said = self.harness(*words, "--json")
        assert said.returncode == 0, said.stderr
        return json.loads(said.stdout)

    def events(self, kind: str) -> list[dict]:
        """The events of a kind, oldest first; of a run that is up from its server, of another from `harness
        audit`.
        """
        if self.is_up():
            with self.client() as client:
                return [event.render() for event in client.events(kind=kind, limit=1000)]
        if not self.past:
            said = self.harness("audit", "query", "--limit", "1000", "--json")
            assert said.returncode == 0, said.stderr
            self.past = [json.loads(line) for line in said.stdout.splitlines()]
        return [event for event in self.past if event["kind"] == kind]

    def status(self) -> dict:
        with self.client() as client:
            return client.status().render()

    def client(self) -> ServerClient:
        """Raises ServerGone while there is no server."""
        url = self.state.server_url()
        if url is None:
            raise ServerGone("no server yet")
        return admin_client(url, self.state)

    def up(self) -> str:
        """A whole run; what it told. Fails unless it ends by itself."""
        with self.running() as run:
            run.wait(UP_WITHIN_S)
        assert run.returncode == 0, self.told()[-4000:] + self.log()[-4000:]
        return self.told()

    def told(self) -> str:
        """What the run has printed."""
        return (self.project.parent / "up.log").read_text()

    @contextmanager
    def running(self, *words: str) -> Iterator[subprocess.Popen]:
        """A run that is ended in order, or by force, when it is left."""
        argv = [sys.executable, "-m", "harness", "up", "--plain", *words]
        self.past = []
        with (self.project.parent / "up.log").open("wb") as log:
            run = subprocess.Popen(
                argv, cwd=self.project, env=environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            yield run
        finally:
            run.terminate()
            try:
                run.wait(STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                run.kill()
                run.wait()

    def up_until(self, condition: Callable[[], Any]) -> Any:
        """A run that stays, so that no session is ended before it ends by itself; the condition's first true
        value.
        """
        with self.running("--stay") as run:

            def seen() -> Any:
                assert run.poll() is None, self.told()
                return self.is_up() and condition()

            return wait_until(seen)

    def is_up(self) -> bool:
        found = self.state.run()
        return found is not None and found.running

    def log(self, name: str = "*") -> str:
        """What the sessions of the agents of that name have said."""
        files = sorted(
            self.state.root.glob(f"logs/{name}/*.log"), key=lambda file: (len(file.name), file.name)
        )
        return "".join(file.read_text(errors="replace") for file in files)

    def looked_up(self, name: str = "*") -> set[str]:
        """The host names that the agents' programs asked for."""
        lines = [line for line in self.log(name).splitlines() if line.startswith('{"looked_up"')]
        return {json.loads(line)["looked_up"] for line in lines}

    def refs(self) -> list[str]:
        return toy.git(
            "for-each-ref", "--format=%(refname)", cwd=self.state.root / "repos" / "letters.git"
        ).split()

    def landed_files(self) -> str:
        return toy.git("ls-tree", "-r", "--name-only", "main", cwd=self.state.root / "repos" / "letters.git")


def environment() -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    return {**clean, "PYTHONPATH": str(ROOT), "COLUMNS": "200", "NO_COLOR": "1"}


@contextmanager
def place(
    root: Path, scripts: Sequence[Script], agents: str, tasks: Iterable[str], **more: Any
) -> Iterator[Place]:
    """`tasks`: the letters to be learnt. `more`: what `letters.config` takes besides."""
    with FakeModels(scripts) as models:
        yield Place(
            toy.repository(
                root / "project", letters.files(letters.config(models.url, agents, **more), tasks)
            ),
            models,
        )


def wait_until(condition: Callable[[], Any], within_s: float = UP_WITHIN_S) -> Any:
    """The condition's first true value, bounded."""
    deadline = time.monotonic() + within_s
    while not (value := _asked(condition)):
        assert time.monotonic() < deadline, f"not within {within_s} s"
        time.sleep(POLL_S)
    return value


def _asked(condition: Callable[[], Any]) -> Any:
    """False while the server is away: that is what some of these tests see to."""
    try:
        return condition()
    except ServerGone:
        return False
