"""Owns starting many boxes at once with an agent in each: as sandboxes of ours, and by plain `docker run`.

Rule: whatever was started is gone after `stop`, and carries the run's label until then.
"""

import os
import subprocess
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from benchmarks.project import BRANCH, REPO, Served
from harness.agents.base import Seat
from harness.boxes import sandbox
from harness.boxes.containers import Engine
from harness.client import ServerClient
from harness.sessions.outcome import SessionEnd
from harness.sessions.session import SessionRun, Site
from harness.sessions.supervisor import STOP_BOUND_S
from mcp_server.config import AgentSpec

PLAIN = "plain"  # the kind's label of a box that is not a sandbox
PLAYER = "/opt/harness/player.py"
PLAYBOOK = '[[step]]\ncall = "list_tasks"\n\n[[step]]\nhang = true\n'
WRITTEN_FIRST = f'printf %s "$PLAYBOOK" >/tmp/playbook.toml && exec python3 {PLAYER} /tmp/playbook.toml'
DOCKER_END_S = 20.0
COUNT_MAX = 64  # sandboxes at once; one thread each, as a supervisor has


@dataclass(frozen=True)
class Agent:
    """A program whose first action is a tool call, as a sandbox is told of it and as `docker run` is."""

    name: str
    image: str
    spec: AgentSpec
    files: Mapping[str, str]
    plain_argv: tuple[str, ...]
    plain_env: Mapping[str, str]


def small(image: str) -> Agent:
    """One MCP call over a plain socket: its own start is Python's."""
    argv = ("python3", "-I", "-c", Path(__file__).with_name("first_call.py").read_text())
    return Agent("small", image, AgentSpec("small", "command", command=list(argv)), {}, argv, {})


def player(image: str) -> Agent:
    """The scripted player: a real SDK client, whose start is mostly the import of the SDK."""
    spec = AgentSpec("player", "scripted", playbook="playbook.toml")
    return Agent(
        "player",
        image,
        spec,
        {"playbook.toml": PLAYBOOK},
        ("/bin/sh", "-c", WRITTEN_FIRST),
        {"PLAYBOOK": PLAYBOOK},
    )


class Fleet(Protocol):
    def start(self, names: Sequence[str]) -> None: ...
    def box_ids(self) -> list[str]: ...
    def early_end(self) -> str | None:
        """Why the first of those that ended by themselves did; they all should stay."""

    def stop(self) -> None: ...


@dataclass
class Sandboxes:
    """Agent sessions, each by the very code that a supervisor runs."""

    engine: Engine
    served: Served
    run: str
    agent: Agent
    _stop: threading.Event = field(default_factory=threading.Event)
    _ends: list[Future[SessionEnd]] = field(default_factory=list)

    def __post_init__(self) -> None:
        # A client of its own: its connections are closed with it, and are not taken for a leak of the server.
        self._client = ServerClient(self.served.server.url, self.served.runner_token)
        self._pool = ThreadPoolExecutor(COUNT_MAX, thread_name_prefix="bench")

    def start(self, names: Sequence[str]) -> None:
        site = Site(
            engine=self.engine,
            server=self._client,
            run=self.run,
            state=self.served.state.root,
            root=self.served.root,
            repos=((REPO, BRANCH),),
        )
        runs = [
            SessionRun(site, Seat(name, self.agent.spec), self.agent.image, stop=self._stop) for name in names
        ]
        self._ends = [self._pool.submit(run.run, dict(self.agent.files)) for run in runs]

    def box_ids(self) -> list[str]:
        return [
            box.id
            for box in self.engine.list({sandbox.RUN: self.run, sandbox.KIND: "agent"}, running_only=True)
        ]

    def early_end(self) -> str | None:
        return next((str(end.exception() or end.result()) for end in self._ends if end.done()), None)

    def stop(self) -> None:
        self._stop.set()
        wait(self._ends, STOP_BOUND_S)
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._client.close()


@dataclass
class Plain:
    """`docker run` with the engine's own settings; the host's network stands for the door, and costs less to
    make than a bridge's.
    """

    engine: Engine
    served: Served
    run: str
    agent: Agent
    _clients: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def prepare(self, names: Sequence[str]) -> None:
        """Tokens: a sandbox's start makes its own, which is part of what it costs."""
        self._tokens = {name: self.served.admin.issue_token(name).token for name in names}

    def start(self, names: Sequence[str]) -> None:
        for name in names:
            # In its own session: Ctrl-C is ours, and we remove what it started.
            self._clients.append(
                subprocess.Popen(
                    self._argv(name),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    start_new_session=True,
                )
            )

    def _argv(self, name: str) -> list[str]:
        url = self.served.server.url
        env = {
            "HARNESS_URL": url,
            "HARNESS_MCP_URL": f"{url}/mcp",
            "HARNESS_TOKEN": self._tokens[name],
            **self.agent.plain_env,
        }
        labels = {sandbox.RUN: self.run, sandbox.KIND: PLAIN}
        return [
            "docker",
            "run",
            "--rm",
            "--network",
            "host",
            "--name",
            f"harness-{self.run}-{name}",
            *(word for key, value in labels.items() for word in ("--label", f"{key}={value}")),
            *(word for key, value in env.items() for word in ("--env", f"{key}={value}")),
            self.agent.image,
            *self.agent.plain_argv,
        ]

    def box_ids(self) -> list[str]:
        return [
            box.id
            for box in self.engine.list({sandbox.RUN: self.run, sandbox.KIND: PLAIN}, running_only=True)
        ]

    def early_end(self) -> str | None:
        ended = next((client for client in self._clients if client.poll() is not None), None)
        return None if ended is None else f"docker run ended with {ended.returncode}: {_last_words(ended)}"

    def stop(self) -> None:
        self.engine.sweep({sandbox.RUN: self.run, sandbox.KIND: PLAIN})
        for client in self._clients:
            try:
                client.communicate(timeout=DOCKER_END_S)
            except subprocess.TimeoutExpired:
                client.kill()
                client.communicate()
        self.engine.sweep({sandbox.RUN: self.run, sandbox.KIND: PLAIN})  # one that was still being made


def _last_words(ended: subprocess.Popen[bytes]) -> str:
    return ended.stderr.read().decode(errors="replace").strip()[-300:] if ended.stderr else ""


def names(prefix: str, count: int) -> list[str]:
    return [f"{prefix}-{number}-{os.urandom(2).hex()}" for number in range(1, count + 1)]
