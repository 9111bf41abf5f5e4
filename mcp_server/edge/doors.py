"""The doors: one Unix socket per session, opened and closed while the server runs, each telling which it is.

Rule: a request that came through a door carries `scope["state"]["door"]`, its session; one over TCP has no
such key. A door says which sandbox knocks and no more: what comes through is nobody until its token says who.
"""

import asyncio
import os
import re
import socket
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from weakref import WeakSet

import uvicorn

from mcp_server.edge import connections
from mcp_server.edge.connections import BoundedHttp, Share
from mcp_server.edge.front import Front

SOCKET = "door.sock"
FRESH = "door.new"  # made under this name and renamed once it listens: a door that is there answers
SESSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
ROOT_MODE = 0o700  # the engine mounts a door as root; nobody else on the host has to get there
DIRECTORY_MODE = 0o755  # the sandbox's user, whom the host does not know, enters it
SOCKET_MODE = 0o666  # and connects
# For calls under way when a door closes; its session has ended, so nobody waits for the answers.
GRACE_S = 3.0
POLL_S = 0.02
# From 3.13 on asyncio would remove the socket by the name it was bound to, which is a number of ours by then.
BOUND: dict[str, Any] = {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}

Tunnel = Callable[[str, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class _Door:
    listener: asyncio.Server
    connections: WeakSet[Any] = field(default_factory=WeakSet)


class Doors:
    """The doors of a uvicorn server that has started. Made and used in its event loop.

    `tunnel` serves the connections that begin with CONNECT, given the session; without it the HTTP server
    refuses them.
    """

    def __init__(self, server: uvicorn.Server, root: Path):
        self._server, self._root = server, Path(root)
        self._doors: dict[str, _Door] = {}
        self.tunnel: Tunnel | None = None

    def is_open(self, session: str) -> bool:
        return session in self._doors

    async def open(self, session: str) -> Path:
        """Open the session's door and return where it is. Replace what an earlier server or an earlier call
        left.
        """
        if not SESSION.fullmatch(session):
            raise ValueError(f"not the name of a session: {session!r}")
        if not self._server.started:
            raise RuntimeError("doors open once the server has started")
        await self.close(session)
        directory = self._root / session
        self._root.mkdir(mode=ROOT_MODE, parents=True, exist_ok=True)
        directory.mkdir(exist_ok=True)
        directory.chmod(DIRECTORY_MODE)
        await self._listen(session, directory)
        return directory / SOCKET

    async def close(self, session: str) -> None:
        """Remove the socket at once; give calls under way GRACE_S to end. Leave a closed door as it is."""
        door = self._doors.pop(session, None)
        if door is None:
            return
        self._server.servers.remove(door.listener)
        door.listener.close()
        (self._root / session / SOCKET).unlink(missing_ok=True)
        await self._end_connections(door)

    async def close_all(self) -> None:
        await asyncio.gather(*(self.close(session) for session in list(self._doors)))

    async def _listen(self, session: str, directory: Path) -> None:
        opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with suppress(FileNotFoundError):
                os.unlink(FRESH, dir_fd=opened)
            # a socket's address has 108 bytes at most, a path may be longer
            short = f"/proc/self/fd/{opened}/{FRESH}"
            bound.bind(short)
            os.chmod(short, SOCKET_MODE)
            opened_here: WeakSet[Any] = WeakSet()
            share = connections.door_share(lambda: len(self._doors))
            listener = await asyncio.get_running_loop().create_unix_server(
                lambda: self._connection(session, opened_here, share),
                sock=bound,
                backlog=connections.ACCEPTS_PER_TURN,
                **BOUND,
            )
            connections.lengthen_queue(bound)
            os.rename(FRESH, SOCKET, src_dir_fd=opened, dst_dir_fd=opened)
        except BaseException:
            bound.close()
            raise
        finally:
            os.close(opened)
        self._doors[session] = _Door(listener, opened_here)
        self._server.servers.append(listener)  # so that the server, when it stops, stops accepting here too

    def _connection(self, session: str, opened_here: WeakSet[Any], share: Share) -> asyncio.Protocol:
        http = partial(self._http, session, opened_here, share)
        if self.tunnel is None:
            return http()
        front = Front(http, partial(self.tunnel, session), self._server.server_state.connections, share)
        opened_here.add(front)
        return front

    def _http(self, session: str, opened_here: WeakSet[Any], share: Share) -> asyncio.Protocol:
        """Make a connection as uvicorn.server.Server.startup does, but for the share and the state."""
        connection = BoundedHttp(
            share,
            config=self._server.config,
            server_state=self._server.server_state,
            app_state={**self._server.lifespan.state, "door": session},
        )
        opened_here.add(connection)
        return connection

    async def _end_connections(self, door: _Door) -> None:
        for connection in self._live(door):
            connection.shutdown()
        ends = asyncio.get_running_loop().time() + GRACE_S
        while self._live(door) and asyncio.get_running_loop().time() < ends:
            await asyncio.sleep(POLL_S)
        for connection in self._live(door):
            connection.transport.abort()

    def _live(self, door: _Door) -> list[Any]:
        return [
            connection
            for connection in door.connections
            if connection in self._server.server_state.connections
        ]
