"""Owns what a run says against itself: what no test of it shows, and makes its outcomes doubtful.

Rule: it is no outcome, since main has no case to hold it against; it is held against what main's own run says
against itself.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

WORDS_CHARS_MAX = 1_000
CONTRADICTIONS_MAX = 20  # of one run


class ContradictionKind(StrEnum):
    """What was said against a run. Two runs contradict themselves alike if they do so by the same kind."""

    TIME = "time"  # it came to no end within its time
    OUTPUT = "output"  # it printed more than it may
    SIGNAL = "signal"  # a signal ended it
    EXIT = "exit"  # it failed though none of its tests did
    SUCCESS = "success"  # it succeeded though a test failed
    SUMMARIES = "summaries"  # it summed up twice
    PLAN = "plan"  # it did not keep its plan, or had none
    BAIL_OUT = "bail out"  # it gave up
    COUNTS = "counts"  # its counts do not fit the tests that it names
    UNFINISHED = "unfinished"  # a part of it began and did not end
    COMPILE = "compile"  # what it was to run does not compile
    RESULTS = "results"  # its results cannot be read
    CANARY = "canary"  # a planted test did not show what it must
    BUILD = "build"  # the build before it failed


# A run whose canaries failed is worth nothing, whatever main's own run does.
NEVER_TOLERATED = frozenset({ContradictionKind.CANARY})


@dataclass(frozen=True)
class Contradiction:
    """One thing that a run says against itself, in words for its agent."""

    kind: ContradictionKind
    words: str

    def to_json(self) -> dict[str, str]:
        """Return it as a JSON object."""
        return {"kind": self.kind.value, "words": self.words}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Return what `to_json` wrote. Raise ValueError for a kind that is not known here."""
        if not isinstance(value["words"], str):
            raise TypeError("the words of a contradiction are a text")
        return cls(ContradictionKind(value["kind"]), value["words"][:WORDS_CHARS_MAX])


def untolerated(found: Collection[Contradiction], on_main: Collection[str]) -> list[Contradiction]:
    """Return those of a run that main's own run, which has those kinds, does not excuse."""
    excused = frozenset(on_main) - NEVER_TOLERATED
    return [contradiction for contradiction in found if contradiction.kind not in excused]
