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

HEADER = struct.Struct(
    ">BxxxL"
)  # stream number, length: docs.docker.com/engine/api, "Attach to a container", stream format
STDERR = 2
CHUNK_BYTES = 64 << 10
LINE_BYTES_MAX = (
    256 << 10
)  # a longer line is cut into pieces, so that one agent cannot fill the harness's memory
REST_S = 0.2  # for what a command said last, once the engine says that it has ended
QUIET_S = (
    1.0  # after that long without output, ask whether the command has ended: a child may hold its output open
)


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
        """Output that http.client buffered together with the answer's header: without this, a fast command
        loses it.
        """
        if self._response is None:
            return b""
        buffered = self._response.raw._fp.fp
        ready = buffered.peek()
        return buffered.read1(len(ready)) if ready else b""

    def receive(self) -> bytes | None:
        """b"" at the end, None if nothing is there now."""
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
        self._heard = 0.0  # when something came last

    @property
    def stdout(self) -> bytes:
        return bytes(self._kept[1])

    @property
    def stderr(self) -> bytes:
        return bytes(self._kept[STDERR])

    def run(self, deadline: float, *, ended: Callable[[], bool], silence_s: float = math.inf) -> bool:
        """True once the outputs are closed, or quiet after `ended()`; False at the deadline (time.monotonic)
        or after such a silence.
        """
        self._heard = time.monotonic()
        with selectors.DefaultSelector() as selector:
            selector.register(
                self._stream.sock, selectors.EVENT_READ | (selectors.EVENT_WRITE if self._sending else 0)
            )
            if self._stream.holds_early and self._receive():
                return True
            while (left := min(deadline, self._heard + silence_s) - time.monotonic()) > 0:
                events = selector.select(min(left, QUIET_S))
                if not events and ended():
                    while (
                        any(mask & selectors.EVENT_READ for _, mask in selector.select(REST_S))
                        and not self._receive()
                    ):
                        pass  # it may have said its last word, and ended, since the look
                    return True
                for _, mask in events:
                    if mask & selectors.EVENT_WRITE and not self._send():
                        selector.modify(self._stream.sock, selectors.EVENT_READ)
                    if mask & selectors.EVENT_READ and self._receive():
                        return True
        return False

    def _send(self) -> bool:
        """False once there is nothing more to send: stdin is then half-closed, the outputs stay open."""
        try:
            if self._unsent:
                self._unsent = self._unsent[self._stream.sock.send(self._unsent[:CHUNK_BYTES]) :]
            if self._unsent:
                return True
            self._stream.sock.shutdown(socket.SHUT_WR)
        except (BlockingIOError, InterruptedError):
            return True
        except (BrokenPipeError, ConnectionResetError):
            pass  # the command closed its stdin: the rest is not wanted
        self._sending = False
        return False

    def _receive(self) -> bool:
        """True at the end of the stream."""
        data = self._stream.receive()
        self._heard = time.monotonic()
        for number, part in self._demux.feed(data or b""):
            kept = self._kept[STDERR if number == STDERR else 1]
            room = self._max - len(kept)
            kept += part[: max(room, 0)]
            self.truncated = self.truncated or len(part) > room
        return data == b""


class Log:
    """The lines of a box's log, read in several passes that may overlap; each pass is made with timestamps."""

    def __init__(self) -> None:
        self._seen = {
            "stdout": "",
            "stderr": "",
        }  # the newest timestamp; of fixed width, so that text order is time order
        self._open = {"stdout": b"", "stderr": b""}

    @property
    def since_s(self) -> int:
        """From when on the next pass has to read, in Unix seconds."""
        stamps = [stamp for stamp in self._seen.values() if stamp]
        return int(datetime.fromisoformat(f"{min(stamps)[:19]}+00:00").timestamp()) if stamps else 0

    def read(self, raw: FrameReader) -> Iterator[tuple[str, bytes]]:
        """Every line that no earlier pass had. One frame is one entry: its timestamp, a blank, at most 16 KB
        of output.
        """
        before = dict(self._seen)
        while len(head := raw.read(HEADER.size)) == HEADER.size:
            number, length = HEADER.unpack(head)
            name = "stderr" if number == STDERR else "stdout"
            stamp, _, text = raw.read(length).partition(b" ")
            if stamp.decode() > before[name]:
                self._seen[name] = max(self._seen[name], stamp.decode())
                yield from self._lines(name, text)

    def _lines(self, name: str, text: bytes) -> Iterator[tuple[str, bytes]]:
        *whole, rest = (self._open[name] + text).split(b"\n")
        if len(rest) > LINE_BYTES_MAX:
            whole, rest = [*whole, rest], b""
        self._open[name] = rest
        yield from ((name, line) for line in whole)

    def rest(self) -> Iterator[tuple[str, bytes]]:
        """What had no line end at the end of the log."""
        yield from ((name, rest) for name, rest in self._open.items() if rest)
