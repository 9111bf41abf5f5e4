"""Owns the agents of a run: one thread each, session after session. Rule: it decides nothing about an end (outcome.py does) and leaves no box behind."""

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from harness import outcome, preflight, project_files, prompt
from harness.agents import adapter
from harness.agents.base import Event, Seat
from harness.containers import BoxBroke
from harness.outcome import Again, Ended, Enough, Outcome
from harness.sandbox import KIND, RUN
from harness.server import ServerGone, ServerSaidNo
from harness.session import SessionRun, Site
from mcp_server.config import AgentSpec

STOP_BOUND_S = 60.0
LOOK_EVERY_S = 2.0  # while an agent waits: are there tasks left at all?
SWEPT_KINDS = ("agent", "salvage", "probe", "workspace")


class Doing(StrEnum):
    STARTING = "starting"
    WORKING = "working"
    WAITING = "waiting"
    STOPPED = "stopped"


@dataclass(frozen=True)
class AgentState:
    """What an agent does now; plain values for whoever shows them."""

    agent: str
    kind: str
    state: Doing
    session: str | None = None
    reason: str = ""
    since_ms: int = 0
    sessions: int = 0


@dataclass(frozen=True)
class Hired:
    """One agent of the run and the image its sandboxes start from."""

    agent: str
    spec: AgentSpec
    image: str


OnEvent = Callable[[str, Event], None]


class _AgentLoop:
    """One agent's thread."""

    def __init__(self, site: Site, hired: Hired, checks: preflight.Preflight, stop: threading.Event, on_event: OnEvent) -> None:
        self._site, self._hired, self._checks, self._stop, self._on_event = site, hired, checks, stop, on_event
        self._history: list[Ended] = []
        self._current: SessionRun | None = None
        self.state = AgentState(hired.agent, hired.spec.kind, Doing.STARTING, since_ms=_now_ms())
        self.thread = threading.Thread(target=self._run, name=f"agent-{hired.agent}", daemon=True)

    def kill(self) -> bool:
        current = self._current
        if current is None:
            return False
        current.kill()
        return True

    def _run(self) -> None:
        reason = "the supervisor failed"
        try:
            reason = self._sessions()
        finally:
            self._now(Doing.STOPPED, reason, session=None)

    def _sessions(self) -> str:
        """Session after session; the reason of the last one's being the last."""
        try:
            problem = self._checks.problem(self._seat(), self._hired.image)
        except BoxBroke as broke:
            problem = str(broke)
        if problem:
            return f"preflight: {problem}"
        while not self._stop.is_set():
            if self._no_task_left():
                return "no task is left"
            enough = self._one()
            if enough is not None:
                return enough
        return "stop requested"

    def _one(self) -> str | None:
        """One session and the wait after it; a reason if it was the last."""
        seat = self._seat()
        self._now(Doing.STARTING, session=None)
        try:
            files = project_files.gather(self._site.root, adapter(seat.spec.kind).wants(seat))
            text = prompt.finished(self._site.root, self._site.prompt, seat.spec, seat.agent)
            ended = self._session(replace(seat, prompt=text), files)
        except (ServerGone, ServerSaidNo, project_files.BadFiles) as error:
            ended, files = Ended(Outcome.CRASHED, f"no session: {error}"), {}
        self._history.append(ended)
        if ended.outcome in (Outcome.WORKED, Outcome.IDLE) and adapter(seat.spec.kind).ends_after(seat, files):
            return f"its work is done ({outcome.name(ended)})"
        match outcome.after(self._history, now_ms=_now_ms(), waits_s=self._site.waits_s):
            case Enough(reason):
                return reason
            case Again(wait_s, reason):
                return self._wait(wait_s, reason)

    def _session(self, seat: Seat, files: dict[str, str]) -> Ended:
        self._current = SessionRun(
            self._site, seat, self._hired.image, stop=self._stop,
            on_session=lambda session: self._now(Doing.WORKING, session=session), on_event=self._hear,
        )  # fmt: skip
        try:
            return self._current.run(files)
        finally:
            self._current = None

    def _wait(self, wait_s: float, reason: str) -> str | None:
        """Waits, unless a stop comes or the last task ends first."""
        until = time.monotonic() + wait_s
        if wait_s > 0:
            self._now(Doing.WAITING, reason, session=None)
        while (left := until - time.monotonic()) > 0:
            if self._stop.wait(min(left, LOOK_EVERY_S)):
                return "stop requested"
            if self._no_task_left():
                return "no task is left"
        return None

    def _no_task_left(self) -> bool:
        try:
            return bool(self._site.server.status()["finished"])
        except (ServerGone, ServerSaidNo):
            return False  # the next session will tell

    def _seat(self) -> Seat:
        return Seat(self._hired.agent, self._hired.spec, number=len(self._history) + 1)

    def _hear(self, event: Event) -> None:
        self._on_event(self._hired.agent, event)

    def _now(self, doing: Doing, reason: str = "", *, session: str | None) -> None:
        self.state = replace(
            self.state, state=doing, reason=reason, session=session, since_ms=_now_ms(), sessions=len(self._history) + (session is not None)
        )


class Supervisor:
    """`start`, then `stop` or `join`; with `with`, `stop` on the way out."""

    def __init__(self, site: Site, agents: Sequence[Hired], *, on_event: OnEvent = lambda agent, event: None) -> None:
        self._site = site
        self._stop = threading.Event()
        checks = preflight.Preflight(site.engine, run=site.run, state=site.state, root=site.root, runtime=site.runtime)
        self._loops = {hired.agent: _AgentLoop(site, hired, checks, self._stop, on_event) for hired in agents}

    def __enter__(self) -> "Supervisor":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        for loop in self._loops.values():
            loop.thread.start()

    def states(self) -> list[AgentState]:
        return [loop.state for loop in self._loops.values()]

    def any_alive(self) -> bool:
        return any(loop.thread.is_alive() for loop in self._loops.values())

    def kill(self, agent: str) -> bool:
        """Kills the agent's present box as a crash would; False if it has none. Its next session follows."""
        return self._loops[agent].kill()

    def join(self, timeout_s: float) -> bool:
        """True once every agent has stopped."""
        until = time.monotonic() + timeout_s
        for loop in self._loops.values():
            if loop.thread.ident is not None:
                loop.thread.join(max(0.0, until - time.monotonic()))
        return not self.any_alive()

    def stop(self, bound_s: float = STOP_BOUND_S) -> bool:
        """Ends every session, its work saved and its box removed. After bound_s what still runs is removed as it is: then False."""
        self._stop.set()
        in_time = self.join(bound_s)
        if not in_time:
            with contextlib.suppress(BoxBroke):  # an engine that is gone: the next run's sweep finds what is left
                for kind in SWEPT_KINDS:
                    self._site.engine.sweep({RUN: self._site.run, KIND: kind})
            self.join(LOOK_EVERY_S)
        return in_time


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
