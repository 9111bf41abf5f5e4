"""Owns the counting: reads the bytes of an answer as they pass, in pieces of any size, and knows what it has
cost so far.

Rule: pure; it never raises for what it is fed and never holds more than LINE_BYTES_MAX of a stream or
BODY_BYTES_MAX of one JSON body: what is larger is not read, and the usage stays unknown.
"""

import re
import zlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from pydantic_core import from_json

from mcp_server.models import token_fields
from mcp_server.models.apis import FREE, Form
from mcp_server.models.token_fields import Usage

LINE_BYTES_MAX = 16 << 20  # `response.completed` carries the whole answer once more
BODY_BYTES_MAX = 32 << 20
_LINE_END = re.compile(rb"\r\n|\n|\r")


class UsageReader:
    """Feed it everything that passes; `usage` is what is known so far. `end()` when the answer ended by
    itself.
    """

    def __init__(self, form: Form, *, content_type: str = "", content_encoding: str = ""):
        self.usage = Usage(is_known=form in FREE)
        self._form = form
        self._sse = content_type.partition(";")[0].strip().lower() == "text/event-stream"
        self._skips = form in FREE
        self._unpack: Any = None
        match content_encoding.strip().lower():
            case "" | "identity":
                pass
            case "gzip" | "deflate":
                self._unpack = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
            case _:
                self._skips = True
        self._pending = bytearray()  # a line, or the whole of a JSON body, that has not come to its end
        self._scanned = 0
        self._data: list[bytes] = []
        self._data_bytes = 0

    def feed(self, chunk: bytes) -> None:
        """Take in the next bytes of the answer."""
        if self._skips:
            return
        if self._unpack is not None:
            chunk = self._unpacked(chunk)
        self._pending += chunk
        if self._sse:
            self._read_lines()
        if len(self._pending) > (LINE_BYTES_MAX if self._sse else BODY_BYTES_MAX):
            self._give_up()

    def end(self) -> None:
        """Take in that the answer is whole as far as the connection tells.

        Whether the vendor had finished it shows in `usage.complete`.
        """
        if self._form in FREE:
            self.usage = replace(self.usage, complete=True)
        if self._skips:
            return
        if self._sse:
            self._pending += b"\n\n"  # some vendors leave out the last blank line
            self._read_lines()
        else:
            self._take_body(whole=True)

    def cut(self) -> None:
        """Take in that the answer broke off: what a JSON body has told until here still counts."""
        if not self._skips and not self._sse:
            self._take_body(whole=False)

    def _unpacked(self, chunk: bytes) -> bytes:
        try:
            plain: bytes = self._unpack.decompress(chunk, BODY_BYTES_MAX)
        except zlib.error:
            self._give_up()
            return b""
        if self._unpack.unconsumed_tail:
            self._give_up()
            return b""
        return plain

    def _give_up(self) -> None:
        self._skips = True
        self._pending, self._data = bytearray(), []

    # -- server-sent events

    def _read_lines(self) -> None:
        for line in self._lines():
            if not line:
                self._take_event()
            elif line.startswith(b"data:"):
                self._data.append(line[5:].removeprefix(b" "))
                self._data_bytes += len(line)
                if self._data_bytes > LINE_BYTES_MAX:
                    self._give_up()
                    return

    def _lines(self) -> Iterator[bytes]:
        """Yield the lines that are whole; a carriage return at the very end may be half of a line end, and
        waits.
        """
        start = 0
        while end := _LINE_END.search(self._pending, max(start, self._scanned)):
            if end.end() == len(self._pending) and end.group() == b"\r":
                break
            yield bytes(self._pending[start : end.start()])
            if self._skips:
                return
            start = end.end()
        del self._pending[:start]
        self._scanned = max(0, len(self._pending) - 1)

    def _take_event(self) -> None:
        data, self._data, self._data_bytes = b"\n".join(self._data), [], 0
        if data.strip() == b"[DONE]":
            self.usage = replace(self.usage, complete=True)
        # Most events are text and need no parsing.
        elif any(mark in data for mark in token_fields.MARKS[self._form]):
            self.usage = token_fields.TAKE[self._form](self.usage, _value(data))

    # -- one JSON body

    def _take_body(self, *, whole: bool) -> None:
        value = _value(bytes(self._pending), partial=not whole)
        self._pending = bytearray()
        # Gemini streams a list where nobody asks for events.
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, dict):
                self.usage = token_fields.BODY[self._form](self.usage, part)
        if whole and isinstance(value, (dict, list)):
            self.usage = replace(self.usage, complete=True)


def _value(data: bytes, *, partial: bool = False) -> Any:
    try:
        return from_json(data, allow_partial=partial)
    except ValueError:
        return None
