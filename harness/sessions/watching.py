"""Owns the eyes on a running session: its time, its disk, and what the server knows of it. Rule: it ends
nothing; it says when, and why.
"""

import shutil
import threading
import time
from pathlib import Path

from harness.boxes import sandbox
from harness.boxes.containers import Box
from harness.client import ServerGone, ServerSaidNo, SessionServer
from harness.sessions import limits
from harness.sessions.hearing import Hearing
from harness.sessions.limits import Cut, Life, SessionLimits

TICK_S = 0.2  # how soon a stop or a limit is noticed
LOOK_EVERY_S = 5.0  # between two questions to the server
DISK_EVERY_S = 15.0
DISK_ALARM_PAUSE_S = 1.0  # between two looks: something else may be filling the host
DISK_ALARM_SHARE = (
    4  # looked at once when the host loses a quarter of one agent's disk limit since the last look
)


class SessionWatch:
    """Looks until the box has ended or has to be."""

    def __init__(
        self,
        hearing: Hearing,
        server: SessionServer,
        session: str,
        state: Path,
        *,
        limits: SessionLimits,
        disk_mb: int,
        stop: threading.Event,
        look_every_s: float = LOOK_EVERY_S,
        disk_every_s: float = DISK_EVERY_S,
    ) -> None:
        self._hearing, self._limits, self._stop = hearing, limits, stop
        self._disk = _DiskWatch(state, disk_mb, disk_every_s)
        self._look = _Look(server, session, hearing.over, look_every_s)

    def until_end(self, box: Box) -> tuple[Cut, str] | None:
        """None once the box has ended by itself; else why it has to be ended now."""
        began_s = time.monotonic()
        self._look.start()
        while not self._hearing.over.wait(TICK_S):
            if self._stop.is_set():
                return Cut.STOP, str(Cut.STOP)
            if (found := limits.passed(self._limits, self._life(began_s))) is not None:
                return found
            if self._disk.is_over(box):
                return Cut.DISK, str(Cut.DISK)
        return None

    def _life(self, began_s: float) -> Life:
        now, hearing, look = time.monotonic(), self._hearing, self._look
        runs_s = None if hearing.began_s is None else now - hearing.began_s
        return Life(
            now - began_s, runs_s, min(now - hearing.last_s, look.quiet_s()), look.tools_listed, look.over
        )


class _Look:
    """Asks the server again and again, in a thread of its own: a server that hangs delays no stop.

    While the server is away nothing is known, so the agent is neither without tools nor quiet.
    """

    def __init__(self, server: SessionServer, session: str, over: threading.Event, every_s: float) -> None:
        self._server, self._session, self._over, self._every_s = server, session, over, every_s
        self.tools_listed = True
        self.over: str | None = None
        self._quiet_since_s = time.monotonic()

    def start(self) -> None:
        threading.Thread(target=self._run, name=f"look-{self._session}", daemon=True).start()

    def quiet_s(self) -> float:
        return time.monotonic() - self._quiet_since_s

    def _run(self) -> None:
        while not self._over.wait(self._every_s):
            try:
                facts = self._server.session(self._session)
            except (ServerGone, ServerSaidNo):
                self.tools_listed, self._quiet_since_s = True, time.monotonic()
                continue
            self.over = facts.over_budget.note if facts.over_budget is not None else None
            self.tools_listed = facts.tools_listed
            self._quiet_since_s = time.monotonic() - facts.quiet_s


class _DiskWatch:
    """Measures the workspace now and then, and at once when the host's own disk shrinks fast: a volume has no
    quota.
    """

    def __init__(self, state: Path, limit_mb: int, every_s: float) -> None:
        self._state, self._limit_mb, self._every_s = state, limit_mb, every_s
        self._looked()

    def is_over(self, box: Box) -> bool:
        now = time.monotonic()
        if now < self._due and (now < self._not_before or self._free_mb() > self._alarm_mb):
            return False
        used_mb = sandbox.used_mb(box)
        self._looked()
        return used_mb is not None and used_mb > self._limit_mb

    def _looked(self) -> None:
        self._due = time.monotonic() + self._every_s
        self._not_before = time.monotonic() + DISK_ALARM_PAUSE_S
        self._alarm_mb = self._free_mb() - self._limit_mb // DISK_ALARM_SHARE

    def _free_mb(self) -> int:
        return shutil.disk_usage(self._state).free >> 20
