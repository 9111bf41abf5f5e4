"""The train: changes that passed alone and wait to land together, as one sequence on main. Pure decisions.

A candidate is always main with a prefix of the sequence, so that two changes which break only together are
seen together before either is on main. Where a prefix fails, shorter ones are tested side by side until the
first change that fails on main by itself is found. Rule: what lands was tested; what is refused was refuted
with nothing but main before it.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

STEP_START = 4  # between growing from one, with a run for each change, and a failure that refutes many
STEP_MAX = 32  # a failure of so many takes five rounds to trace
LOST_MAX = 3  # so often may a change lose its place before it goes to the head


class PrefixOutcome(StrEnum):
    """Of one prefix. BROKEN: its run said nothing, though it was tried again."""

    RUNNING = "running"
    PASSED = "passed"
    FAILED = "failed"
    BROKEN = "broken"


@dataclass(frozen=True)
class Waiting:
    """A change that waits: `lost` is how often it lost its place."""

    id: int
    lost: int = 0

    @property
    def goes_first(self) -> bool:
        return self.lost >= LOST_MAX


@dataclass(frozen=True)
class TrainPlan:
    """`land`: so many from the front land now. `head`: the first leaves, being refuted (FAILED) or not to be
    tested (BROKEN). `test`: lengths of the prefixes whose runs are wanted, those under way among them; a
    broken one is run again.
    """

    land: int = 0
    head: PrefixOutcome | None = None
    test: tuple[int, ...] = ()


def order(waiting: Iterable[Waiting], under_way: Collection[int]) -> list[int]:
    """The sequence: whoever lost its place too often, then those with a run under way, whose place is kept,
    then by age.
    """
    waiting = list(waiting)
    first = sorted(one.id for one in waiting if one.goes_first)
    there = {one.id for one in waiting} - set(first)
    kept = [id for id in under_way if id in there]
    return [*first, *kept, *sorted(there - set(kept))]


def plan(
    length: int, outcomes: Mapping[int, PrefixOutcome], *, slots: int, step: int, head_alone: bool = False
) -> TrainPlan:
    """What to do with a sequence of `length` changes, given what is known of its prefixes by their lengths.

    At most `slots` runs, at least one, are wanted at once. `head_alone`: the first has a run of its own.
    """
    states = {prefix: outcome for prefix, outcome in outcomes.items() if 1 <= prefix <= length}
    if passed := [prefix for prefix, outcome in states.items() if outcome is PrefixOutcome.PASSED]:
        return TrainPlan(land=max(passed))
    if (first := states.get(1)) in (PrefixOutcome.FAILED, PrefixOutcome.BROKEN):
        return TrainPlan(head=first)
    if length == 0:
        return TrainPlan()
    failed = min(
        (prefix for prefix, outcome in states.items() if outcome is PrefixOutcome.FAILED), default=None
    )
    end = length if failed is None else failed - 1  # a longer one fails for the same reason
    again = [
        prefix for prefix, outcome in states.items() if outcome is PrefixOutcome.BROKEN and prefix <= end
    ]
    running = sorted(
        prefix for prefix, outcome in states.items() if outcome is PrefixOutcome.RUNNING and prefix <= end
    )
    # Where runs break the head is tried by itself: it lands, or nobody can say anything of it and it is given
    # back.
    prefixes = list(dict.fromkeys(([1] if again or head_alone else []) + running + again))
    slots = max(1, slots)
    while (
        len(prefixes) < slots
        and (more := _next(prefixes, end, step, bisecting=failed is not None)) is not None
    ):
        prefixes.append(more)
    return TrainPlan(test=tuple(sorted(prefixes[:slots])))


def _next(prefixes: list[int], end: int, step: int, *, bisecting: bool) -> int | None:
    """The next prefix worth a run: a step further, or in the middle of the widest gap below the failure."""
    if not bisecting:
        last = max(prefixes, default=0)
        return min(last + step, end) if last < end else None
    marks = [0, *sorted(prefixes), end + 1]
    gap, start = max((after - before, -before) for before, after in zip(marks, marks[1:]))
    return -start + gap // 2 if gap > 1 else None


def grown(step: int) -> int:
    """After a batch that passed."""
    return min(step + 1, STEP_MAX)


def halved(step: int) -> int:
    """After a batch that failed."""
    return max(1, step // 2)
