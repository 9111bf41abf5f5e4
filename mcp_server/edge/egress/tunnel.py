"""Owns the bytes of one connection through the egress proxy, both ways, and how many there were.

Rule: one end's silence lasts no longer than the other's talk and `idle_s`; an end that came too early shows
as a broken connection.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass

CHUNK_BYTES = 64 << 10
End = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Flow:
    """What there is to tell of one connection. Times are the event loop's."""

    began: float
    last: float
    up: int = 0
    down: int = 0
    status: str = "failed"
    address: str | None = None


async def relay(client: End, there: End, flow: Flow, *, idle_s: float) -> None:
    """Pass bytes on both ways until both have ended, `ok`, or nothing has come for `idle_s`, `idle`.

    Raise ConnectionError if one of them breaks.
    """
    flow.last = asyncio.get_running_loop().time()
    up = asyncio.ensure_future(_pump(client[0], there[1], flow, "up"))
    down = asyncio.ensure_future(_pump(there[0], client[1], flow, "down"))
    watch: asyncio.Future[object] = asyncio.ensure_future(_idle(flow, idle_s))
    try:
        both: asyncio.Future[object] = asyncio.ensure_future(asyncio.gather(up, down))
        await asyncio.wait({both, watch}, return_when=asyncio.FIRST_COMPLETED)
        if not both.done():
            flow.status = "idle"
            return
        both.result()
        flow.status = "ok"
    finally:
        for task in (up, down, watch):
            task.cancel()
        await asyncio.gather(up, down, watch, return_exceptions=True)


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter, flow: Flow, way: str) -> None:
    loop = asyncio.get_running_loop()
    while data := await source.read(CHUNK_BYTES):
        setattr(flow, way, getattr(flow, way) + len(data))
        flow.last = loop.time()
        sink.write(data)
        await sink.drain()
        flow.last = loop.time()
    with suppress(OSError):  # the other end may have closed already
        sink.write_eof()


async def _idle(flow: Flow, idle_s: float) -> None:
    loop = asyncio.get_running_loop()
    while (left := flow.last + idle_s - loop.time()) > 0:
        await asyncio.sleep(left)


def let_go(writer: asyncio.StreamWriter, flow: Flow) -> None:
    """What was said whole is still delivered; otherwise the end shows as a broken connection, not as a good
    one.
    """
    writer.close() if flow.status == "ok" else writer.transport.abort()
