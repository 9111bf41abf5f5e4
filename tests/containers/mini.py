"""A small real server behind real doors for these tests: git over smart HTTP, MCP tools, an SSE stream; tasks
are a list.
"""

import asyncio
import contextlib
import os
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import uvicorn
from mcp.server import MCPServer
from mcp.types import CallToolResult, TextContent
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route

from mcp_server.wire.sessions import SessionEnded, SessionGrant, SessionState
from mcp_server.wire.status import RunStatus
from tests import wired
from tests.waiting import until

Json = dict[str, Any]


def git(*argv: str, cwd: Path | None = None) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@t.invalid", "-c", "init.defaultBranch=main")
    ended = subprocess.run(["git", *identity, *argv], cwd=cwd, capture_output=True, check=False)
    assert ended.returncode == 0, ended.stderr.decode()
    return ended.stdout.decode().strip()


class MiniServer:
    """Answers on every door it has opened; `outage` closes them all and opens them again."""

    def __init__(self, root: Path, repos: tuple[str, ...] = ("engine",)) -> None:
        self.root = root
        self.repos = {name: self._repo(name) for name in repos}
        self.sessions: dict[str, Json] = {}
        self.ended: list[tuple[str, str, str, int | None]] = []
        self.tasks: dict[str, str] = {}
        self.holders: dict[int, str] = {}
        self.waits: dict[str, int] = {}
        self.notes: list[tuple[str, str]] = []
        self.calls: list[str] = []
        self.refuse_pushes: list[str] = []
        self.salvage: Json | None = None
        self.facts: Json = {"waiting_for_quota": None, "over_budget": None}  # of every session
        self.accounts: list[Json] = []
        self.heard: dict[str, Json] = {}
        self._servers: dict[Path, tuple[uvicorn.Server, threading.Thread]] = {}

    def _repo(self, name: str) -> Path:
        seed, bare = self.root / f"seed-{name}", self.root / "repos" / f"{name}.git"
        git("init", "--quiet", str(seed))
        (seed / "README.md").write_text("# seed\n")
        git("add", "-A", cwd=seed)
        git("commit", "--quiet", "-m", "seed", cwd=seed)
        git("clone", "--quiet", "--bare", str(seed), str(bare))
        git("config", "http.receivepack", "true", cwd=bare)
        return bare

    # -- what the supervisor asks of the server
    # ----------------------------------------------------------------

    def create_session(self, agent: str, kind: str, *, door: bool = True) -> SessionGrant:
        session = f"S{len(self.sessions) + 1}"
        self.sessions[session] = {"agent": agent, "token": f"token-{session}"}
        self.open_door(self.root / "doors" / session)
        return SessionGrant(session=session, token=f"token-{session}", door=session)

    def end_session(
        self,
        session: str,
        outcome: str,
        *,
        detail: str = "",
        exit: int | None = None,
        counts: Json | None = None,
    ) -> SessionEnded:
        self.heard[session] = dict(counts or {})
        self.ended.append((session, str(outcome), detail, exit))
        self.close_door(self.root / "doors" / session)
        return SessionEnded(salvage=None, task=None)

    def session(self, session: str) -> SessionState:
        agent = self.sessions[session]["agent"]
        head, took = self.uploaded(agent, session), sum(call == "claim_task" for call in self.calls)
        unused = {
            "kind": "command",
            "door": True,
            "started_ms": 0,
            "ended_ms": None,
            "outcome": None,
            "detail": None,
        }
        unused |= {"last_call": None, "last_call_ms": None, "branch": None, "state": "working"}
        now = {"id": session, "session": session, "agent": agent, "calls": len(self.calls), "head": head}
        now |= {"tools_listed": True, "leases": took, "quiet_s": 0.0}
        return SessionState.of_json(unused | now | self.facts)

    def status(self) -> RunStatus:
        states = list(self.tasks.values())
        return wired.run_status(
            finished=bool(self.tasks) and all(state == "done" for state in states),
            claimable=not states or "open" in states,
            tasks={state: states.count(state) for state in ("open", "claimed", "done", "blocked")},
            landings=states.count("done"),
            accounts=self.accounts,
        )

    def uploaded(self, agent: str, session: str, repo: str = "engine") -> str | None:
        bare = self.repos[repo]
        ref = f"refs/agents/{agent}/{session}"
        found = subprocess.run(
            ["git", "rev-parse", "--verify", "--quiet", ref], cwd=bare, capture_output=True, check=False
        )
        return found.stdout.decode().strip() or None

    # -- doors
    # --------------------------------------------------------------------------------------------------

    def open_door(self, door: Path) -> None:
        door.mkdir(parents=True, exist_ok=True)
        door.chmod(0o755)
        sock = door / "door.sock"
        sock.unlink(missing_ok=True)
        server = uvicorn.Server(uvicorn.Config(
            self._app(), uds=str(sock), log_level="error", http="h11", loop="asyncio", lifespan="on", timeout_graceful_shutdown=1,
        ))  # fmt: skip
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        until(lambda: server.started)
        self._servers[door] = (server, thread)

    def close_door(self, door: Path) -> None:
        server, thread = self._servers.pop(door)
        server.should_exit = True
        thread.join(10)
        (door / "door.sock").unlink(missing_ok=True)

    def close(self) -> None:
        for door in list(self._servers):
            self.close_door(door)

    @contextlib.contextmanager
    def outage(self) -> Iterator[None]:
        doors = list(self._servers)
        self.close()
        yield
        for door in doors:
            self.open_door(door)

    # -- routes
    # -------------------------------------------------------------------------------------------------

    def _app(self) -> Starlette:
        mcp = self._tools()
        sub = mcp.streamable_http_app(streamable_http_path="/mcp", stateless_http=True, json_response=False)

        @contextlib.asynccontextmanager
        async def life(_: Starlette) -> AsyncIterator[None]:
            async with mcp.session_manager.run():
                yield

        async def health(_: Request) -> Response:
            return PlainTextResponse("ok")

        async def echo(request: Request) -> Response:
            return Response(await request.body())

        heard = asyncio.Queue()

        async def sse(_: Request) -> Response:
            async def events() -> AsyncIterator[bytes]:
                for number in range(3):
                    yield f"data: {number}\n\n".encode()
                    await heard.get()

            return StreamingResponse(events(), media_type="text/event-stream")

        async def hear(_: Request) -> Response:
            await heard.put(None)
            return PlainTextResponse("ok")

        routes = [
            Route("/health", health), Route("/echo", echo, methods=["POST"]), Route("/sse", sse), Route("/heard", hear, methods=["POST"]),
            Route("/git/{rest:path}", self._git, methods=["GET", "POST"]), Mount("/", sub),
        ]  # fmt: skip
        return Starlette(routes=routes, lifespan=life)

    async def _git(self, request: Request) -> Response:
        token = request.headers.get("authorization", "")
        if token not in {f"Bearer {session['token']}" for session in self.sessions.values()}:
            return PlainTextResponse("who are you?", status_code=401)
        body = await request.body()
        env = {
            "GIT_PROJECT_ROOT": str(self.root / "repos"), "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": "/" + request.path_params["rest"],
            "REQUEST_METHOD": request.method, "QUERY_STRING": request.url.query, "REMOTE_USER": "agent", "PATH": os.environ["PATH"],
            "CONTENT_TYPE": request.headers.get("content-type", ""), "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": request.headers.get("content-encoding", ""), "GIT_PROTOCOL": request.headers.get("git-protocol", ""),
        }  # fmt: skip
        ran = await asyncio.to_thread(
            subprocess.run, ["git", "http-backend"], input=body, env=env, capture_output=True, check=False
        )
        head, _, rest = ran.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
        status = int(headers.pop("Status", "200 OK").split()[0])
        return Response(rest, status_code=status, headers=headers)

    def _tools(self) -> MCPServer:
        mcp = MCPServer("mini")

        @mcp.tool()
        def claim_task(task: str | None = None, module: str | None = None) -> CallToolResult:
            """claim"""
            self.calls.append("claim_task")
            open_ones = [
                name for name, state in self.tasks.items() if state == "open" and task in (None, name)
            ]
            if not open_ones:
                return refused("held" if task else "no_task")
            fence = len(self.holders) + 1
            self.holders[fence] = open_ones[0]
            self.tasks[open_ones[0]] = "claimed"
            known = {
                "id": open_ones[0],
                "title": f"task {open_ones[0]}",
                "module": "m",
                "repo": "engine",
                "brief": "",
            }
            return answer(status="leased", task=known, fence=fence, paths=["**"], salvage=self.salvage)

        @mcp.tool()
        def release_task(fence: int, outcome: str, note: str = "") -> CallToolResult:
            """release"""
            self.calls.append(f"release_task {outcome}")
            return answer(status="released", task=self.holders.get(fence), outcome=outcome)

        @mcp.tool()
        def run_oracle(
            fence: int | None = None,
            commit: str | None = None,
            scope: str = "task",
            cases: list[str] | None = None,
        ) -> CallToolResult:
            """run"""
            self.calls.append("run_oracle")
            if self._wait_once(f"oracle {commit}"):
                return answer(status="running", job=1)
            return answer(status="passed", job=1, suites={"toy": {"counts": {"cases": 2, "passed": 2}}})

        @mcp.tool()
        def push(fence: int, commit: str, summary: str) -> CallToolResult:
            """push"""
            self.calls.append("push")
            if self.refuse_pushes:
                return refused(self.refuse_pushes.pop(0))
            if self._wait_once(f"push {commit}"):
                return answer(status="testing", submission=1)
            git("cat-file", "-e", f"{commit}^{{commit}}", cwd=self.repos["engine"])
            self.tasks[self.holders[fence]] = "done"
            return answer(status="landed", main=commit, task=self.holders[fence])

        @mcp.tool()
        def list_tasks() -> CallToolResult:
            """list"""
            return answer(
                status="tasks", tasks=[{"id": name, "state": state} for name, state in self.tasks.items()]
            )

        @mcp.tool()
        def write_note(topic: str, text: str) -> CallToolResult:
            """note"""
            self.notes.append((topic, text))
            return answer(status="written")

        @mcp.tool()
        def read_notes(topic: str | None = None) -> CallToolResult:
            """notes"""
            found = [f"{name} (x): {text}" for name, text in self.notes if topic in (None, name)]
            return CallToolResult(
                content=[TextContent(type="text", text="\n".join(found) or f"no notes on {topic}")]
            )

        return mcp

    def _wait_once(self, key: str) -> bool:
        self.waits[key] = self.waits.get(key, 0) + 1
        return self.waits[key] == 1


def answer(**value: Any) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text="...")], structured_content=value)


def refused(code: str) -> CallToolResult:
    value = {"status": "refused", "code": code, "happened": f"{code} happened", "holds": "", "next": ""}
    return CallToolResult(
        content=[TextContent(type="text", text="...")], structured_content=value, is_error=True
    )
