"""Owns what is known of each account now: whether it may be asked, who waits for it, and who was sent away to
come again.

Rule: one account is one queue for all its agents: while it is parked nobody asks; then the first of the queue
tries, and each good answer lets two more go. Used on the event loop alone; `snapshot` and `wait_of` may be
read from any thread.
"""

import asyncio
import itertools
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from mcp_server.models import quota
from mcp_server.models.apis import ModelApi
from mcp_server.models.keys import AccountKey
from mcp_server.models.quota import Quota

PROBE_S = 3.0  # a trial without an answer for so long holds up nobody else: models may think for minutes
TOLD_TIMES = 2  # so often in a row a vendor's own pause is taken as told; then it is at least the back-off
PAUSE_MS_MIN = 20  # "come again in 0 seconds" is not at once


@dataclass(frozen=True)
class Pace:
    """How long the gateway lets clients and vendors wait; each limit is some client's patience
    (docs/gateway.md).
    """

    early_s: float = 10.0  # a parked stream gets headers after so long: gemini gives up after 60 s without
    ping_s: float = 15.0
    plain_patience_s: float = 50.0  # no headers can be sent early where no stream is asked for
    # Headers wait so long for the first byte: until then a cut answer can be asked for again.
    hold_s: float = 1.0


@dataclass(frozen=True)
class Wait:
    """An agent that does nothing because its account gives it nothing. `kept_ms`: until when its lease is, if
    it does not come back.
    """

    agent: str
    session: str | None
    account: str
    since_ms: int
    until_ms: int
    reason: str
    kept_ms: int | None = None

    def to_json(self) -> dict[str, object]:
        """Return the wait as a JSON object."""
        return {
            "account": self.account,
            "since_ms": self.since_ms,
            "until_ms": self.until_ms,
            "reason": self.reason,
        }


@dataclass
class Account:
    """A key at a provider. `closed` is the breaker: until then asking is pointless."""

    name: str
    api: ModelApi
    base_url: str
    key: AccountKey | None
    now_ms: Callable[[], int]
    models: tuple[str, ...] = ()
    until_ms: int = 0
    closed: bool = False
    reason: str = ""
    in_flight: int = 0
    _failures: int = 0
    _queue: deque[asyncio.Future[bool]] = field(default_factory=deque)
    _timer: asyncio.TimerHandle | None = None

    def is_parked(self) -> bool:
        return self.now_ms() < self.until_ms

    def is_free(self) -> bool:
        """Return True if a request may go without waiting: nobody who came earlier is waiting either."""
        return not self._queue and not self.is_parked()

    def is_hopeless(self, deadline_ms: int) -> bool:
        """Return True if waiting until `deadline_ms` is sure to be in vain."""
        return self.is_parked() and (self.closed or self.until_ms > deadline_ms)

    async def turn(self, timeout_s: float) -> bool:
        """Wait until it is this request's turn to try, first come first served.

        Return False if that is not within `timeout_s`, or if the account closes.
        """
        mine: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._queue.append(mine)
        self._arm()
        try:
            async with asyncio.timeout(timeout_s):
                return await mine
        except TimeoutError:
            return False
        except asyncio.CancelledError:
            if mine.done() and not mine.cancelled() and mine.result():
                self._wake(1)  # the turn of one who left goes to the next
            raise
        finally:
            if mine in self._queue:
                self._queue.remove(mine)

    def refused(self, pause: Quota, chance: float) -> bool:
        """Take in that the upstream wants a pause, which holds for everybody; `chance` is from 0 to 1.

        Return True if that is news: of many refusals at once the first is.
        """
        now, before = self.now_ms(), (self.is_parked(), self.closed)
        if not self.is_parked():
            self._failures += 1
        elif pause.retry_at_ms is None and not pause.terminal:
            return False
        own = quota.backoff_ms(self._failures, chance)
        floor = own if pause.retry_at_ms is None or self._failures > TOLD_TIMES else PAUSE_MS_MIN
        self.until_ms = max(self.until_ms, pause.retry_at_ms or 0, now + floor)
        self.reason, self.closed = pause.reason, (before == (True, True)) or pause.terminal
        if self.closed:
            self._send_away()
        else:
            self._arm()
        return before != (True, self.closed)

    def close(self, until_ms: int, reason: str) -> None:
        """Open the breaker for a reason that is no quota."""
        self.until_ms, self.reason, self.closed = max(self.until_ms, until_ms), reason, True
        self._send_away()

    def answered(self) -> None:
        """Take in that the upstream answered as it should."""
        if self.is_parked():
            return  # a straggler from before the pause
        self._failures, self.closed, self.reason = 0, False, ""
        self._wake(2)

    def _send_away(self) -> None:
        while self._queue:
            if not (one := self._queue.popleft()).done():
                one.set_result(False)

    def _wake(self, count: int) -> None:
        while self._queue and count:
            if not (one := self._queue.popleft()).done():
                one.set_result(True)
                count -= 1

    def _arm(self) -> None:
        """Set a timer while anybody waits: for the end of the pause, and again in case that the one who tries
        gets no answer.
        """
        if self._timer is not None:
            self._timer.cancel()
        left_s = max(0.0, (self.until_ms - self.now_ms()) / 1_000)
        self._timer = (
            asyncio.get_running_loop().call_later(left_s or PROBE_S, self._ring) if self._queue else None
        )

    def _ring(self) -> None:
        self._timer = None
        if not self.is_parked():
            self._wake(1)
        self._arm()

    def state(self) -> str:
        if not self.is_parked():
            return "ready"
        return "closed" if self.closed else "waiting"

    def waiting(self) -> int:
        return len(self._queue)


class Accounts:
    """All accounts by name, and everybody who waits for one."""

    def __init__(self) -> None:
        self.pace = Pace()
        self.by_name: dict[str, Account] = {}
        self._waits: dict[int, Wait] = {}
        self._sent_away: dict[tuple[str, str | None], Wait] = {}
        self._numbers = itertools.count()

    def begin_wait(self, wait: Wait) -> int:
        number = next(self._numbers)
        self._waits[number] = wait
        return number

    def end_wait(self, number: int) -> None:
        self._waits.pop(number, None)

    def send_away(self, wait: Wait) -> None:
        """Note that a client has to come again at `until_ms`; its agent waits until then."""
        self._sent_away[wait.agent, wait.session] = wait

    def came_back(self, agent: str, session: str | None) -> None:
        self._sent_away.pop((agent, session), None)

    def waits(self, now_ms: int) -> list[Wait]:
        here = [
            replace(wait, until_ms=max(wait.until_ms, self.by_name[wait.account].until_ms))
            for wait in list(self._waits.values())
        ]
        away = [wait for wait in list(self._sent_away.values()) if now_ms < wait.until_ms]
        return [*here, *away]

    def wait_of(self, agent: str, session: str | None, now_ms: int) -> Wait | None:
        """Return the longest wait of a session, which may have several requests at once."""
        mine = (wait for wait in self.waits(now_ms) if (wait.agent, wait.session) == (agent, session))
        return max(mine, key=lambda wait: wait.until_ms, default=None)

    def snapshot(self, now_ms: int) -> list[dict[str, object]]:
        """Return every account with its state and those who wait for it, as JSON objects."""
        waits = self.waits(now_ms)
        return [
            {
                "account": account.name,
                "api": str(account.api),
                "state": account.state(),
                "until_ms": account.until_ms if account.is_parked() else None,
                "reason": account.reason if account.is_parked() else "",
                "in_flight": account.in_flight,
                "queued": account.waiting(),
                "agents": sorted({wait.agent for wait in waits if wait.account == account.name}),
            }
            for account in list(self.by_name.values())
        ]
