"""Owns shrinking a failing input: delta debugging over its pieces, all trials of one round in one batch, within a budget."""

from collections.abc import Callable, Sequence

# Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002: ddmin. A round's subsets and complements
# are tried together, because a batch costs little more than its first case.
Differs = Callable[[Sequence[str]], Sequence[bool]]


def shrink(pieces: Sequence[str], differs: Differs, *, now: Callable[[], float], budget_s: float) -> list[str]:
    """The smallest run of pieces found that still differs; the given pieces when nothing smaller does or the time is up.

    `differs` says for each of several inputs whether it still differs; `now` is a clock in seconds. With time enough the
    answer is 1-minimal: leaving out any single piece of it makes the difference go away.
    """
    kept = list(pieces)
    deadline = now() + budget_s
    parts = 2
    while len(kept) >= 2 and now() < deadline:
        chunks = _chunks(kept, parts)
        subsets = chunks if parts > 2 else []  # with two parts, the complements are the subsets
        complements = [sum(chunks[:at] + chunks[at + 1 :], []) for at in range(len(chunks))]
        trials = subsets + complements
        hits = [at for at, hit in enumerate(differs(["".join(trial) for trial in trials])) if hit]
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


def _chunks(pieces: list[str], parts: int) -> list[list[str]]:
    size, more = divmod(len(pieces), parts)
    found, at = [], 0
    for number in range(parts):
        end = at + size + (number < more)
        found.append(pieces[at:end])
        at = end
    return [chunk for chunk in found if chunk]
