"""Owns what the time of held-out cases tells: their box is made on the first of them, and what they took is
rounded up.

Rule: who waits for a landing sees one of a few durations, whatever the tested code does with such a case.
"""

from collections.abc import Callable, Mapping, Sequence

from oracle.cases.spec import Case
from oracle.judging.answer import Answer
from oracle.judging.run import There

STEP_S = 1.0  # the shortest of the durations; each other one is twice the one before


class HeldOutBox:
    """A `There` for held-out cases. `open_box` makes their box, once; `now` is a clock in seconds."""

    def __init__(self, open_box: Callable[[], There], now: Callable[[], float]) -> None:
        self._open_box, self._now = open_box, now
        self._there: There | None = None
        self._began_s: float | None = None

    def answer(self, cases: Sequence[Case]) -> Mapping[str, Answer]:
        """Return the answers to these cases, by id."""
        if self._there is None:
            self._there = self._open_box()
            self._began_s = self._now()
        return self._there(cases)

    def pause_s(self) -> float:
        """Return how long to wait now so that what the cases took is one of the durations; 0 without any."""
        if self._began_s is None:
            return 0.0
        took_s = self._now() - self._began_s
        return rounded_up_s(took_s) - took_s


def rounded_up_s(took_s: float) -> float:
    """Return the shortest duration that is not below `took_s`."""
    duration_s = STEP_S
    while duration_s < took_s:
        duration_s *= 2
    return duration_s
