"""Owns what one client is sent: an answer of the vendor byte for byte, or an error in that vendor's shape, at
whatever point it comes.

Rule: once a byte is out, nothing is taken back: errors then go into the stream, and a broken stream is left
broken.
"""

import json

from starlette.types import Send

from mcp_server.models import errors
from mcp_server.models.apis import Call, CallKind, Headers

EVENT_END = (b"\n\n", b"\r\n\r\n", b"\r\r")
EARLY = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]


class ModelResponse:
    """`early`: the headers are ours, sent before the vendor answered, so that the client waits."""

    def __init__(self, send: Send, call: Call, *, stream: bool):
        self._send, self._call, self._stream = send, call, stream
        self.status: int | None = None
        self.early = False
        self.passed_on = 0  # bytes of the vendor's body
        self.ended = False
        self._between_events = True

    @property
    def can_say_no(self) -> bool:
        """Return True if `error` would reach the client.

        That is: nothing is out yet, or a stream is between two of its events.
        """
        return not self.begun or (self._stream and self._between_events)

    @property
    def begun(self) -> bool:
        return self.status is not None

    async def start(self, status: int, headers: Headers) -> None:
        if self.begun:
            return
        self.status = status
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def chunk(self, data: bytes) -> None:
        self.passed_on += len(data)
        self._between_events = data.endswith(EVENT_END)
        await self._body(data)

    async def keep_alive(self) -> None:
        """Something for a client that waits for a stream; the first time with headers, since some wait 60 s
        for these.
        """
        if not self._stream:
            return
        if not self.begun:
            self.early = True
            await self.start(200, EARLY)
        await self._body(errors.PING)

    async def end(self) -> None:
        if self.begun and not self.ended:
            self.ended = True
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def error(
        self,
        kind: CallKind,
        message: str,
        *,
        status: int | None = None,
        retry_after_s: int | None = None,
        extra: Headers | None = None,
    ) -> None:
        """Says no, in full or in the stream. The caller ends the answer."""
        if not self.begun:
            body = json.dumps(
                errors.error(self._call.api, kind, message, status=status, retry_after_s=retry_after_s)
            ).encode()
            headers = [
                *errors.error_headers(kind, retry_after_s),
                *(extra or []),
                (b"content-length", str(len(body)).encode()),
            ]
            await self.start(status or errors.STATUSES[kind], headers)
            await self._body(body)
        elif self._stream:
            await self._body(errors.stream_error(self._call.form, kind, message, retry_after_s=retry_after_s))

    async def _body(self, data: bytes) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": True})


def up_to_event_end(chunk: bytes) -> int:
    """Where the last event of a chunk ends: 0 if none does. Only there another event may be put in."""
    return max(found + len(end) if (found := chunk.rfind(end)) >= 0 else 0 for end in EVENT_END)
