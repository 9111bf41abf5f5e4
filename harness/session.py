"""Owns one session of one agent, from the server's token to the removed volume. Rule: whatever happens, work is saved first and the box is gone last."""

import json
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TypeVar

from harness import sandbox
from harness.agents import adapter
from harness.agents.base import Event, Launch, Mark, Seat
from harness.containers import Box, BoxBroke, Engine
from harness.outcome import WAITS_S, Cut, Ended, Seen, classify
from harness.sandbox import Session
from harness.server import ServerGone, ServerSaidNo

TICK_S = 0.2  # how soon a stop or a limit is noticed
DISK_EVERY_S = 15.0
DISK_ALARM_PAUSE_S = 1.0  # between two looks: something else may be filling the host
DISK_ALARM_SHARE = 4  # looked at once when the host loses a quarter of one agent's disk limit since the last look
STOP_GRACE_S = 20  # for entry to end the agent and save what is left; then SIGKILL and a salvage box
LOG_BYTES_MAX = 64 << 20
EVENTS_MAX = 500
SERVER_WAIT_S = 60.0  # a server that restarts is back long before
SERVER_WAIT_AT_STOP_S = 5.0
ENTRY_FAILURES = ("no_command", "clone_failed", "unusable")

Json = dict[str, Any]
T = TypeVar("T")


class Server(Protocol):
    """What sessions need of the server; harness.server.ServerClient is it."""

    def create_session(self, agent: str, kind: str, *, door: bool = True) -> Json: ...
    def end_session(self, session: str, outcome: str, *, detail: str = "", exit: int | None = None) -> Json: ...
    def session(self, session: str) -> Json: ...
    def status(self) -> Json: ...


@dataclass(frozen=True)
class Site:
    """Where and with what sessions run; the same for all agents of a run."""

    engine: Engine
    server: Server
    run: str  # the label's value
    state: Path
    root: Path  # the directory of harness.toml
    repos: tuple[tuple[str, str], ...]
    prompt: str | None = None  # what the project tells every agent: the text, or its file
    session_s: float = 3600.0
    runtime: str | None = None
    disk_every_s: float = DISK_EVERY_S
    waits_s: tuple[float, ...] = WAITS_S


@dataclass
class _Heard:
    """What the box's output has told so far; written by the follower, read after it has ended."""

    entry: dict[str, str] = field(default_factory=dict)
    events: deque[Event] = field(default_factory=lambda: deque(maxlen=EVENTS_MAX))
    decisive: list[Event] = field(default_factory=list)  # never pushed out by chatter
    saved: bool = False


class _DiskWatch:
    """Measures the workspace now and then, and at once when the host's own disk shrinks fast: a volume has no quota."""

    def __init__(self, site: Site, limit_mb: int) -> None:
        self._site, self._limit_mb = site, limit_mb
        self._looked()

    def is_over(self, box: Box) -> bool:
        now = time.monotonic()
        if now < self._due and (now < self._not_before or self._free_mb() > self._alarm_mb):
            return False
        used_mb = sandbox.used_mb(box)
        self._looked()
        return used_mb is not None and used_mb > self._limit_mb

    def _looked(self) -> None:
        self._due = time.monotonic() + self._site.disk_every_s
        self._not_before = time.monotonic() + DISK_ALARM_PAUSE_S
        self._alarm_mb = self._free_mb() - self._limit_mb // DISK_ALARM_SHARE

    def _free_mb(self) -> int:
        return shutil.disk_usage(self._site.state).free >> 20


class SessionRun:
    """`run` once. `kill` may be called from another thread at any time."""

    def __init__(
        self, site: Site, seat: Seat, image: str, *, stop: threading.Event,
        on_session: Callable[[str], None] = lambda session: None, on_event: Callable[[Event], None] = lambda event: None,
    ) -> None:  # fmt: skip
        self._site, self._seat, self._image, self._stop = site, seat, image, stop
        self._on_session, self._on_event = on_session, on_event
        self._adapter = adapter(seat.spec.kind)
        self._heard = _Heard()
        self._over = threading.Event()
        self._box: Box | None = None

    def kill(self) -> None:
        """Ends the box at once, as a crash would."""
        if self._box is not None:
            self._box.kill()

    def run(self, files: dict[str, str]) -> Ended:
        """How it ended. Raises ServerGone or ServerSaidNo if the server gives no session."""
        launch = self._adapter.launch(self._seat, files)
        made = self._patiently(lambda: self._site.server.create_session(self._seat.agent, self._seat.spec.kind, door=True))
        session = self._session(made)
        self._on_session(session.session)
        seen = Seen(exit=None)
        try:
            seen = self._in_box(session, launch)
        finally:
            try:
                ended = self._tell(session, seen)
            finally:
                self._remove(session)
        return ended

    def _session(self, made: Json) -> Session:
        return Session(
            run=self._site.run, session=made["session"], agent=self._seat.agent, token=made["token"], spec=self._seat.spec,
            door=self._site.state / "doors" / made["door"], image=self._image, repos=self._site.repos, runtime=self._site.runtime,
        )  # fmt: skip

    def _in_box(self, session: Session, launch: Launch) -> Seen:
        try:
            self._box = sandbox.start(self._site.engine, session, argv=launch.argv, env=launch.env, files=launch.files)
        except BoxBroke as broke:
            return Seen(exit=None, entry={"unusable": str(broke)})
        follower = threading.Thread(target=self._follow, args=(session, self._box), name=f"log-{session.session}", daemon=True)
        follower.start()
        try:
            cut = self._watch(self._box)
            status = self._box.wait(STOP_GRACE_S)
            out_of_memory = self._box.state().out_of_memory
        except BoxBroke:
            cut, status, out_of_memory = None, None, False
        follower.join(STOP_GRACE_S)
        if not self._heard.saved:
            self._salvage(session)
        events = tuple(self._heard.decisive) or tuple(self._heard.events)
        return Seen(status, cut, out_of_memory, dict(self._heard.entry), events)

    def _watch(self, box: Box) -> Cut | None:
        """Returns when the box has ended; ends it itself on a stop, at its time limit or its disk limit."""
        minutes = self._seat.spec.session_minutes
        deadline = time.monotonic() + (self._site.session_s if minutes is None else minutes * 60)
        disk = _DiskWatch(self._site, self._seat.spec.disk_mb)
        while not self._over.wait(TICK_S):
            cut = Cut.STOP if self._stop.is_set() else Cut.TIME if time.monotonic() >= deadline else None
            if cut is None and disk.is_over(box):
                cut = Cut.DISK
            if cut is not None:
                box.stop(STOP_GRACE_S)
                return cut
        return None

    def _follow(self, session: Session, box: Box) -> None:
        try:
            with _log(self._site.state, session) as log:
                room = LOG_BYTES_MAX
                for stream, line in box.follow_logs():
                    line = line.replace(session.token.encode(), b"[token]")
                    if room > 0:
                        room -= log.write(line + b"\n") if stream == "stdout" else log.write(b"! " + line + b"\n")
                    self._hear(stream, line.decode(errors="replace"))
        except BoxBroke:
            _wait_for_end(box)  # the stream broke, the box may live: only its end ends the session
        finally:
            self._over.set()

    def _hear(self, stream: str, line: str) -> None:
        if stream == "stdout" and line.startswith('{"harness":'):
            self._hear_entry(line)
            return
        event = self._adapter.parse(line)
        if event is not None:
            self._heard.events.append(event)
            if event.mark in (Mark.QUOTA, Mark.AUTH, Mark.ASKED):
                self._heard.decisive.append(event)
            self._on_event(event)

    def _hear_entry(self, line: str) -> None:
        try:
            said = json.loads(line)
        except ValueError:
            return
        name = said["harness"]
        if name in ENTRY_FAILURES:
            self._heard.entry[name] = str(said.get("detail", ""))
        if name == "ended":
            self._heard.saved = bool(said.get("saved"))
        self._on_event(Event(Mark.SAID, f"sandbox: {name}" + (f": {said['detail']}" if said.get("detail") else "")))

    def _salvage(self, session: Session) -> None:
        try:
            if self._box is not None:
                self._box.kill()  # nothing else may write to the workspace now
            saved, lines = sandbox.salvage(self._site.engine, session)
            with _log(self._site.state, session) as log:
                log.write(b"".join(b"salvage: " + line + b"\n" for line in lines))
            if not saved:
                self._on_event(Event(Mark.ERROR, "some leftovers could not be uploaded"))
        except BoxBroke as broke:
            self._on_event(Event(Mark.ERROR, f"salvage: {broke}"))

    def _tell(self, session: Session, seen: Seen) -> Ended:
        """Names the end and tells the server, which ends the lease at once. The box is dead by now."""
        try:
            facts = self._patiently(lambda: self._site.server.session(session.session))
            ended = classify(Seen(
                seen.exit, seen.cut, seen.out_of_memory, seen.entry, seen.events, calls=int(facts.get("calls") or 0),
                uploaded=bool(facts.get("head")), tools_listed=bool(facts.get("tools_listed", True)),
            ))  # fmt: skip
            self._patiently(lambda: self._site.server.end_session(session.session, ended.outcome, detail=ended.detail, exit=seen.exit))
        except (ServerGone, ServerSaidNo) as error:
            ended = classify(seen)
            self._on_event(Event(Mark.ERROR, f"the server did not take the session's end: {error}"))
        return ended

    def _remove(self, session: Session) -> None:
        try:
            sandbox.remove(self._site.engine, session, self._box)
        except BoxBroke as broke:
            self._on_event(Event(Mark.ERROR, f"left for the sweep: {broke}"))

    def _patiently(self, ask: Callable[[], T]) -> T:
        """Asks again while the server is away, for SERVER_WAIT_S at most."""
        began, wait_s = time.monotonic(), 0.2
        while True:
            try:
                return ask()
            except ServerGone:
                limit_s = SERVER_WAIT_AT_STOP_S if self._stop.is_set() else SERVER_WAIT_S
                if time.monotonic() - began + wait_s > limit_s:
                    raise
            time.sleep(wait_s)
            wait_s = min(wait_s * 2, 2.0)


def _log(state: Path, session: Session) -> BinaryIO:
    path = state / "logs" / session.agent / f"{session.session}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("ab", buffering=0)


def _wait_for_end(box: Box) -> None:
    try:
        while box.alive():
            box.wait(5.0)
    except BoxBroke:
        return  # the engine itself is gone
