"""Owns shrinking a failing input: delta debugging over its pieces, all trials of one round in one batch,
within a budget.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

# Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002: ddmin. A round's subsets
# and complements are tried together, because a batch costs little more than its first case.
Piece = TypeVar("Piece")
Differs = Callable[[Sequence[Sequence[Piece]]], Sequence[bool]]


def shrink(
    pieces: Sequence[Piece],
    differs: Differs[Piece],
    *,
    now: Callable[[], float],
    budget_s: float,
    least: int = 1,
) -> list[Piece]:
    """Return the smallest choice of pieces found that still differs, or the given pieces when nothing smaller
    does or the time is up.

    `differs` says for each of several inputs, given in pieces, whether it still differs; `now` is a clock in
    seconds. With time enough the answer is 1-minimal: leaving out any single piece of it makes the difference
    go away. `least` = 0 is for inputs that have a part which is no piece, so that all pieces may go.
    """
    kept = list(pieces)
    deadline = now() + budget_s
    if least == 0 and kept and now() < deadline and differs([[]])[0]:
        return []
    parts = 2
    while len(kept) >= 2 and now() < deadline:
        chunks = _chunks(kept, parts)
        subsets = chunks if parts > 2 else []  # with two parts, the complements are the subsets
        complements = [sum(chunks[:at] + chunks[at + 1 :], []) for at in range(len(chunks))]
        trials = subsets + complements
        hits = [at for at, hit in enumerate(differs(trials)) if hit]
        if hits:
            best = min(hits, key=lambda at: (len(trials[at]), at))
            kept = trials[best]
            parts = 2 if best < len(subsets) else max(parts - 1, 2)
        elif parts >= len(kept):
            break
        else:
            parts = min(parts * 2, len(kept))
        parts = min(parts, max(len(kept), 2))
    return kept


def _chunks(pieces: list[Piece], parts: int) -> list[list[Piece]]:
    size, more = divmod(len(pieces), parts)
    found, at = [], 0
    for number in range(parts):
        end = at + size + (number < more)
        found.append(pieces[at:end])
        at = end
    return [chunk for chunk in found if chunk]
