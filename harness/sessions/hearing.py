"""Owns what a box says: every line goes to the session's log, and as an event to whoever watches. Rule: the
token is in neither.
"""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from harness.agents.base import AgentEvent, Mark
from harness.boxes.containers import Box, BoxBroke
from harness.boxes.sandbox import SandboxSession
from harness.sessions import transcript
from harness.sessions.transcript import Parse

LOG_BYTES_MAX = 64 << 20
EVENTS_MAX = 500
ENTRY_FAILURES = ("no_command", "clone_failed", "unusable")
DECISIVE = (Mark.QUOTA, Mark.AUTH, Mark.ASKED)

OnEvent = Callable[[AgentEvent], None]


class Hearing:
    """Follows one box in a thread of its own; `over` is set once it has ended. What it heard is read after
    that, but for the times.
    """

    def __init__(self, session: SandboxSession, log: Path, parse: Parse, on_event: OnEvent) -> None:
        self._session, self._log, self._parse, self._on_event = session, log, parse, on_event
        self._clones = 0
        self._recent: deque[AgentEvent] = deque(maxlen=EVENTS_MAX)
        self._decisive: list[AgentEvent] = []  # never pushed out by chatter
        self.entry: dict[str, str] = {}  # the sandbox's own failures by name -> detail
        self.counts: Counter[str] = Counter()  # events by mark
        self.saved = False
        self.over = threading.Event()
        self.last_s = time.monotonic()  # when something was heard last
        self.began_s: float | None = None  # when the command began

    def follow(self, box: Box) -> threading.Thread:
        thread = threading.Thread(
            target=self._follow, args=(box,), name=f"log-{self._session.session}", daemon=True
        )
        thread.start()
        return thread

    def events(self) -> tuple[AgentEvent, ...]:
        """Those that decide how the session ended, or else the last ones."""
        return tuple(self._decisive) or tuple(self._recent)

    def tell(self, mark: Mark, text: str) -> None:
        """Something about the session that its box did not say itself."""
        self._on_event(AgentEvent(mark, text))

    def write(self, lines: bytes) -> None:
        with self._opened() as log:
            log.write(lines)

    def _opened(self) -> BinaryIO:
        self._log.parent.mkdir(parents=True, exist_ok=True)
        return self._log.open("ab", buffering=0)

    def _follow(self, box: Box) -> None:
        token = self._session.token.encode()
        try:
            with self._opened() as log:
                room = LOG_BYTES_MAX
                for stream, line in box.follow_logs():
                    line = line.replace(token, b"[token]")
                    self.last_s = time.monotonic()
                    if room > 0:
                        room -= log.write(
                            (b"" if stream == "stdout" else transcript.STDERR.encode()) + line + b"\n"
                        )
                    self._hear(stream, line.decode(errors="replace"))
        except BoxBroke:
            _wait_for_end(box)  # the stream broke, the box may live: only its end ends the session
        finally:
            self.over.set()

    def _hear(self, stream: str, line: str) -> None:
        if stream == "stdout" and (entry := transcript.entry(line)) is not None:
            self._hear_entry(entry)
        event = transcript.event(line, self._parse)
        if event is None:
            return
        self._recent.append(event)
        self.counts[str(event.mark)] += 1
        if event.mark in DECISIVE:
            self._decisive.append(_at(event, time.time_ns() // 1_000_000))
        self._on_event(event)

    def _hear_entry(self, entry: dict[str, Any]) -> None:
        name = entry["harness"]
        if name in ENTRY_FAILURES:
            self.entry[name] = str(entry.get("detail", ""))
        if name == "cloned":
            self._clones += 1
            if self._clones == len(self._session.repos):
                self.began_s = time.monotonic()
        if name == "ended":
            self.saved = bool(entry.get("saved"))


def _at(event: AgentEvent, now_ms: int) -> AgentEvent:
    """With the moment that a wait from now on ends at."""
    return event if event.wait_s is None else replace(event, wait_until_ms=now_ms + int(event.wait_s * 1000))


def _wait_for_end(box: Box) -> None:
    try:
        while box.alive():
            box.wait(5.0)
    except BoxBroke:
        return  # the engine itself is gone
