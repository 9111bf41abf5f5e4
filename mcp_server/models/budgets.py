"""Owns the decision on budgets: what is used up of which limit, and what to say about it.

Rule: pure. A limit is reached at 100 %; from NOTE_SHARE on the agent is told. What costs nobody knows counts
as no cost.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from mcp_server.config import Budget

NOTE_SHARE = 0.8
MEASURES = ("tokens", "cost_usd", "requests", "minutes")


class Scope(StrEnum):
    SESSION = "session"
    TASK = "task"
    AGENT = "agent"
    RUN = "run"


@dataclass(frozen=True)
class Spent:
    tokens: int = 0
    cost_usd: float = 0.0
    requests: int = 0
    minutes: float = 0.0

    def plus(self, tokens: int = 0, cost_usd: float = 0.0, requests: int = 0) -> "Spent":
        return Spent(self.tokens + tokens, self.cost_usd + cost_usd, self.requests + requests, self.minutes)


@dataclass(frozen=True)
class Standing:
    """One limit and how much of it is gone."""

    scope: Scope
    name: str
    measure: str
    used: float
    limit: float

    @property
    def share(self) -> float:
        return self.used / self.limit

    @property
    def is_over(self) -> bool:
        return self.used >= self.limit

    def sentence(self) -> str:
        """Return what is used up of the limit, in words."""
        of = f"the {self.scope}" + (f" {self.name}" if self.name else "")
        return (
            f"{_amount(self.measure, self.used)} of {_amount(self.measure, self.limit)} of {of} are used up"
        )

    def to_json(self) -> dict[str, object]:
        """Return the note in a tool's answer, as a JSON object."""
        advice = (
            "stop here: no more model requests are answered"
            if self.is_over
            else "commit what you have, finish or push soon"
        )
        return {
            "scope": str(self.scope),
            "name": self.name,
            "measure": self.measure,
            "used": round(self.used, 6),
            "limit": self.limit,
            "percent": int(self.share * 100 + 1e-6),
            "note": f"{self.sentence()}: {advice}",
        }


def worst(limited: Iterable[tuple[Scope, str, Budget, Spent]]) -> Standing | None:
    """Return the limit that is nearest to its end, or furthest past it; None where nothing is limited."""
    standings = [
        Standing(scope, name, measure, float(getattr(spent, measure)), float(limit))
        for scope, name, budget, spent in limited
        for measure in MEASURES
        if (limit := getattr(budget, measure)) is not None
    ]
    return max(standings, key=lambda standing: standing.share, default=None)


def _amount(measure: str, value: float) -> str:
    if measure == "cost_usd":
        return f"{value:.4g} USD"
    return f"{value:,.0f} {measure}" if measure != "minutes" else f"{value:.3g} minutes"
