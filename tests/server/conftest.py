"""A real server on a real port over a toy project, with clients that speak MCP and git to it."""

import asyncio
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import httpx2
import pytest
import uvicorn
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from mcp_server import config
from mcp_server.bell import Bell
from mcp_server.edge import app, connections
from mcp_server.edge.connections import LIMITS, HttpLimits
from mcp_server.edge.doors import Doors
from mcp_server.world import World
from tests.waiting import BOUND_S

from . import toy

NO_TLS = False  # plain HTTP: reading the certificates of the world would be half of the time of a call


class Clock:
    """A clock of the server's, the wall's or the steady one: its time plus what a test has added."""

    def __init__(self, real_ns: Callable[[], int] = time.time_ns):
        self.ahead_ms, self._real_ns = 0, real_ns

    def __call__(self) -> int:
        return self._real_ns() // 1_000_000 + self.ahead_ms


class Server:
    """One server in a thread of its own, on a free port, over `project`. It can be stopped and started again."""

    def __init__(
        self,
        project: Path,
        state: Path,
        wait_s: float = 45.0,
        clock: Callable[[], int] | None = None,
        limits: HttpLimits = LIMITS,
    ):
        self.limits = limits
        self.project, self.state, self.clock, self.wait_s = project, state, clock or Clock(), wait_s
        self.steady = Clock(time.monotonic_ns)
        self.world: World | None = None
        self.start()

    def start(self) -> None:
        ready = threading.Event()
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self._thread.start()
        assert ready.wait(BOUND_S)
        if self._failed:
            raise self._failed

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(BOUND_S)
        assert not self._thread.is_alive()

    def _run(self, ready: threading.Event) -> None:
        async def serve() -> None:
            loaded = config.load(self.project / "harness.toml")
            assert not isinstance(loaded, list), [str(problem) for problem in loaded]
            world = replace(
                app.open_world(loaded, app.StateDir(self.state), Bell(), self.clock), steady_ms=self.steady
            )
            settings = connections.config(
                lambda: None, limits=self.limits, port=0, log_level="warning", timeout_graceful_shutdown=1
            )
            server = uvicorn.Server(settings)
            doors = Doors(server, self.state / "doors")
            settings.app = app.build(world, doors, wait_s=self.wait_s)
            serving = asyncio.ensure_future(server.serve())
            while not server.started:
                assert not serving.done(), serving.result()
                await asyncio.sleep(0.01)
            await app.reopen_doors(world, doors)
            self.world, self._server, self.loop = world, server, asyncio.get_running_loop()
            listener = server.servers[0].sockets[0]
            self.port = listener.getsockname()[1]
            with socket.socket(fileno=os.dup(listener.fileno())) as same:
                connections.lengthen_queue(same)  # as the product does
            ready.set()
            await serving
            world.store.close()

        try:
            asyncio.run(serve())
        except BaseException as failed:
            self._failed = failed
            ready.set()
            raise

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def token(self, role: str) -> str:
        return (self.state / "tokens" / role).read_text().strip()

    def http(self, role: str = "admin") -> httpx2.Client:
        return httpx2.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {self.token(role)}"},
            timeout=BOUND_S,
            verify=NO_TLS,
        )

    def agent(self, name: str, *, session: bool = True) -> "Agent":
        with self.http() as http:
            if session:
                made = http.post(
                    "/api/sessions", json={"agent": name, "kind": "command", "door": False}
                ).json()
                return Agent(self, name, made["token"], made["session"])
            return Agent(self, name, http.post("/api/tokens", json={"agent": name}).json()["token"], None)

    def events(self, **wanted: str) -> list[dict]:
        with self.http() as http:
            return http.get("/api/events", params={"limit": 1000} | wanted).json()["events"]


@dataclass
class Agent:
    """One agent: its MCP calls and its clone."""

    server: Server
    name: str
    token: str
    session: str | None
    mode: str = "auto"

    def call(self, tool: str, **args) -> dict:
        """The structured answer, with `text` beside it; a refusal has status "refused"."""
        result = asyncio.run(self._call(tool, args))
        value = result.structured_content or {}
        return value | {
            "text": "".join(part.text for part in result.content),
            "is_error": bool(result.is_error),
        }

    async def _call(self, tool: str, args: dict):
        headers = {"Authorization": f"Bearer {self.token}"}
        async with httpx2.AsyncClient(headers=headers, timeout=BOUND_S, verify=NO_TLS) as http:
            transport = streamable_http_client(f"{self.server.url}/mcp", http_client=http)
            async with Client(transport, mode=self.mode) as client:
                return await client.call_tool(tool, args)

    def clone(self, where: Path) -> Path:
        header = f"http.extraHeader=Authorization: Bearer {self.token}"
        toy.git("clone", "-q", "-c", header, f"{self.server.url}/git/toy.git", str(where), cwd=where.parent)
        for key, value in {"user.name": self.name, "user.email": f"{self.name}@example.invalid"}.items():
            toy.git("config", key, value, cwd=where)
        return where

    def commit(self, clone: Path, files: dict[str, str], message: str = "work") -> str:
        """Writes, commits and uploads; answers with the commit's id."""
        for name, text in files.items():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            (clone / name).write_text(text)
        toy.git("add", "-A", cwd=clone)
        toy.git("commit", "-qm", message, cwd=clone)
        toy.git(
            "push", "-q", "-f", "origin", f"HEAD:refs/agents/{self.name}/{self.session or 'work'}", cwd=clone
        )
        return toy.git("rev-parse", "HEAD", cwd=clone)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(toy.project(tmp_path / "project"), tmp_path / "state")
    yield made
    made.stop()


@pytest.fixture
def runner(server: Server) -> Iterator[toy.LocalRunner]:
    made = toy.LocalRunner(server.url, server.token("runner"))
    yield made
    made.close()


def data(answer: dict) -> dict:
    return json.loads(answer["text"])
