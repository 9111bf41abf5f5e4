"""A real uvicorn server with doors: which socket a request came through, and what opening, closing and
restarting do.
"""

import asyncio
import json
import os
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import uvicorn

from mcp_server.edge import doors
from mcp_server.edge.doors import Doors
from tests.waiting import BOUND_S, until_on_loop


@dataclass
class App:
    """Answers with the door that the request came through; `/slow` waits until it is let go; `/scrawl` spoils
    its state.
    """

    go: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: int = 0

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            scope["state"]["shared"] = "from the lifespan"
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        if scope["path"] == "/scrawl":
            scope["state"]["door"] = "another"
        if scope["path"] == "/slow":
            self.waiting += 1
            await self.go.wait()
        body = json.dumps(
            {"door": scope["state"].get("door"), "shared": scope["state"].get("shared")}
        ).encode()
        length = str(len(body)).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
        await send({"type": "http.response.body", "body": body})


@dataclass
class Running:
    app: App
    server: uvicorn.Server
    doors: Doors
    task: asyncio.Task

    @property
    def port(self) -> int:
        return self.server.servers[0].sockets[0].getsockname()[1]


@asynccontextmanager
async def running(root: Path) -> AsyncIterator[Running]:
    app = App()
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, log_level="warning", timeout_graceful_shutdown=2, lifespan="on")
    )
    task = asyncio.create_task(server._serve())  # as serve(), but the signals stay pytest's
    await until_on_loop(lambda: server.started, "the server to start")
    yield Running(app, server, Doors(server, root), task)
    server.should_exit = True
    async with asyncio.timeout(BOUND_S):
        await task


def tried(body: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(body())


class Client:
    """One connection, kept alive. A path of any length will do."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self.reader, self.writer = reader, writer

    @classmethod
    async def to(cls, path: Path) -> "Client":
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            return cls(*await asyncio.open_unix_connection(f"/proc/self/fd/{directory}/{path.name}"))
        finally:
            os.close(directory)

    async def ask(self, path: str = "/") -> dict:
        self.writer.write(f"GET {path} HTTP/1.1\r\nHost: door\r\n\r\n".encode())
        return await self.answer()

    async def answer(self) -> dict:
        async with asyncio.timeout(BOUND_S):
            head = await self.reader.readuntil(b"\r\n\r\n")
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            return json.loads(await self.reader.readexactly(int(length.split(b":")[1])))

    async def ended(self) -> bool:
        async with asyncio.timeout(BOUND_S):
            try:
                return await self.reader.read() == b""
            except ConnectionError:
                return True


def test_each_door_tells_its_session_and_tcp_tells_none(tmp_path: Path):
    async def body() -> None:
        async with running(tmp_path / "doors") as run:
            paths = {session: await run.doors.open(session) for session in ("S1", "S2")}
            for session, path in paths.items():
                client = await Client.to(path)
                assert await client.ask() == {"door": session, "shared": "from the lifespan"}
            tcp = Client(*await asyncio.open_connection("127.0.0.1", run.port))
            assert await tcp.ask() == {"door": None, "shared": "from the lifespan"}

    tried(body)


def test_a_request_cannot_change_which_door_the_next_one_is_seen_at(tmp_path: Path):
    async def body() -> None:
        async with running(tmp_path / "doors") as run:
            path = await run.doors.open("S1")
            client = await Client.to(path)
            await client.ask("/scrawl")
            assert (await client.ask())["door"] == "S1"
            assert (await (await Client.to(path)).ask())["door"] == "S1"
            assert "door" not in run.server.lifespan.state

    tried(body)


def test_the_sandbox_may_connect_and_nobody_else_gets_there(tmp_path: Path):
    async def body() -> None:
        before = os.umask(0o077)
        try:
            async with running(tmp_path / "doors") as run:
                path = await run.doors.open("S1")
                modes = [
                    stat.S_IMODE(each.stat().st_mode) for each in (path, path.parent, path.parent.parent)
                ]
                assert modes == [0o666, 0o755, 0o700]
                assert stat.S_ISSOCK(path.stat().st_mode)
                assert os.listdir(path.parent) == ["door.sock"]
        finally:
            os.umask(before)

    tried(body)


def test_what_the_supervisor_put_beside_the_socket_stays(tmp_path: Path):
    async def body() -> None:
        async with running(tmp_path / "doors") as run:
            (tmp_path / "doors/S1").mkdir(parents=True)
            (tmp_path / "doors/S1/session.json").write_text("{}")
            await run.doors.open("S1")
            await run.doors.close("S1")
            assert os.listdir(tmp_path / "doors/S1") == ["session.json"]

    tried(body)


def test_a_door_at_the_end_of_a_long_path_works(tmp_path: Path):
    async def body() -> None:
        root = tmp_path / ("long" * 50) / "doors"
        async with running(root) as run:
            path = await run.doors.open("S1")
            assert len(str(path)) > 200
            assert (await (await Client.to(path)).ask())["door"] == "S1"
            await run.doors.close("S1")
            assert not path.exists()

    tried(body)


def test_a_restarted_server_replaces_the_stale_socket(tmp_path: Path):
    async def body() -> None:
        root = tmp_path / "doors"
        async with running(root) as run:
            path = await run.doors.open("S1")
        assert path.exists(), "it is stale, as after a crash: nobody closed it"
        with pytest.raises(ConnectionRefusedError):
            await Client.to(path)
        async with running(root) as again:
            assert await again.doors.open("S1") == path
            assert (await (await Client.to(path)).ask())["door"] == "S1"

    tried(body)


def test_opening_again_replaces_the_door_without_a_gap_for_the_next_caller(tmp_path: Path):
    async def body() -> None:
        async with running(tmp_path / "doors") as run:
            first = await run.doors.open("S1")
            old = await Client.to(first)
            await old.ask()
            assert await run.doors.open("S1") == first
            assert await old.ended()
            assert (await (await Client.to(first)).ask())["door"] == "S1"
            assert len(run.server.servers) == 2  # TCP and the one door

    tried(body)


def test_a_closed_door_is_gone_and_the_others_stay(tmp_path: Path):
    async def body() -> None:
        async with running(tmp_path / "doors") as run:
            one, two = await run.doors.open("S1"), await run.doors.open("S2")
            idle, other = await Client.to(one), await Client.to(two)
            await idle.ask()
            await other.ask()
            await run.doors.close("S1")
            await run.doors.close("S1")
            await run.doors.close("never-opened")
            assert not one.exists() and not run.doors.is_open("S1") and run.doors.is_open("S2")
            assert await idle.ended()
            assert (await other.ask())["door"] == "S2"
            with pytest.raises(FileNotFoundError):
                await Client.to(one)
            await run.doors.close_all()
            assert not two.exists() and await other.ended()
            assert len(run.server.servers) == 1

    tried(body)


def test_a_call_under_way_has_its_answer_when_the_door_closes(tmp_path: Path):
    async def body() -> None:
        async with running(tmp_path / "doors") as run:
            client = await Client.to(await run.doors.open("S1"))
            asked = asyncio.create_task(client.ask("/slow"))
            await until_on_loop(lambda: run.app.waiting)
            closing = asyncio.create_task(run.doors.close("S1"))
            await until_on_loop(lambda: not run.doors.is_open("S1"))
            run.app.go.set()
            assert (await asked)["door"] == "S1"
            await closing
            assert await client.ended()

    tried(body)


def test_a_call_that_does_not_end_is_cut_off_and_closing_ends(tmp_path: Path):
    async def body() -> None:
        async with running(tmp_path / "doors") as run:
            client = await Client.to(await run.doors.open("S1"))
            client.writer.write(b"GET /slow HTTP/1.1\r\nHost: door\r\n\r\n")
            await until_on_loop(lambda: run.app.waiting)
            async with asyncio.timeout(doors.GRACE_S + BOUND_S):
                await run.doors.close("S1")
            assert await client.ended()
            run.app.go.set()

    tried(body)


def test_the_server_stops_with_its_doors_open_and_callers_connected(tmp_path: Path):
    async def body() -> None:
        async with running(tmp_path / "doors") as run:
            path = await run.doors.open("S1")
            client = await Client.to(path)
            await client.ask()
        assert await client.ended()
        with pytest.raises(ConnectionRefusedError):
            await Client.to(path)

    tried(body)


@pytest.mark.parametrize("session", ["", ".", "..", "../S1", "a/b", "a\0", "-S1", "S1\n", "S" * 65])
def test_a_name_that_would_lead_elsewhere_is_refused(tmp_path: Path, session: str):
    async def body() -> None:
        async with running(tmp_path / "doors") as run:
            with pytest.raises(ValueError, match="session"):
                await run.doors.open(session)
            assert not (tmp_path / "doors").exists()

    tried(body)


def test_a_link_in_place_of_the_directory_is_not_followed(tmp_path: Path):
    async def body() -> None:
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "doors").mkdir()
        (tmp_path / "doors/S1").symlink_to(tmp_path / "elsewhere")
        async with running(tmp_path / "doors") as run:
            with pytest.raises(OSError):  # noqa: PT011  (the number differs between systems)
                await run.doors.open("S1")
            assert os.listdir(tmp_path / "elsewhere") == []

    tried(body)


def test_there_are_no_doors_before_the_server_has_started(tmp_path: Path):
    async def body() -> None:
        with pytest.raises(RuntimeError, match="started"):
            await Doors(uvicorn.Server(uvicorn.Config(App())), tmp_path).open("S1")

    tried(body)
