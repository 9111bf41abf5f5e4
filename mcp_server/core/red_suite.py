"""What main fails though it passed, and how main's record changes with each look at main itself. Pure
decisions.

Rule: a case is red from the look that shows it failing on main until one that shows it passing there; nobody
is blamed for it meanwhile, and it is never left out of what is shown.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Self

PASS = "pass"


@dataclass(frozen=True)
class RedSuite:
    """The cases of a suite that main had passed and fails. `commit` and `since_ms` say where and when that
    was seen first; `job` is the run that showed it last.
    """

    commit: str
    cases: tuple[str, ...]
    since_ms: int = 0
    job: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object that is kept of it."""
        return {**vars(self), "cases": list(self.cases)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Return what `to_json` wrote, or the first release, which kept neither time nor run."""
        return cls(
            value["commit"],
            tuple(value["cases"]),
            value.get("since_ms", 0),
            value.get("job", 0),
        )


@dataclass(frozen=True)
class Look:
    """What a run on main itself has shown: the outcome of every case that it was to show."""

    outcomes: Mapping[str, str]
    commit: str
    now_ms: int
    job: int


@dataclass(frozen=True)
class Correction:
    """What a look changes: main's `record`, the `red` cases (None: there are none), those that are newly
    `lost` and those that are `mended`.
    """

    record: dict[str, str]
    red: RedSuite | None
    lost: tuple[str, ...]
    mended: tuple[str, ...]


def lost(record: Mapping[str, str], outcomes: Mapping[str, str], exempt: Collection[str]) -> list[str]:
    """Return the cases that are on record as passing and do not pass, though they count."""
    return sorted(
        case
        for case, outcome in outcomes.items()
        if outcome != PASS and record.get(case) == PASS and case not in exempt
    )


def correct(
    red: RedSuite | None, record: Mapping[str, str], look: Look, exempt: Collection[str]
) -> Correction:
    """Return the record as the look has it, and what is red then. Exempt cases change neither."""
    seen = {case: outcome for case, outcome in look.outcomes.items() if case not in exempt}
    newly_lost = lost(record, seen, ())
    before = red.cases if red else ()
    mended = [case for case in before if seen.get(case) == PASS]
    corrected = {**record, **seen}
    still = [case for case in before if case in corrected and case not in mended]
    failing = tuple(sorted({*still, *newly_lost}))
    if not failing:
        return Correction(corrected, None, (), tuple(mended))
    began = red if still and red else RedSuite(look.commit, (), look.now_ms)
    now_red = RedSuite(began.commit, failing, began.since_ms, look.job)
    return Correction(corrected, now_red, tuple(newly_lost), tuple(mended))
