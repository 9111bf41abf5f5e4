"""Owns how long one request waits and what keeps its client waiting too: a turn at a parked account, and
signs of life meanwhile.

Rule: a client hears something before its own patience ends (accounts.Pace), and waits no longer than a
budget's time.
"""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from mcp_server.core.principal import Principal
from mcp_server.edge.model_proxy.answer import ModelResponse
from mcp_server.edge.model_proxy.meter import Meter
from mcp_server.models.accounts import Account, Wait
from mcp_server.use_cases.people import model_requests
from mcp_server.world import World

UNSURE_RETRY_S = 30  # told to a client when nobody knows better
RETURN_MS = 60_000  # a client that was told when to come again may be so late: until then its lease is kept
T = TypeVar("T")


class Patience:
    """Of one request, from now on. `waited_s`: how long it has waited for its account."""

    def __init__(
        self,
        world: World,
        who: Principal,
        account: Account,
        answer: ModelResponse,
        meter: Meter,
        *,
        stream: bool,
    ):
        self._world, self._who, self._account, self._answer, self._meter = world, who, account, answer, meter
        self._loop, self._pace = asyncio.get_running_loop(), world.accounts.pace
        self.began_s, self.waited_s, self._pinged_s = self._loop.time(), 0.0, 0.0
        whole_s = world.config.gateway.patience_s
        self._whole_s = whole_s if stream else min(whole_s, self._pace.plain_patience_s)
        self._deadline_ms = world.now_ms() + int(self._whole_s * 1_000)

    @property
    def left_s(self) -> float:
        return self.began_s + self._whole_s - self._loop.time()

    async def turn(self) -> bool:
        """Waits until the account may be asked; False where that makes no sense, or has not come in time.
        Raises Over.
        """
        account = self._account
        while not account.is_free():
            self._meter.check()
            if self.left_s <= 0 or account.is_hopeless(self._deadline_ms):
                return False
            if await self._queued():
                return True
            if account.is_parked() or self.left_s <= 0:
                return False
        return True

    async def _queued(self) -> bool:
        account, who, world = self._account, self._who, self._world
        began_s = self._loop.time()
        await asyncio.to_thread(
            model_requests.begin_wait, world, who, account.name, account.until_ms, account.reason
        )
        number = world.accounts.begin_wait(
            Wait(
                who.name,
                who.session,
                account.name,
                world.now_ms(),
                max(account.until_ms, world.now_ms()),
                account.reason,
            )
        )
        try:
            return await self.awake(account.turn(self.left_s))
        finally:
            world.accounts.end_wait(number)
            self.waited_s += self._loop.time() - began_s

    def send_away(self, retry_after_s_max: int) -> tuple[int, int]:
        """The client is to come again: after how many seconds, and how many are left until the account may be
        asked. Its lease is kept so long.
        """
        account, now = self._account, self._world.now_ms()
        until_ms = account.until_ms if account.is_parked() else now + UNSURE_RETRY_S * 1_000
        left_ms = until_ms - now
        after_s = min(max(1, -(-left_ms // 1_000)), retry_after_s_max)
        self._world.accounts.send_away(
            Wait(
                self._who.name,
                self._who.session,
                account.name,
                now,
                until_ms,
                account.reason,
                now + after_s * 1_000 + RETURN_MS,
            )
        )
        return after_s, max(1, left_ms // 1_000)

    async def in_time(self, awaited: Awaitable[T]) -> T:
        """Awaits; a budget's time ends it as long as the client can still be told so (Over)."""
        return await (
            self._meter.in_time(awaited) if self._meter.is_timed and self._answer.can_say_no else awaited
        )

    async def awake(self, awaited: Awaitable[T]) -> T:
        """The same; a client that was parked once is kept awake meanwhile."""
        return await self.in_time(self._with_pings(awaited))

    async def _with_pings(self, awaited: Awaitable[T]) -> T:
        task = asyncio.ensure_future(awaited)
        try:
            while True:
                due_s = (
                    max(self.began_s + self._pace.early_s, self._pinged_s + self._pace.ping_s)
                    - self._loop.time()
                )
                done, _ = await asyncio.wait({task}, timeout=max(0.0, due_s))
                if done:
                    return task.result()
                await self._answer.keep_alive()
                self._pinged_s = self._loop.time()
        finally:
            task.cancel()
