"""Owns the running totals of what was spent, by session, task, agent and run, so that a budget is judged
without asking the database.

Rule: what a request has used so far counts at once, also while it streams; the database holds the same sums
of ended requests.
"""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from mcp_server.models.budgets import Scope, Spent

Keys = tuple[tuple[Scope, str], ...]


@dataclass
class Open:
    """One request under way and what it has been charged with."""

    keys: Keys
    tokens: int = 0
    cost_usd: float = 0.0


@dataclass
class Ledger:
    """Written on the event loop alone; `spent` and `is_open` may be read from any thread."""

    changes: int = 0  # grows with every entry: who has seen this number has seen all
    _totals: dict[tuple[Scope, str], Spent] = field(default_factory=dict)
    _open: dict[int, Open] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def load(self, totals: Iterable[tuple[tuple[Scope, str], Spent]]) -> None:
        self._totals = dict(totals)

    def begin(self, keys: Keys) -> int:
        """Begin to charge a request that goes out, and return the number that names it."""
        number = next(self._numbers)
        self._open[number] = Open(keys)
        self._add(keys, requests=1)
        return number

    def see(self, number: int, tokens: int, cost_usd: float) -> None:
        """Charge the request with what it has used up to now, in all."""
        request = self._open[number]
        if (tokens, cost_usd) != (request.tokens, request.cost_usd):
            self._add(request.keys, tokens=tokens - request.tokens, cost_usd=cost_usd - request.cost_usd)
            request.tokens, request.cost_usd = tokens, cost_usd

    def end(self, number: int) -> None:
        self._open.pop(number)

    def is_open(self, scope: Scope, name: str) -> bool:
        """Return True if a request under way is charged to it."""
        return any((scope, name) in request.keys for request in list(self._open.values()))

    def spent(self, scope: Scope, name: str) -> Spent:
        return self._totals.get((scope, name), Spent())

    def _add(self, keys: Keys, **more: float) -> None:
        for key in keys:
            self._totals[key] = self.spent(*key).plus(**more)  # type: ignore[arg-type]
        self.changes += 1
