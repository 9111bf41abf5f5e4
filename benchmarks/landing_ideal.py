"""Owns the gate that costs nothing: the same agents, slots and window in a computation. Rule: pure.

It tells what a measurement can show: how near B the best gate comes in such a window, and how much the luck
of the draw moves it.
"""

import heapq
from collections import deque
from dataclasses import dataclass
from statistics import fmean, pstdev

from benchmarks.landing_changes import BAD, Draws, Load, bound_per_h

SEEDS = 40
WRITTEN, TESTED = 0, 1


@dataclass(frozen=True)
class Ideal:
    """Share of B: the mean over many draws, and the standard deviation."""

    mean: float
    sd: float


def ideal(load: Load, agents: int, slots: int, warm_s: float, window_s: float) -> Ideal:
    bound = bound_per_h(load, agents, slots, 0.0) / 3600 * window_s
    shares = [
        _landings(load, f"ideal {seed}", agents, slots, warm_s, warm_s + window_s) / bound
        for seed in range(SEEDS)
    ]
    return Ideal(fmean(shares), pstdev(shares))


def _landings(load: Load, seed: str, agents: int, slots: int, begin_s: float, end_s: float) -> int:
    """Each change is tested once, alone, in the order of arrival, and lands when it passes."""
    draws = Draws(load, seed)
    events = [(draws.first_author_s(), number, WRITTEN, "") for number in range(agents)]
    heapq.heapify(events)
    waiting: deque[int] = deque()
    landed = 0
    while events[0][0] < end_s:
        now, number, what, mark = heapq.heappop(events)
        if what == WRITTEN:
            waiting.append(number)
        else:
            slots += 1
            landed += mark != BAD and now >= begin_s
            heapq.heappush(events, (now + draws.author_s(), number, WRITTEN, ""))
        while slots and waiting:
            slots -= 1
            heapq.heappush(
                events, (now + draws.oracle_s(), waiting.popleft(), TESTED, draws.change("m").mark)
            )
    return landed
