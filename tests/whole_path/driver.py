"""Many small projects of users, each set up by the real `harness init`, on one real server with real runners.

Rule: a project's suite is the one that `init` wrote for it, unless the project says otherwise; the server's
configuration is put together from all of them, and nothing else is particular to a test.
"""

import json
import threading
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.boxes.containers import Engine
from harness.client import ServerClient
from harness.commands import init
from harness.images.stock import Images
from harness.oracle_runner.runner import Runner
from harness.run import oracle_jobs
from oracle.judging.verdict import Verdict
from tests.server import toy
from tests.server.conftest import Agent, Server
from tests.server.wide import settled
from tests.waiting import BOUND_S

RUNNERS = 2
MEMORY_MB = 512
TASK = '+++\nid = "{id}"\ntitle = "A change"\nmodule = "{module}"\n+++\nChange it.\n'

Json = dict[str, Any]


@dataclass(frozen=True)
class Project:
    """A user's repository: its files, and what of the suite that `init` wrote its owner has changed."""

    files: Mapping[str, str | bytes]
    suite: Mapping[str, Any] = field(default_factory=dict)
    by_hand: bool = False
    """The suite is `suite` alone."""


@dataclass
class Served:
    """The projects on their server, and the verdicts of `harness up`'s own check by project.

    Each has one task; the agent that has claimed it pushes until something lands.
    """

    root: Path
    server: Server
    client: ServerClient
    checked: Mapping[str, Verdict]
    _claims: dict[str, tuple[Agent, int]] = field(default_factory=dict)

    def push(self, project: str, changes: Mapping[str, str | bytes]) -> Json:
        """Return what the project's agent is told that pushes these changes as a patch."""
        if project not in self._claims:
            agent = self.server.agent(f"{project}-agent", session=False)
            claimed = agent.call("claim_task", task=project)
            assert claimed.get("status") == "leased", claimed
            self._claims[project] = agent, claimed["fence"]
        agent, fence = self._claims[project]
        patch = self._patch(project, changes)
        return settled(agent, "push", fence=fence, patch=patch, summary="Change it")

    def outcomes(self, project: str) -> Mapping[str, str]:
        """Return the outcomes of a project's tests on its main."""
        job = self.client.run_oracle(project, None, fresh=False)[project]
        return oracle_jobs.wait(self.client, job).verdict.outcomes

    def _patch(self, project: str, changes: Mapping[str, str | bytes]) -> str:
        top = self.root / project
        write(top, changes)
        toy.git("add", "--all", cwd=top)
        patch = toy.git("diff", "--cached", "--binary", cwd=top)
        toy.git("reset", "-q", "--hard", cwd=top)
        return f"{patch}\n"


def write(top: Path, files: Mapping[str, str | bytes]) -> None:
    """Write files below a directory."""
    for name, content in files.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def served(
    root: Path, projects: Mapping[str, Project], engine: Engine, labels: Mapping[str, str]
) -> Iterator[Served]:
    """Serve the projects, with their suites checked as `harness up` checks them."""
    tables = [_set_up(root, name, project) for name, project in projects.items()]
    config = {"run": {"name": "users", "oracle_slots": RUNNERS}}
    for table in tables:
        for key, value in table.items():
            config.setdefault(key, {}).update(value)
    (root / "harness.toml").write_text(_toml(config))
    server = Server(root, root.parent / "state")
    with ExitStack() as held:
        held.callback(server.stop)
        client = held.enter_context(ServerClient(server.url, server.token("admin")))
        held.enter_context(_runners(server, engine, labels))
        checked = {suite: verdict for suite, _, verdict in oracle_jobs.check_all(client)}
        yield Served(root, server, client, checked)


@contextmanager
def _runners(server: Server, engine: Engine, labels: Mapping[str, str]) -> Iterator[None]:
    stop = threading.Event()
    with ServerClient(server.url, server.token("runner")) as client:
        runners = [
            Runner(
                client,
                engine,
                Images(engine).image_for,
                f"runner-{number}",
                labels=labels,
                slots=1,
                memory_mb=MEMORY_MB,
            )
            for number in range(RUNNERS)
        ]
        threads = [threading.Thread(target=runner.run, args=(stop,), daemon=True) for runner in runners]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join(BOUND_S)


def _set_up(root: Path, name: str, project: Project) -> dict[str, Json]:
    """Make the project's repository and let `init` look at it; return its tables, under the project's name."""
    top = root / name
    write(top, project.files)
    toy.git("init", "-q", "-b", "main", cwd=top)
    init.init(top)
    written = tomllib.loads((top / "harness.toml").read_text())
    for by_init in (top / "harness.toml", top / "tasks/001-first.md"):
        by_init.unlink()
    toy.git("add", "--all", cwd=top)
    toy.git("-c", "user.name=u", "-c", "user.email=u@localhost", "commit", "-qm", "main", cwd=top)
    paths = [path for module in written["modules"].values() for path in module["paths"]]
    suite = {"kind": "command"} if project.by_hand else written["oracle"]["tests"]
    # `init` gives the packages to the environment that tests and agents share, and this server has several.
    suite["packages"] = ["python3-pytest"]
    write(root, {f"tasks/{name}.md": TASK.format(id=name, module=name)})
    return {
        "repos": {name: {"path": name, "branch": "main"}},
        "modules": {name: {"repo": name, "paths": paths}},
        "oracle": {name: {**suite, **project.suite, "repo": name, "run_timeout_s": 60.0}},
    }


def _toml(config: Mapping[str, Mapping[str, Any]]) -> str:
    lines: list[str] = []
    for section, table in config.items():
        if section == "run":
            lines += ["[run]", *_rows(table)]
            continue
        for name, entries in table.items():
            lines += [f"[{section}.{name}]", *_rows(entries)]
    return "\n".join(lines) + "\n"


def _rows(table: Mapping[str, Any]) -> Sequence[str]:
    return [f"{key} = {json.dumps(value)}" for key, value in table.items()]
