"""Owns the engine's multiplexed byte streams (exec and logs). Rule: it knows sockets and frames, and nothing
of containers.
"""

import math
import selectors
import socket
import struct
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, Protocol

# Stream number and length: docs.docker.com/engine/api, "Attach to a container", stream format.
HEADER = struct.Struct(">BxxxL")
STDERR = 2
CHUNK_BYTES = 64 << 10
# A longer line is cut into pieces, so that one agent cannot fill the harness's memory.
LINE_BYTES_MAX = 256 << 10
REST_S = 0.2  # for what a command said last, once the engine says that it has ended
# After that long without output, ask whether the command has ended: a child may hold its output open.
QUIET_S = 1.0


class FrameReader(Protocol):
    def read(self, amount: int, /) -> bytes: ...


class Demux:
    """Splits a multiplexed stream, fed in any pieces, into (stream number, payload) parts."""

    def __init__(self) -> None:
        self._head = b""
        self._left = 0
        self._number = 1

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        while data:
            if self._left:
                part, data = data[: self._left], data[self._left :]
                self._left -= len(part)
                yield self._number, part
                continue
            need = HEADER.size - len(self._head)
            self._head, data = self._head + data[:need], data[need:]
            if len(self._head) == HEADER.size:
                self._number, self._left = HEADER.unpack(self._head)
                self._head = b""


class Hijacked:
    """The raw connection of an exec, non-blocking, after the HTTP answer was taken off it."""

    def __init__(self, wire: Any) -> None:
        self._wire = wire
        self._response = getattr(wire, "_response", None)
        self.sock: socket.socket = getattr(wire, "_sock", wire)
        self.sock.setblocking(False)
        self._early = self._read_ahead()

    def _read_ahead(self) -> bytes:
        """Return the output that http.client buffered together with the answer's header: without this, a
        fast command loses it.
        """
        if self._response is None:
            return b""
        buffered = self._response.raw._fp.fp
        ready = buffered.peek()
        return bytes(buffered.read1(len(ready))) if ready else b""

    def receive(self) -> bytes | None:
        """Return what came: b"" at the end, None if nothing is there now."""
        if self._early:
            early, self._early = self._early, b""
            return early
        try:
            return self.sock.recv(CHUNK_BYTES)
        except (BlockingIOError, InterruptedError):
            return None
        except ConnectionResetError:
            return b""

    @property
    def holds_early(self) -> bool:
        return bool(self._early)

    def close(self) -> None:
        if self._response is not None:
            self._response.close()
        self._wire.close()
        self.sock.close()


class Talk:
    """Feeds stdin and collects both outputs at once, so that neither side can wait for the other for ever."""

    def __init__(self, stream: Hijacked, stdin: bytes, output_bytes_max: int) -> None:
        self._stream = stream
        self._unsent = memoryview(stdin)
        self._demux = Demux()
        self._kept = {1: bytearray(), STDERR: bytearray()}
        self._max = output_bytes_max
        self.truncated = False
        self._sending = True
        self._last_output = 0.0  # when something came last (time.monotonic)

    @property
    def stdout(self) -> bytes:
        return bytes(self._kept[1])

    @property
    def stderr(self) -> bytes:
        return bytes(self._kept[STDERR])

    def run(self, deadline: float, *, ended: Callable[[], bool], silence_s: float = math.inf) -> bool:
        """Return True once the outputs are closed, or quiet after `ended()`; False at the deadline
        (time.monotonic) or after such a silence.
        """
        self._last_output = time.monotonic()
        with selectors.DefaultSelector() as selector:
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._sending else 0)
            selector.register(self._stream.sock, events)
            if self._stream.holds_early and self._receive():
                return True
            while (left_s := min(deadline, self._last_output + silence_s) - time.monotonic()) > 0:
                ready = selector.select(min(left_s, QUIET_S))
                if not ready and ended():
                    self._take_rest(selector)
                    return True
                for _, mask in ready:
                    if mask & selectors.EVENT_WRITE and not self._send():
                        selector.modify(self._stream.sock, selectors.EVENT_READ)
                    if mask & selectors.EVENT_READ and self._receive():
                        return True
        return False

    def _take_rest(self, selector: selectors.BaseSelector) -> None:
        """Receive what an ended command said last: it may have spoken since the last look."""
        while any(mask & selectors.EVENT_READ for _, mask in selector.select(REST_S)):
            if self._receive():
                return

    def _send(self) -> bool:
        """Send a piece of stdin. Return False once there is nothing more to send: stdin is then half-closed,
        and the outputs stay open.
        """
        try:
            if self._unsent:
                self._unsent = self._unsent[self._stream.sock.send(self._unsent[:CHUNK_BYTES]) :]
            if self._unsent:
                return True
            self._stream.sock.shutdown(socket.SHUT_WR)
        except (BlockingIOError, InterruptedError):
            return True
        except (BrokenPipeError, ConnectionResetError):
            pass  # the command closed its stdin: it has no use for the rest
        self._sending = False
        return False

    def _receive(self) -> bool:
        """Keep a piece of output. Return True at the end of the stream."""
        data = self._stream.receive()
        self._last_output = time.monotonic()
        for number, part in self._demux.feed(data or b""):
            kept = self._kept[STDERR if number == STDERR else 1]
            room = self._max - len(kept)
            kept += part[: max(room, 0)]
            self.truncated = self.truncated or len(part) > room
        return data == b""


class Log:
    """The lines of a box's log, read in several passes that may overlap; each pass is made with
    timestamps.
    """

    def __init__(self) -> None:
        # The newest timestamp of each; of fixed width, so that text order is time order.
        self._newest = {"stdout": "", "stderr": ""}
        self._open = {"stdout": b"", "stderr": b""}

    @property
    def since_s(self) -> int:
        """The second (Unix time) from which on the next pass has to read."""
        stamps = [stamp for stamp in self._newest.values() if stamp]
        return int(datetime.fromisoformat(f"{min(stamps)[:19]}+00:00").timestamp()) if stamps else 0

    def read(self, raw: FrameReader) -> Iterator[tuple[str, bytes]]:
        """Yield every line that no earlier pass had. One frame is one entry: its timestamp, a blank, at
        most 16 KB of output.
        """
        before = dict(self._newest)
        while len(head := raw.read(HEADER.size)) == HEADER.size:
            number, length = HEADER.unpack(head)
            name = "stderr" if number == STDERR else "stdout"
            stamp, _, text = raw.read(length).partition(b" ")
            if stamp.decode() > before[name]:
                self._newest[name] = max(self._newest[name], stamp.decode())
                yield from self._lines(name, text)

    def _lines(self, name: str, text: bytes) -> Iterator[tuple[str, bytes]]:
        *lines, rest = (self._open[name] + text).split(b"\n")
        if len(rest) > LINE_BYTES_MAX:
            lines, rest = [*lines, rest], b""
        self._open[name] = rest
        yield from ((name, line) for line in lines)

    def rest(self) -> Iterator[tuple[str, bytes]]:
        """Yield what had no line end at the end of the log."""
        yield from ((name, rest) for name, rest in self._open.items() if rest)
