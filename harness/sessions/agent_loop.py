"""Owns one agent's thread: session after session, and the waits between them. Rule: it decides nothing;
duty.py and outcome.py do.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from harness.agents.base import AgentEvent, Mark, Seat
from harness.agents.kinds import KINDS
from harness.boxes.containers import BoxBroke
from harness.client import ServerGone, ServerSaidNo
from harness.sessions import duty, outcome, preflight, project_files, prompt
from harness.sessions.duty import Go, Later, NoMoreDuty, Others, RunView
from harness.sessions.outcome import Again, Enough, SessionEnd, SessionOutcome
from harness.sessions.session import SessionRun
from harness.sessions.site import Site
from harness.show import lines
from mcp_server.config import AgentSpec
from mcp_server.core.role import Role
from mcp_server.wire.sessions import AgentState, Doing

LOOK_EVERY_S = 2.0  # while an agent waits: is there anything to do?
WELL = (SessionOutcome.WORKED, SessionOutcome.IDLE)


@dataclass(frozen=True)
class Hired:
    """One agent of the run and the image its sandboxes start from."""

    agent: str
    spec: AgentSpec
    image: str

    @property
    def role(self) -> Role:
        return Role(self.spec.role)


OnEvent = Callable[[str, AgentEvent], None]


class AgentLoop:
    """`thread` is to be started once. `state` and `kill` may be used from any thread."""

    def __init__(
        self,
        site: Site,
        hired: Hired,
        checks: preflight.Preflight,
        stop: threading.Event,
        *,
        board: Callable[[bool], RunView | None],
        others: Callable[[], Others],
        on_event: OnEvent,
    ) -> None:
        self._site, self._hired, self._checks, self._stop, self._on_event = (
            site,
            hired,
            checks,
            stop,
            on_event,
        )
        self._board, self._others = board, others
        self._kind = KINDS[hired.spec.kind]
        self._history: list[SessionEnd] = []
        self._last: RunView | None = None
        self._current: SessionRun | None = None
        self.session: str | None = None  # the id of the session that runs now
        self.state = AgentState(
            agent=hired.agent,
            kind=hired.spec.kind,
            role=str(hired.role),
            state=Doing.STARTING,
            reason="",
            since_ms=_now_ms(),
            sessions=0,
            last="",
            said="",
            gave_up=False,
        )
        self.thread = threading.Thread(target=self._run, name=f"agent-{hired.agent}", daemon=True)

    @property
    def role(self) -> Role:
        return self._hired.role

    @property
    def is_over(self) -> bool:
        return self.state.state is Doing.STOPPED

    def kill(self) -> bool:
        current = self._current
        if current is None:
            return False
        current.kill()
        return True

    def _run(self) -> None:
        enough = Enough("the supervisor failed")
        try:
            enough = self._sessions()
        finally:
            self.state = self.state.changed(gave_up=enough.gave_up and not self._stop.is_set())
            self._now(Doing.STOPPED, enough.reason)

    def _sessions(self) -> Enough:
        """Session after session; why the last one was the last."""
        try:
            problem = self._checks.problem(self._seat(), self._hired.image) or self._prompt_problem()
        except BoxBroke as broke:
            problem = str(broke)
        if problem:
            return Enough(f"preflight: {problem}")
        while not self._stop.is_set():
            step, board = self._step()
            match step:
                case NoMoreDuty(reason):
                    return Enough(reason, gave_up=False)
                case Later(reason):
                    self._now(Doing.WAITING, reason)
                    self._stop.wait(LOOK_EVERY_S)
                case Go():
                    enough = self._one(board)
                    if enough is not None:
                        return enough
        return Enough("stop requested", gave_up=False)

    def _step(self) -> tuple[Go | Later | NoMoreDuty, RunView | None]:
        """What is to be done, and on what board that was decided. Nobody stops on an old board."""
        step, board = self._step_on(self._board(False))
        return self._step_on(self._board(True)) if isinstance(step, NoMoreDuty) else (step, board)

    def _step_on(self, board: RunView | None) -> tuple[Go | Later | NoMoreDuty, RunView | None]:
        if board is None:
            return Go(), None  # the server is away: the session waits for it, and tells
        step = duty.following(
            self.role, board, self._last, self._others(), waits_itself=self._kind.waits_itself
        )
        closed = board.closed.get(self._kind.account_of(self._hired.spec) or "")
        if isinstance(step, Go) and closed is not None:
            return Later(lines.waiting_for_quota(*closed)), board
        return step, board

    def _one(self, board: RunView | None) -> Enough | None:
        """One session and the wait after it; why, if it was the last."""
        seat = self._seat()
        self._now(Doing.STARTING)
        try:
            files = project_files.gather(self._site.root, self._kind.adapter.wants(seat))
            ended = self._session(replace(seat, prompt=self._prompt()), files)
        except (ServerGone, ServerSaidNo, project_files.BadFiles) as error:
            ended, files = SessionEnd(SessionOutcome.CRASHED, f"no session: {error}"), {}
        self._history.append(ended)
        self.state = self.state.changed(last=_text(outcome.name(ended)))
        if ended.outcome in WELL:
            self._last = board
            if self._kind.adapter.ends_after(seat, files):
                return Enough(f"its work is done ({outcome.name(ended)})", gave_up=False)
        match outcome.after(self._history, now_ms=_now_ms(), waits_s=self._site.waits_s):
            case Enough() as enough:
                return enough
            case Again(wait_s, reason):
                return self._wait(wait_s, reason)

    def _session(self, seat: Seat, files: dict[str, str]) -> SessionEnd:
        self._current = SessionRun(
            self._site,
            seat,
            self._hired.image,
            stop=self._stop,
            on_session=lambda session: self._now(Doing.WORKING, session=session),
            on_event=self._hear,
        )
        try:
            return self._current.run(files)
        finally:
            self._current = None

    def _wait(self, wait_s: float, reason: str) -> Enough | None:
        """Waits, unless a stop comes or there is nothing to wait for any more."""
        until = time.monotonic() + wait_s
        if wait_s > 0:
            self._now(Doing.WAITING, reason)
        while (left := until - time.monotonic()) > 0 and not self._stop.wait(min(left, LOOK_EVERY_S)):
            if isinstance(step := self._step()[0], NoMoreDuty):
                return Enough(step.reason, gave_up=False)
        return None

    def _seat(self) -> Seat:
        return Seat(self._hired.agent, self._hired.spec, number=len(self._history) + 1)

    def _prompt(self) -> str:
        """Read afresh for each session: a person may have mended it."""
        return prompt.finished(
            self._site.root, self._site.settings.prompt, self._hired.spec, self._hired.agent
        )

    def _prompt_problem(self) -> str | None:
        try:
            self._prompt()
        except project_files.BadFiles as bad:
            return str(bad)
        return None

    def _hear(self, event: AgentEvent) -> None:
        if event.mark is not Mark.RESULT:
            self.state = self.state.changed(said=_text(event.text))
        self._on_event(self._hired.agent, event)

    def _now(self, doing: Doing, reason: str = "", *, session: str | None = None) -> None:
        before = self.state
        since_ms = before.since_ms if (before.state, before.reason) == (doing, reason) else _now_ms()
        sessions = len(self._history) + (session is not None)
        self.session = session
        self.state = before.changed(
            state=doing,
            reason=_text(reason),
            since_ms=since_ms,
            sessions=max(sessions, before.sessions),
        )


def _text(text: str) -> str:
    """Return the text without lone surrogates, which an agent may print escaped and no UTF-8 can hold."""
    return text.encode("utf-8", "replace").decode()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
