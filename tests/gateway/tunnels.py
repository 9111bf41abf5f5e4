"""A door with an egress proxy behind it, a place to connect to, and clients: all real sockets on loopback."""

import asyncio
import base64
import json
import os
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import uvicorn

from mcp_server.config import Egress
from mcp_server.core.principal import AGENT, Principal
from mcp_server.edge.doors import Doors
from mcp_server.edge.egress.proxy import EgressLimits, Proxy
from tests.waiting import BOUND_S, until_on_loop

HOST = "packages.example"
TOKENS = {"good": ("S1", AGENT), "other": ("S2", AGENT), "boss": ("S1", "admin")}


class Place:
    """What is connected to. `does`: echo, after_end (answers once the client has ended), silent, reset,
    greet_and_end, deaf, flood.
    """

    def __init__(self) -> None:
        self.does, self.connections, self.got = "echo", 0, b""
        self._tasks: set[asyncio.Task] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        with suppress(ConnectionError, asyncio.CancelledError):
            await getattr(self, f"_{self.does}")(reader, writer)
        self._tasks.discard(task)
        writer.close()

    async def end(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _echo(self, reader, writer) -> None:
        while data := await reader.read(1 << 16):
            self.got += data
            writer.write(data)
            await writer.drain()

    async def _after_end(self, reader, writer) -> None:
        self.got = await reader.read()
        writer.write(b"all of it: " + self.got)

    async def _greet_and_end(self, reader, writer) -> None:
        writer.write(b"hello")
        writer.write_eof()
        self.got = await reader.read()

    async def _silent(self, reader, writer) -> None:
        await reader.read()

    async def _deaf(self, reader, writer) -> None:
        writer.transport.pause_reading()
        await asyncio.Event().wait()

    async def _flood(self, reader, writer) -> None:
        while True:
            writer.write(b"x" * (1 << 16))
            await writer.drain()

    async def _reset(self, reader, writer) -> None:
        await reader.read(1)
        writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        writer.transport.abort()


@dataclass
class Names:
    """The resolver: what it was asked, and what it answers."""

    answers: list[str] = field(default_factory=lambda: ["127.0.0.1"])
    asked: list[tuple[str, int]] = field(default_factory=list)
    hangs: bool = False

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append((host, port))
        if self.hangs:
            await asyncio.Event().wait()
        if not self.answers:
            raise socket.gaierror(-2, "Name or service not known")
        return self.answers


@dataclass
class Set:
    """Everything of one test."""

    doors: Doors
    place: Place
    names: Names
    port: int
    events: list[dict]
    server: uvicorn.Server
    path: Path = Path()

    async def client(self, session: str = "S1") -> "Client":
        opened = os.open(self.path.parent.parent / session, os.O_RDONLY)
        try:
            return Client(*await asyncio.open_unix_connection(f"/proc/self/fd/{opened}/door.sock"))
        finally:
            os.close(opened)

    async def event(self, number: int = 1) -> dict:
        """The newest event, once there are so many."""
        await until_on_loop(lambda: len(self.events) >= number)
        return self.events[-1]


@dataclass
class Client:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def connect(
        self, where: str, token: str | None = "good", *, early: bytes = b"", header: str | None = None
    ) -> tuple[int, dict[str, str], str]:
        """Status, headers and text of the answer to CONNECT."""
        basic = base64.b64encode(f"agent:{token}".encode()).decode()
        given = header if header is not None else f"Proxy-Authorization: Basic {basic}\r\n" if token else ""
        self.writer.write(f"CONNECT {where} HTTP/1.1\r\nHost: {where}\r\n{given}\r\n".encode() + early)
        return await self.answer()

    async def answer(self) -> tuple[int, dict[str, str], str]:
        async with asyncio.timeout(BOUND_S):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
            status = int(head[0].split()[1])
            body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        return status, headers, body.decode()

    async def chat(self) -> None:
        """Says and hears something again and again."""
        while True:
            self.writer.write(b".")
            await self.read(1)
            await asyncio.sleep(0.05)

    async def read(self, size: int = -1) -> bytes:
        async with asyncio.timeout(BOUND_S):
            return await (self.reader.readexactly(size) if size >= 0 else self.reader.read())


def who_is(token: str, door: str) -> Principal | None:
    session, role = TOKENS.get(token, ("", ""))
    return Principal("worker-1", role, session) if session and session == door else None


async def app(scope, receive, send) -> None:
    """What else is behind the door."""
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    body = json.dumps(
        {"door": scope["state"].get("door"), "method": scope["method"], "path": scope["path"]}
    ).encode()
    await send(
        {
            "type": "http.response.start",
            "status": 404,
            "headers": [(b"content-length", str(len(body)).encode())],
        }
    )
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def opened(
    root: Path,
    *,
    agents: tuple[str, ...] = ("worker-1",),
    private: bool = True,
    limits: EgressLimits | None = None,
) -> AsyncIterator[Set]:
    place, names, events = Place(), Names(), []
    listening = await asyncio.start_server(place.serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    where = (f"{HOST}:{port}",)
    egress = Egress(allow=where, private=where if private else (), agents=agents)

    def record(kind: str, who: Principal, **told) -> None:
        events.append({"kind": kind, "agent": who.name} | told)

    server = uvicorn.Server(
        uvicorn.Config(app, port=0, http="h11", log_level="warning", timeout_graceful_shutdown=2)
    )
    serving = asyncio.create_task(server._serve())  # as serve(), but the signals stay pytest's
    await until_on_loop(lambda: server.started)
    doors = Doors(server, root / "doors")
    doors.tunnel = Proxy(egress, who_is, record, resolve=names, limits=limits).serve
    made = Set(doors, place, names, port, events, server)
    try:
        await doors.open("S2")
        made.path = await doors.open("S1")
        yield made
    finally:
        server.should_exit = True
        async with asyncio.timeout(BOUND_S):
            await serving
        listening.close()
        await place.end()


def tried(body: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(body())
