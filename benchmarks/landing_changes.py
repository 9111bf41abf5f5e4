"""Owns what simulated agents write and how long things take: changes with their truth, and times dealt from
decks. Rule: pure, and seeded.

A deck holds equally likely values and is dealt out before it is shuffled again, so that the mean of any
window is close to the mean.
"""

import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Generic, TypeVar

CARDS = 20
AUTHOR_CV, ORACLE_CV = 0.5, 0.15
BAD, LEFT, RIGHT = "bad", "left", "right"
T = TypeVar("T")


@dataclass(frozen=True)
class Change:
    """One file that says by its name whether the tree it is in is good: `bad` alone, `left` and `right` of
    one number only together.
    """

    module: str
    number: int
    mark: str = "good"

    @property
    def path(self) -> str:
        return f"{self.module}/c{self.number}.{self.mark}"


def is_red(paths: Iterable[str]) -> bool:
    """The truth about a tree, from the names of its files."""
    marks = {path.rpartition(".")[2] for path in paths}
    halves = {mark.removeprefix(f"{LEFT}-") for mark in marks if mark.startswith(LEFT)} & {
        mark.removeprefix(f"{RIGHT}-") for mark in marks if mark.startswith(RIGHT)
    }
    return BAD in marks or bool(halves)


class Deck(Generic[T]):
    """Values in random order, each of them once before any comes again."""

    def __init__(self, seed: str, values: Sequence[T]):
        self._random, self._values, self._left = random.Random(seed), list(values), list[T]()

    def deal(self) -> T:
        if not self._left:
            self._left = self._random.sample(self._values, len(self._values))
        return self._left.pop()


@dataclass(frozen=True)
class Load:
    """What the draws of a cell depend on: mean authoring and oracle seconds, the share of changes that are
    bad by themselves, of pairs among the rest.
    """

    author_s: float
    oracle_s: float
    failing: float
    paired: float = 0.0


class Draws:
    """The fortunes of one cell: the same for every system that is tried on it."""

    def __init__(self, load: Load, seed: str):
        self._author = Deck(f"{seed} author", _lognormal(load.author_s, AUTHOR_CV))
        self._oracle = Deck(f"{seed} oracle", _lognormal(load.oracle_s, ORACLE_CV))
        self._bad = Deck(f"{seed} bad", [card < round(load.failing * CARDS) for card in range(CARDS)])
        self._half = Deck(f"{seed} half", [card < round(load.paired * CARDS) for card in range(CARDS)])
        self._phase = random.Random(f"{seed} phase")
        self._halves = self._changes = 0

    def author_s(self) -> float:
        return self._author.deal()

    def first_author_s(self) -> float:
        """Of an agent that is somewhere in the middle of its first change when the measurement begins."""
        return self._author.deal() * self._phase.random()

    def oracle_s(self) -> float:
        return self._oracle.deal()

    def change(self, module: str) -> Change:
        self._changes += 1
        if self._bad.deal():
            return Change(module, self._changes, BAD)
        if not self._half.deal():
            return Change(module, self._changes)
        self._halves += 1
        return Change(module, self._changes, f"{(RIGHT, LEFT)[self._halves % 2]}-{(self._halves + 1) // 2}")


def bound_per_h(load: Load, agents: int, slots: int, merge_s: float) -> float:
    """B: what the agents can offer and the slots can test, each change once. `merge_s` is what a landing
    costs beside its run.
    """
    return (
        (1 - load.failing)
        * 3600
        * min(agents / (load.author_s + load.oracle_s + merge_s), slots / (load.oracle_s + merge_s))
    )


def _lognormal(mean: float, cv: float) -> list[float]:
    """The values in the middles of equal shares, brought to exactly this mean."""
    sigma = math.sqrt(math.log(1 + cv**2))
    values = [math.exp(sigma * NormalDist().inv_cdf((card + 0.5) / CARDS)) for card in range(CARDS)]
    return [value * mean * CARDS / sum(values) for value in values]
