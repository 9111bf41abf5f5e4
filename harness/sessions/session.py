"""Owns one session of one agent, from the server's token to the removed volume. Rule: whatever happens, work
is saved first and the box is gone last.
"""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from harness.agents.base import AgentEvent, Launch, Mark, Seat
from harness.agents.kinds import KINDS
from harness.boxes import sandbox
from harness.boxes.containers import Box, BoxBroke
from harness.boxes.sandbox import SandboxSession
from harness.client import ServerGone, ServerSaidNo
from harness.sessions.hearing import Hearing
from harness.sessions.outcome import Known, Seen, SessionEnd, classify
from harness.sessions.site import Site, limits_of
from harness.sessions.watching import SessionWatch
from mcp_server.wire.sessions import SessionGrant

STOP_GRACE_S = 20  # for entry to end the agent and save what is left; then SIGKILL and a salvage box
SERVER_WAIT_S = 60.0  # a server that restarts is back long before
SERVER_WAIT_AT_STOP_S = 5.0

T = TypeVar("T")


class SessionRun:
    """`run` once. `kill` may be called from another thread at any time."""

    def __init__(
        self,
        site: Site,
        seat: Seat,
        image: str,
        *,
        stop: threading.Event,
        on_session: Callable[[str], None] = lambda session: None,
        on_event: Callable[[AgentEvent], None] = lambda event: None,
    ) -> None:
        self._site, self._seat, self._image, self._stop = site, seat, image, stop
        self._on_session, self._on_event = on_session, on_event
        self._adapter = KINDS[seat.spec.kind].adapter
        self._box: Box | None = None

    def kill(self) -> None:
        """Ends the box at once, as a crash would."""
        if self._box is not None:
            self._box.kill()

    def run(self, files: dict[str, str]) -> SessionEnd:
        """How it ended. Raises ServerGone or ServerSaidNo if the server gives no session."""
        launch = self._adapter.launch(self._seat, files)
        grant = self._patiently(
            lambda: self._site.server.create_session(self._seat.agent, self._seat.spec.kind, door=True)
        )
        session = self._session(grant)
        hearing = Hearing(
            session,
            self._site.state / "logs" / session.agent / f"{session.session}.log",
            self._adapter.parse,
            self._on_event,
        )
        self._on_session(session.session)
        seen = Seen(exit=None)
        try:
            seen = self._in_box(session, launch, hearing)
        finally:
            try:
                ended = self._tell(session, seen, hearing)
            finally:
                self._remove(session, hearing)
        return ended

    def _session(self, grant: SessionGrant) -> SandboxSession:
        return SandboxSession(
            run=self._site.run,
            session=grant.session,
            agent=self._seat.agent,
            token=grant.token,
            spec=self._seat.spec,
            door=self._site.state / "doors" / (grant.door or ""),
            image=self._image,
            repos=self._site.repos,
            runtime=self._site.runtime,
            egress=grant.egress,
        )

    def _in_box(self, session: SandboxSession, launch: Launch, hearing: Hearing) -> Seen:
        try:
            box = self._box = sandbox.start(
                self._site.engine, session, argv=launch.argv, env=launch.env, files=launch.files
            )
        except BoxBroke as broke:
            return Seen(exit=None, entry={"unusable": str(broke)})
        following = hearing.follow(box)
        try:
            cut = self._watch(session, hearing).until_end(box)
            if cut is not None:
                box.stop(STOP_GRACE_S)
            status = box.wait(STOP_GRACE_S)
            out_of_memory = box.state().out_of_memory
        except BoxBroke:
            cut, status, out_of_memory = None, None, False
        following.join(STOP_GRACE_S)
        if not hearing.saved:
            self._salvage(session, box, hearing)
        return Seen(status, cut, out_of_memory, dict(hearing.entry), hearing.events())

    def _watch(self, session: SandboxSession, hearing: Hearing) -> SessionWatch:
        site, spec = self._site, self._seat.spec
        return SessionWatch(
            hearing,
            site.server,
            session.session,
            site.state,
            limits=limits_of(site.settings, spec),
            disk_mb=spec.disk_mb,
            stop=self._stop,
            look_every_s=site.look_every_s,
            disk_every_s=site.disk_every_s,
        )

    def _salvage(self, session: SandboxSession, box: Box, hearing: Hearing) -> None:
        try:
            box.kill()  # nothing else may write to the workspace now
            saved, lines = sandbox.salvage(self._site.engine, session)
            hearing.write(b"".join(b"salvage: " + line + b"\n" for line in lines))
            if not saved:
                hearing.tell(Mark.ERROR, "some leftovers could not be uploaded")
        except BoxBroke as broke:
            hearing.tell(Mark.ERROR, f"salvage: {broke}")

    def _tell(self, session: SandboxSession, seen: Seen, hearing: Hearing) -> SessionEnd:
        """Names the end and tells the server, which ends the lease at once. The box is dead by now."""
        server, id = self._site.server, session.session
        ended = classify(seen, Known(), self._seat.spec.role)
        try:
            facts = self._patiently(lambda: server.session(id))
            is_free = self._patiently(server.status).claimable
            ended = classify(seen, Known.of(facts, is_free=is_free), self._seat.spec.role)
            self._patiently(
                lambda: server.end_session(
                    id, ended.outcome, detail=ended.detail, exit=seen.exit, counts=hearing.counts
                )
            )
        except (ServerGone, ServerSaidNo) as error:
            hearing.tell(Mark.ERROR, f"the server did not take the session's end: {error}")
        return ended

    def _remove(self, session: SandboxSession, hearing: Hearing) -> None:
        try:
            sandbox.remove(self._site.engine, session, self._box)
        except BoxBroke as broke:
            hearing.tell(Mark.ERROR, f"left for the sweep: {broke}")

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
