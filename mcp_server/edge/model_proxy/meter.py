"""Owns what one request is charged with while it runs, and the word to stop where a budget ends meanwhile.

Rule: what is known to be used counts at once. Tokens and costs are judged as they become known, time whenever
`stop` is called.
"""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from mcp_server.config import Budget
from mcp_server.models import prices
from mcp_server.models.accounts import Account
from mcp_server.models.apis import RequestFacts
from mcp_server.models.budgets import Scope, Standing
from mcp_server.models.ledger import Keys
from mcp_server.models.token_fields import Usage
from mcp_server.use_cases.people import spending
from mcp_server.world import World

T = TypeVar("T")


class OverBudget(Exception):
    """A budget has ended while the vendor was waited for."""

    def __init__(self, standing: Standing):
        super().__init__(standing.sentence())
        self.standing = standing


class Meter:
    """`limited`: the budgets that the request is under (spending.limits). Used on the event loop alone."""

    def __init__(
        self,
        world: World,
        account: Account,
        asked: RequestFacts,
        charged_to: Keys,
        limited: list[tuple[Scope, str, Budget]],
    ):
        self._world, self._account, self._asked = world, account, asked
        self._charged_to, self._limited = charged_to, limited
        self.is_limited = bool(limited)
        self.is_timed = any(budget.minutes is not None for _, _, budget in limited)
        self._number: int | None = None
        self._judged: tuple[Usage, int] | None = None
        self._priced: tuple[Usage, float | None] | None = None
        self._over: Standing | None = None
        self._waiting: asyncio.Timeout | None = None

    def begin(self) -> None:
        """The request goes out."""
        self._number = self._world.ledger.begin(self._charged_to)

    def end(self) -> None:
        if self._number is not None:
            self._world.ledger.end(self._number)

    def see(self, seen: Usage) -> None:
        """What the request has used up to now, in all."""
        assert self._number is not None
        self._world.ledger.see(self._number, seen.tokens, self.cost(seen) or 0.0)

    def over(self, seen: Usage) -> Standing | None:
        """Charges what the answer has cost so far; the limit that stops it, if it is a stream that can be
        stopped.
        """
        if self._over is None and (seen, self._world.ledger.changes) != self._judged:
            self.see(seen)
            self._judged = (seen, self._world.ledger.changes)
            self._over = self.passed() if self._asked.stream else None
        return self._over if self._asked.stream and not seen.complete else None

    def check(self) -> None:
        """Raises Over where the request may not go out, or not wait any longer to do so."""
        if self._limited and (found := self.passed()) is not None:
            raise OverBudget(found)

    def passed(self) -> Standing | None:
        """The limit that is used up. The last request that a limit of requests allows is itself within it.
        From any thread.
        """
        found = spending.standing_now(self._world, self._limited)
        last = (
            found is not None
            and found.measure == "requests"
            and found.used <= found.limit
            and self._number is not None
        )
        return found if found is not None and found.is_over and not last else None

    def cost(self, seen: Usage) -> float | None:
        """None: nobody knows. The price list takes half a millisecond, so what was asked last is kept."""
        if not self._world.config.gateway.prices:
            return None
        if self._priced is None or self._priced[0] is not seen:
            self._priced = (
                seen,
                prices.cost_usd(
                    self._account.api, self._account.base_url, seen.model or self._asked.model, seen
                ),
            )
        return self._priced[1]

    # -- time

    def stop(self, standing: Standing) -> None:
        """Time is up: who waits for the vendor is told at once, a stream is ended where an event ends."""
        self._over = self._over or standing
        if self._waiting is not None:
            self._waiting.reschedule(asyncio.get_running_loop().time())

    async def in_time(self, awaited: Awaitable[T]) -> T:
        """Awaits something of the vendor's. Raises Over where a budget's time ends first; what was awaited is
        cancelled.
        """
        if not self.is_timed:
            return await awaited
        try:
            async with asyncio.timeout(0 if self._over is not None else None) as self._waiting:
                return await awaited
        except TimeoutError:
            assert self._over is not None
            raise OverBudget(self._over) from None
        finally:
            self._waiting = None
