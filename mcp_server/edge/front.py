"""Owns the first bytes of a connection at a door: a CONNECT goes to the egress proxy, everything else to the
HTTP server.

uvicorn hands no CONNECT to an application, so somebody has to look before it does. Rule: only the first word
is looked at here; the connection is handed on whole, and whoever has it is the transport's protocol from then
on.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from mcp_server.edge.connections import LIMITS, Share

CONNECT = b"CONNECT "
log = logging.getLogger(__name__)

Tunnel = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Front(asyncio.Protocol):
    """A connection that is undecided until its first word is there. `connections` are the server's: what is
    in there is shut down when the server stops.
    """

    def __init__(
        self, http: Callable[[], asyncio.Protocol], tunnel: Tunnel, connections: set[Any], share: Share
    ):
        self._http, self._tunnel, self._connections, self._share = http, tunnel, connections, share
        self._begun = b""
        self._patience: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        if not self._share.enter(transport):
            return
        self._share.rest(transport)
        self._connections.add(self)
        self._patience = asyncio.get_running_loop().call_later(LIMITS.head_s, transport.close)

    def data_received(self, data: bytes) -> None:
        self._begun += data
        if self._begun.startswith(CONNECT):
            self._to_tunnel()
        elif not CONNECT.startswith(self._begun):
            self._to_http()

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        self._share.leave(self.transport)
        self._decide()

    def shutdown(self) -> None:
        """Close the connection, as the server does with its own. A tunnel has no end to wait for."""
        if self._task is not None:
            self._task.cancel()
        self.transport.close()

    def _decide(self) -> None:
        """Wait no longer for the first word."""
        if self._patience is not None:
            self._patience.cancel()

    def _to_http(self) -> None:
        self._decide()
        http = self._http()
        self._connections.discard(self)
        self.transport.set_protocol(http)
        http.connection_made(self.transport)
        http.data_received(self._begun)

    def _to_tunnel(self) -> None:
        """Give the transport to streams. This object stays what the server knows the connection by."""
        self._decide()
        self._share.work(self.transport)
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(loop=loop)
        streams = asyncio.StreamReaderProtocol(reader, loop=loop)
        self.transport.set_protocol(streams)
        streams.connection_made(self.transport)
        reader.feed_data(self._begun)
        writer = asyncio.StreamWriter(self.transport, streams, reader, loop)
        self._task = loop.create_task(self._run(reader, writer))

    async def _run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._tunnel(reader, writer)
        except asyncio.CancelledError:
            pass  # shutdown
        except Exception:
            log.exception("a connection at a door failed")
        finally:
            self._connections.discard(self)
            self._share.leave(self.transport)
            if self._task is not None and self._task.cancelling():
                self.transport.abort()
            else:
                writer.close()
