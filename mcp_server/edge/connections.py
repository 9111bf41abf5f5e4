"""Owns how many connections there may be and how long each may take over its next bytes: one share for the
port, one for every door.

Rule: a guest can fill its own share and no more. At a full share the connection that has been at rest longest
(none of its requests is under way) makes room; if none is, the newcomer is told so. What takes part in the
server's work is never cut for being slow, but for saying nothing.
"""

import asyncio
import errno
import json
import logging
import resource
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

DESCRIPTORS_MAX = 65_536  # what the server asks for; programs that it starts look through as many
# Package managers open some ten connections, an agent's program a handful to its models and tools.
DOOR_CONNECTIONS_MAX = 128
PORT_CONNECTIONS_MAX = 4_096
# Of all descriptors, how many all doors and the port may have; the rest is for files, git and the way out.
DOORS_PART, PORT_PART = 2, 4
# Connections that one listener accepts before others have their turn; the kernel keeps those that wait.
ACCEPTS_PER_TURN = 16
BACKLOG = 1_024
KEEP_ALIVE_S = 75  # longer than clients keep idle connections pooled
OUT_OF_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class HttpLimits:
    """How long a client may take, as in Apache's mod_reqtimeout."""

    head_s: float = 20.0  # for the head of a request, from its first byte or from the connection on
    body_s: float = 20.0  # without a byte of a body that is being read
    body_bytes_per_s: int = 4_096  # of a body on average
    stall_s: float = 300.0  # without a byte taken of an answer; a paused box wakes up sooner


LIMITS = HttpLimits()


def raise_descriptor_limit() -> int:
    """Allow this process as many descriptors as the system lets it have, and return that number."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = DESCRIPTORS_MAX if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS_MAX)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return descriptors()


def descriptors() -> int:
    """Return how many descriptors this process may have."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return DESCRIPTORS_MAX if soft == resource.RLIM_INFINITY else soft


def on_loop_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Say in a line that no descriptor is left, instead of a traceback for each connection that waits.

    asyncio itself stops to accept for a second then.
    """
    wrong = context.get("exception")
    if isinstance(wrong, OSError) and wrong.errno in OUT_OF_DESCRIPTORS:
        log.warning("no connection is accepted for a second: %s", wrong.strerror)
    else:
        loop.default_exception_handler(context)


class Share:
    """The connections that are open at one place, told by their transports."""

    def __init__(self, place: str, most: Callable[[], int]):
        self._place, self._most = place, most
        self._open: set[asyncio.Transport] = set()
        self._resting: dict[asyncio.Transport, None] = {}  # at rest, those longest so first

    def __len__(self) -> int:
        return len(self._open)

    def enter(self, transport: asyncio.Transport) -> bool:
        """Return True if the connection may stay; otherwise it has been told why, and closed."""
        if transport in self._open:
            return True
        if len(self._open) >= self._most():
            oldest = next(iter(self._resting), None)
            self._send_away(transport if oldest is None else oldest)
            if oldest is None:
                return False
        self._open.add(transport)
        return True

    def rest(self, transport: asyncio.Transport) -> None:
        """Note that no request of the connection is under way."""
        if transport in self._open:
            self._resting.setdefault(transport)

    def work(self, transport: asyncio.Transport) -> None:
        """Note that a request of the connection is under way."""
        self._resting.pop(transport, None)

    def leave(self, transport: asyncio.Transport) -> None:
        """Take the connection out. A second time changes nothing."""
        self._open.discard(transport)
        self._resting.pop(transport, None)

    def _send_away(self, transport: asyncio.Transport) -> None:
        self.leave(transport)
        message = f"{self._place} has {self._most()} connections open; close some"
        _say(transport, b"503 Service Unavailable", "too_many_connections", message)


def port_share() -> Share:
    """Return the share of the connections that come over TCP."""
    return Share("this server", lambda: min(PORT_CONNECTIONS_MAX, max(1, descriptors() // PORT_PART)))


def door_share(doors: Callable[[], int]) -> Share:
    """Return the share of one of so many doors: all of them together leave the server what it needs."""
    return Share(
        "this door",
        lambda: max(1, min(DOOR_CONNECTIONS_MAX, descriptors() // DOORS_PART // max(1, doors()))),
    )


class Owed(Enum):
    """What a client has yet to send."""

    NOTHING = "it waits for us, or may be silent"
    HEAD = "the rest of a request's head"
    BODY = "the rest of a request's body"


class BoundedHttp(H11Protocol):
    """uvicorn's connection within a share, with an end to what a client may leave half said."""

    def __init__(
        self,
        share: Share,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        limits: HttpLimits = LIMITS,
    ):
        super().__init__(config, server_state, app_state, _loop)
        self._share, self._limits = share, limits
        self._owed = Owed.NOTHING
        self._due_s = 0.0
        self._patience: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self._share.enter(transport):
            self._look()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._look(len(data))

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        self._share.leave(self.transport)
        for timer in (self._patience, self._stall):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stall = self.loop.call_later(self._limits.stall_s, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stall is not None:
            self._stall.cancel()

    def _look(self, received: int = 0) -> None:
        """See what the client owes now that so many bytes have come, and until when."""
        owed, now_s = self._owes(), self.loop.time()
        if owed is not self._owed or self._patience is None:
            self._owed = owed
            self._wait_until(now_s + (self._limits.head_s if owed is Owed.HEAD else self._limits.body_s))
        elif owed is Owed.BODY:
            more_s = received / self._limits.body_bytes_per_s
            self._due_s = min(self._due_s + more_s, now_s + self._limits.body_s)
        is_resting = owed is Owed.HEAD or (owed is Owed.NOTHING and self.conn.their_state is h11.IDLE)
        (self._share.rest if is_resting else self._share.work)(self.transport)

    def _owes(self) -> Owed:
        state = self.conn.their_state
        if state is h11.SEND_BODY:
            return Owed.BODY
        # Between two requests uvicorn waits by its own clock, until a byte comes.
        if state is h11.IDLE and (self.cycle is None or self.conn.trailing_data[0]):
            return Owed.HEAD
        return Owed.NOTHING

    def _wait_until(self, due_s: float) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        if self._owed is not Owed.NOTHING and not self.transport.is_closing():
            self._due_s = due_s
            self._patience = self.loop.call_at(due_s, self._see_whether_it_came)

    def _see_whether_it_came(self) -> None:
        self._patience = None
        now_s = self.loop.time()
        if self._owed is Owed.BODY and self.flow.read_paused:  # it is we who do not read
            self._wait_until(now_s + self._limits.body_s)
        elif now_s < self._due_s:
            self._wait_until(self._due_s)
        elif self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            _say(self.transport, b"408 Request Timeout", "too_slow", f"the {self._owed.value} did not come")
        else:
            self.transport.abort()


def config(app: Any, *, limits: HttpLimits = LIMITS, **settings: Any) -> uvicorn.Config:
    """Return uvicorn's settings for a server whose connections are bounded; `settings` are more of them."""
    return uvicorn.Config(
        app,
        http=partial(BoundedHttp, port_share(), limits=limits),  # type: ignore[arg-type] # it takes what makes one
        ws="none",  # nothing here speaks it, and it would take connections out of their share
        backlog=ACCEPTS_PER_TURN,
        timeout_keep_alive=KEEP_ALIVE_S,
        **settings,
    )


def lengthen_queue(listener: Any) -> None:
    """Let the kernel keep as many connections waiting as it will; `listener` is a socket that listens.

    asyncio takes one number for this and for what it accepts in a turn.
    """
    listener.listen(BACKLOG)


def _say(transport: asyncio.Transport, status: bytes, error: str, message: str) -> None:
    """Answer outside of any request, as far as the socket takes it at once, and close."""
    body = json.dumps({"error": error, "message": message}).encode()
    transport.write(
        b"HTTP/1.1 %b\r\ncontent-type: application/json\r\nretry-after: 1\r\nconnection: close\r\n"
        b"content-length: %d\r\n\r\n%b" % (status, len(body), body)
    )
    transport.close()
