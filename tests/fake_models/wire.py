"""Owns the wire under the scripted model: HTTP/1.1 parsed by h11, every piece flushed, and ways to break off
that no server offers.

Rule: it knows no model API. A handler gets a Request and a Wire; when the client goes, the handler is
cancelled.
"""

import asyncio
import socket
import struct
import threading
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

import h11

from tests.waiting import BOUND_S

READ_BYTES = 64 << 10
HEAD_BYTES_MAX = 256 << 10  # clients send long beta and tracing headers


class Cut(Exception):
    """The handler ends the connection in the middle of the answer, as a dying proxy does."""


class Reset(Exception):
    """The same with a TCP reset."""


@dataclass(frozen=True)
class Request:
    method: str
    target: str
    headers: tuple[tuple[str, str], ...]  # names in lower case
    body: bytes

    @property
    def path(self) -> str:
        return unquote(urlsplit(self.target).path)

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query))

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)


class Wire:
    """One answer on its way."""

    def __init__(self, connection: h11.Connection, writer: asyncio.StreamWriter):
        self._connection, self._writer = connection, writer

    async def start(self, status: int, headers: Iterable[tuple[str, str]]) -> None:
        given = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        await self._write(h11.Response(status_code=status, headers=given, reason=b""))

    async def send(self, data: bytes) -> None:
        await self._write(h11.Data(data=data))

    async def end(self) -> None:
        await self._write(h11.EndOfMessage())

    async def whole(self, status: int, headers: Iterable[tuple[str, str]], body: bytes) -> None:
        await self.start(status, [*headers, ("content-length", str(len(body)))])
        await self.send(body)
        await self.end()

    async def _write(self, event: h11.Event) -> None:
        self._writer.write(self._connection.send(event) or b"")
        await self._writer.drain()


Handler = Callable[[Request, Wire], Awaitable[None]]


class WireServer:
    """Serves a handler on loopback, in a thread with a loop of its own, from start() to stop(), or as a
    context manager.
    """

    def __init__(self, handler: Handler, port: int = 0):
        self._handler, self._wanted = handler, port
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task] = set()

    def start(self) -> "WireServer":
        ready, failed = threading.Event(), []
        self._thread = threading.Thread(target=self._run, args=(ready, failed), daemon=True)
        self._thread.start()
        assert ready.wait(BOUND_S)
        if failed:
            raise failed[0]
        return self

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(BOUND_S)
        assert not self._thread.is_alive()

    __enter__ = start

    def __exit__(self, *_) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _run(self, ready: threading.Event, failed: list[BaseException]) -> None:
        async def serve() -> None:
            self._stopping = asyncio.Event()
            server = await asyncio.start_server(self._connected, "127.0.0.1", self._wanted, backlog=512)
            self.port = server.sockets[0].getsockname()[1]
            ready.set()
            await self._stopping.wait()
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

        try:
            self._loop.run_until_complete(serve())
        except OSError as taken:
            failed.append(taken)
        finally:
            ready.set()
            self._loop.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._talk(reader, writer)
        except Reset:
            writer.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
            writer.transport.abort()
        except (Cut, ConnectionError, h11.RemoteProtocolError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES_MAX)
        while request := await _next(connection, reader, writer):
            if not await self._answer(request, Wire(connection, writer), reader):
                return
            if connection.our_state is h11.MUST_CLOSE:
                return
            connection.start_next_cycle()

    async def _answer(self, request: Request, wire: Wire, reader: asyncio.StreamReader) -> bool:
        """False once the client has gone. No client of ours pipelines: what comes meanwhile can only be the
        end.
        """
        answering = asyncio.ensure_future(self._handler(request, wire))
        leaving = asyncio.ensure_future(reader.read(1))
        try:
            await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in (answering, leaving):
                if not each.done():
                    each.cancel()
                    with suppress(asyncio.CancelledError, ConnectionError):
                        await each
        if answering.cancelled():
            return False
        answering.result()
        return not (leaving.done() and not leaving.cancelled())


async def _next(
    connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> Request | None:
    head, body = None, bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            if connection.they_are_waiting_for_100_continue:
                writer.write(connection.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
            connection.receive_data(await reader.read(READ_BYTES))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            assert head is not None
            headers = tuple((name.decode(), value.decode("latin-1")) for name, value in head.headers)
            return Request(head.method.decode(), head.target.decode(), headers, bytes(body))
        else:
            return None
