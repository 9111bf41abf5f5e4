"""Owns what happened to the changes of one cell, and what of it lies inside the window of measurement. Rule:
pure but for the clock's readings.
"""

import threading
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Verdict:
    """From handing a change in to its answer, in seconds of one clock."""

    asked: float
    told: float
    landed: bool


@dataclass(frozen=True)
class Window:
    begin: float
    end: float

    @property
    def length_s(self) -> float:
        return self.end - self.begin

    def holds(self, at: float) -> bool:
        return self.begin <= at < self.end


@dataclass
class Tally:
    """Filled by agents and runners as they go, from several threads."""

    verdicts: list[Verdict] = field(default_factory=list)
    runs: list[tuple[float, str]] = field(
        default_factory=list
    )  # when each run of the oracle ended, and what it was of
    again: int = 0  # submissions that had to be repeated, through no fault of the change
    _waiting: dict[object, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def asked(self, who: object, now: float) -> None:
        with self._lock:
            self._waiting[who] = now

    def told(self, who: object, now: float, *, landed: bool) -> None:
        with self._lock:
            self.verdicts.append(Verdict(self._waiting.pop(who), now, landed))

    def ran(self, now: float, of: str) -> None:
        with self._lock:
            self.runs.append((now, of))

    def landings(self, window: Window) -> int:
        return sum(verdict.landed for verdict in self.verdicts if window.holds(verdict.told))

    def runs_in(self, window: Window, main: Collection[str] = ()) -> tuple[int, int]:
        """Those that decided about changes, and those of commits that were `main` already: checks of it, made
        while runners were idle.
        """
        within = [of in main for at, of in self.runs if window.holds(at)]
        return within.count(False), within.count(True)

    def waited_s(self, window: Window) -> list[float]:
        """Of every change that was answered in the window, or waited still at its end; shortest first."""
        answered = [verdict.told - verdict.asked for verdict in self.verdicts if window.holds(verdict.told)]
        return sorted(
            [*answered, *(window.end - since for since in self._waiting.values() if since < window.end)]
        )

    def quantile_s(self, window: Window, share: float) -> float:
        """Of those that were answered in the window; 0 where none was."""
        answered = sorted(
            verdict.told - verdict.asked for verdict in self.verdicts if window.holds(verdict.told)
        )
        return answered[min(len(answered) - 1, int(share * len(answered)))] if answered else 0.0


@dataclass(frozen=True)
class History:
    """What is found on main afterwards: its commits (ids), how many of their trees are red, and how many
    touch no module.
    """

    ids: frozenset[str]
    red: int
    coordination: int

    @property
    def commits(self) -> int:
        return len(self.ids)


def history(commits: Iterable[tuple[str, bool, bool]]) -> History:
    """From (id, is red, touches a module) of every first-parent commit."""
    found = list(commits)
    return History(
        frozenset(id for id, _, _ in found),
        sum(red for _, red, _ in found),
        sum(not touches for _, _, touches in found),
    )
