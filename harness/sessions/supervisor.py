"""Owns the agents of a run: one thread each, and what they know of each other.

Rule: it leaves no box behind.
"""

import contextlib
import functools
import threading
import time
from collections.abc import Sequence

from harness.boxes.containers import BoxBroke
from harness.boxes.sandbox import KIND, RUN
from harness.client import ServerGone, ServerSaidNo, SessionServer
from harness.sessions import preflight
from harness.sessions.agent_loop import LOOK_EVERY_S, AgentLoop, Hired, OnEvent
from harness.sessions.duty import Others, RunView
from harness.sessions.site import Site
from mcp_server.core.role import Role
from mcp_server.wire.sessions import AgentState

STOP_BOUND_S = 60.0
SEEN_S = 1.0  # so old may be what many waiting agents are told of the board
SWEPT_KINDS = ("agent", "salvage", "probe", "workspace")


class Boards:
    """The newest board; one question to the server serves all agents that ask at about the same time."""

    def __init__(self, server: SessionServer, seen_s: float = SEEN_S) -> None:
        self._server, self._seen_s = server, seen_s
        self._lock = threading.Lock()
        self._seen: tuple[float, RunView] | None = None

    def newest(self, fresh: bool) -> RunView | None:
        """At most seen_s old, or asked for just now. None while the server does not answer."""
        with self._lock:
            if not fresh and self._seen is not None and time.monotonic() - self._seen[0] < self._seen_s:
                return self._seen[1]
            try:
                board = RunView.of(self._server.status())
            except (ServerGone, ServerSaidNo):
                return None
            self._seen = time.monotonic(), board
            return board


class Supervisor:
    """`start`, then `stop` or `join`; with `with`, `stop` on the way out."""

    def __init__(
        self, site: Site, agents: Sequence[Hired], *, on_event: OnEvent = lambda agent, event: None
    ) -> None:
        self._site = site
        self._stop = threading.Event()
        checks = preflight.Preflight(
            site.engine, run=site.run, state=site.state, root=site.root, runtime=site.runtime
        )
        boards = Boards(site.server)
        self._loops = {
            hired.agent: AgentLoop(
                site,
                hired,
                checks,
                self._stop,
                board=boards.newest,
                others=functools.partial(self._others, hired.agent),
                on_event=on_event,
            )
            for hired in agents
        }

    def __enter__(self) -> "Supervisor":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        for loop in self._loops.values():
            loop.thread.start()

    def states(self) -> list[AgentState]:
        return [loop.state for loop in self._loops.values()]

    def session(self, agent: str) -> str | None:
        """Return the id of the session that the agent is in now."""
        return self._loops[agent].session

    def any_alive(self) -> bool:
        return any(loop.thread.is_alive() for loop in self._loops.values())

    def may_bring_tasks(self) -> bool:
        """Whether a planner or reviewer is left, who may make tasks where none is."""
        return any(loop.role is not Role.WORKER and not loop.is_over for loop in self._loops.values())

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
        """Ends every session, its work saved and its box removed. After bound_s what still runs is removed as
        it is: then False.
        """
        self._stop.set()
        in_time = self.join(bound_s)
        if not in_time:
            with contextlib.suppress(
                BoxBroke
            ):  # an engine that is gone: the next run's sweep finds what is left
                for kind in SWEPT_KINDS:
                    self._site.engine.sweep({RUN: self._site.run, KIND: kind})
            self.join(LOOK_EVERY_S)
        return in_time

    def _others(self, me: str) -> Others:
        roles = {loop.role for agent, loop in self._loops.items() if agent != me and not loop.is_over}
        return Others(
            workers=Role.WORKER in roles, planners=Role.PLANNER in roles, reviewers=Role.REVIEWER in roles
        )
