"""The CGI bridge to `git http-backend`: one process per request, bodies streamed both ways, everything
limited.

Rule: no process outlives its request, and an answer that did not come to its end is never given one.
"""

import asyncio
import logging
import os
import re
import signal
import zlib
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress

from starlette.datastructures import Headers
from starlette.types import Receive, Send

from mcp_server.repos.settings import LIMITED

IDLE_S = 60.0  # a client that says nothing for so long has gone
END_S = 1.0  # for git to end by itself once its input has ended
LAST_WORDS_S = 1.0  # for its last words to be read once it has ended
GRACE_S = 3.0  # for git to tidy up when it is stopped
CHUNK_BYTES = 64 * 1024
HEAD_BYTES_MAX = 16 * 1024
LAST_WORDS_BYTES = 2000
STATUS = re.compile(rb"\d+")
PASSED_ON = frozenset({b"content-type", b"expires", b"pragma", b"cache-control"})

log = logging.getLogger(__name__)


class Unservable(Exception):
    """The request cannot be served: the HTTP status and the words to say it with."""

    def __init__(self, status: int, words: str):
        super().__init__(words)
        self.status, self.words = status, words


class ClientGone(Exception):
    """Nobody waits for the answer any more."""


class CgiResponse:
    """An HTTP answer that ends only when `end` is called, which says that all is well."""

    def __init__(self, send: Send):
        self._send = send
        self.has_begun = False

    async def begin(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.has_begun = True
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def write(self, chunk: bytes) -> None:
        await self._send({"type": "http.response.body", "body": chunk, "more_body": True})

    async def end(self) -> None:
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})


async def body(
    headers: Headers, receive: Receive, bytes_max: int, *, idle_s: float = IDLE_S
) -> AsyncGenerator[bytes, None]:
    """Yield the request's body as it comes, unpacked. Raise Unservable over the limit, and ClientGone."""
    encoding = headers.get("content-encoding", "identity")
    if encoding not in ("identity", "gzip", "x-gzip"):
        raise Unservable(415, f"a body in {encoding} is not understood")
    unpack = None if encoding == "identity" else zlib.decompressobj(16 + zlib.MAX_WBITS)
    total = 0
    async for received in _receive_chunks(receive, idle_s):
        for chunk in [received] if unpack is None else _unpack(unpack, received):
            total += len(chunk)
            if total > bytes_max:
                raise Unservable(413, f"the request is larger than {bytes_max:,} bytes")
            yield chunk
    if unpack is not None and not unpack.eof:
        raise Unservable(400, "the compressed body is cut short")


async def run(
    argv: Sequence[str],
    env: Mapping[str, str],
    body: AsyncIterator[bytes],
    receive: Receive,
    answer: CgiResponse,
    *,
    may_leave: bool,
) -> bool:
    """Feed git with `body` and pass its answer on, but for the end. Return True if git succeeded.

    `may_leave`: a client that hangs up ends the process. A push that was received whole is carried out all
    the same.
    """
    async with _process([*LIMITED, *argv], env) as process:
        feeding = asyncio.create_task(_feed(process, body, receive, may_leave=may_leave))
        passing = asyncio.create_task(_pass_on(process, answer))
        try:
            await asyncio.wait({feeding, passing}, return_when=asyncio.FIRST_COMPLETED)
            # Git may be done with a push before the client is: the rest of the body is read all the same.
            if not passing.done() or not may_leave:
                await feeding
            return await passing
        finally:
            for task in (feeding, passing):
                task.cancel()
            await asyncio.gather(feeding, passing, return_exceptions=True)


async def _receive_chunks(receive: Receive, idle_s: float) -> AsyncIterator[bytes]:
    more = True
    while more:
        try:
            # Not wait_for, which in Python 3.11 may lose a cancellation.
            async with asyncio.timeout(idle_s):
                message = await receive()
        except TimeoutError:
            raise Unservable(408, f"nothing was received for {idle_s:.0f} s") from None
        if message["type"] == "http.disconnect":
            raise ClientGone
        more = message.get("more_body", False)
        if message.get("body"):
            yield message["body"]


def _unpack(unpack: "zlib._Decompress", packed: bytes) -> Iterator[bytes]:
    """Yield what was packed piece by piece, so that the limit is met before the memory is."""
    try:
        while packed and not unpack.eof:
            yield unpack.decompress(packed, CHUNK_BYTES)
            packed = unpack.unconsumed_tail
    except zlib.error as wrong:
        raise Unservable(400, "the body is not what gzip makes") from wrong


async def _feed(process: Process, body: AsyncIterator[bytes], receive: Receive, *, may_leave: bool) -> None:
    """Write the body to git, and wait for the client to hang up if it may leave.

    The body is read to its end even where git has closed its input: the client would take anything else for
    a broken connection.
    """
    assert process.stdin is not None
    async for chunk in body:
        if not process.stdin.is_closing():
            with suppress(ConnectionError):
                process.stdin.write(chunk)
                await process.stdin.drain()
    process.stdin.close()
    while may_leave:
        if (await receive())["type"] == "http.disconnect":
            raise ClientGone


async def _pass_on(process: Process, answer: CgiResponse) -> bool:
    """Send what git answers to the client. Return True if git succeeded."""
    assert process.stdout is not None
    status, headers = _head(await _read_head(process.stdout))
    await answer.begin(status, headers)
    while chunk := await process.stdout.read(CHUNK_BYTES):
        await answer.write(chunk)
    return await process.wait() == 0 and status == 200


async def _read_head(stdout: asyncio.StreamReader) -> bytes:
    try:
        return await stdout.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        raise Unservable(502, "git gave no answer") from None


def _head(head: bytes) -> tuple[int, list[tuple[bytes, bytes]]]:
    """Return the status and the headers to pass on. Raise Unservable if git's status is no number."""
    lines = [line.partition(b":") for line in head.split(b"\r\n") if line]
    fields = [(name.strip().lower(), value.strip()) for name, _, value in lines]
    status = next((_status(value) for name, value in fields if name == b"status"), 200)
    return status, [(name, value) for name, value in fields if name in PASSED_ON]


def _status(value: bytes) -> int:
    digits = STATUS.match(value)
    if digits is None:
        raise Unservable(502, "git gave no answer that can be read")
    return int(digits[0])


@asynccontextmanager
async def _process(command: Sequence[str], env: Mapping[str, str]) -> AsyncIterator[Process]:
    """Yield a process in a group of its own; afterwards the group is gone, however this was left."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        env=env,
        cwd="/",
        start_new_session=True,
        limit=HEAD_BYTES_MAX,
    )
    words = asyncio.create_task(_last_words(process))
    try:
        yield process
    finally:
        await _stop(process)
        status = await process.wait()
        last_words = await _at_most(LAST_WORDS_S, words)
        if status != 0:
            log.warning("git http-backend ended with %s: %s", status, last_words)


async def _stop(process: Process) -> None:
    """End the process, gently first.

    Where its input ends early git fails in good order, and takes away what it had received so far. On SIGTERM
    it does so too, but its processes race: one may write where the other has just cleared up.
    """
    assert process.stdin is not None
    process.stdin.close()
    steps = ((None, END_S), (signal.SIGTERM, GRACE_S), (signal.SIGKILL, None))
    for signal_, seconds in steps:
        if process.returncode is None:
            with suppress(ProcessLookupError, TimeoutError):
                if signal_ is not None:
                    os.killpg(process.pid, signal_)
                async with asyncio.timeout(seconds):
                    await process.wait()


async def _last_words(process: Process) -> str:
    assert process.stderr is not None
    words = b""
    while chunk := await process.stderr.read(CHUNK_BYTES):
        words = (words + chunk)[-LAST_WORDS_BYTES:]
    return words.decode("utf-8", "replace").strip()


async def _at_most(seconds: float, words: asyncio.Task[str]) -> str:
    try:
        async with asyncio.timeout(seconds):
            return await words
    except TimeoutError:
        return ""  # a child of git's still holds the pipe
