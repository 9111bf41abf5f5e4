"""Owns when two outputs are the same; a comparison answers with the difference in words, or None."""

import re
from collections import Counter
from collections.abc import Callable

from oracle.cases.spec import TOLERANCE
from oracle.judging import json_values, numbers

Comparator = Callable[[str, str, float], str | None]
"""The candidate's output, the reference's and a tolerance -> the difference in words, or None."""

BY_COMMAND = "command"  # a command of the suite's own compares; judge.py asks it
SHOWN_CHARS = 120  # of one line in a difference
# What a difference in words says of the expected output; without it, a failure is told by what the candidate
# did.
EXPECTED = re.compile(
    r" instead of .*| after the end of the expected output| where nothing was expected"
    r"|, .* was expected|;? ?lacks .*",
    re.DOTALL,
)


COMPARATORS: dict[str, Comparator] = {}
"""All comparators by name, in the order in which they stand below: each enters itself."""


def _comparator(name: str) -> Callable[[Comparator], Comparator]:
    """Offer the function below under this name, to configuration and to people."""

    def enter(compare: Comparator) -> Comparator:
        COMPARATORS[name] = compare
        return compare

    return enter


def names() -> tuple[str, ...]:
    """Return everything that a suite's `compare` can be, wherever in this file a comparator stands."""
    return (*COMPARATORS, BY_COMMAND)


def difference(mode: str, candidate: str, reference: str, *, tolerance: float = TOLERANCE) -> str | None:
    """Return how the candidate's output differs from the reference's, or None.

    Raise KeyError for an unknown mode.
    """
    return COMPARATORS[mode](candidate, reference, tolerance)


def of_candidate(difference: str) -> str:
    """Return the part of a difference in words that tells of the candidate's output alone."""
    return EXPECTED.sub("", difference)


@_comparator("exact")
def _exact(candidate: str, reference: str, _: float) -> str | None:
    """Compare the text, to the byte."""
    return None if candidate == reference else _line_by_line(candidate, reference, str.__eq__)


@_comparator("lines")
def _lines(candidate: str, reference: str, _: float) -> str | None:
    """Compare line by line, without white space at line ends and blank lines at the end."""
    return _first_line(_trimmed(candidate), _trimmed(reference))


@_comparator("unordered")
def _unordered(candidate: str, reference: str, _: float) -> str | None:
    """Compare which lines there are and how often, in any order."""
    ours, theirs = Counter(_trimmed(candidate)), Counter(_trimmed(reference))
    if ours == theirs:
        return None
    lacking, extra = theirs - ours, ours - theirs
    differences = [
        f"{name} {sum(rows.values())} lines, the first {_quoted(min(rows))}"
        for name, rows in (("has extra", extra), ("lacks", lacking))
        if rows
    ]
    return "; ".join(differences)


@_comparator("json")
def _json(candidate: str, reference: str, tolerance: float) -> str | None:
    """Compare the values, whatever their spelling; texts that are no JSON must be the same to the byte."""
    if candidate == reference:
        return None
    try:
        theirs = json_values.read(reference)
    except json_values.NotJson as why:
        difference = _exact(candidate, reference, tolerance)
        return f"{difference} (compared as text, because the expected output is not JSON: {why})"
    try:
        return json_values.first_difference(json_values.read(candidate), theirs, tolerance)
    except json_values.NotJson as why:
        return f"not JSON: {why}"


@_comparator("numbers")
def _numbers(candidate: str, reference: str, tolerance: float) -> str | None:
    """Compare line by line: free-standing numbers within the tolerance, all text around them exact."""
    return _line_by_line(
        candidate, reference, lambda ours, theirs: numbers.same_line(ours, theirs, tolerance)
    )


def _trimmed(text: str) -> list[str]:
    lines = [line.rstrip() for line in text.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _line_by_line(candidate: str, reference: str, same: Callable[[str, str], bool]) -> str | None:
    """Return the first difference of the lines, or of whether the last one ends as a line does."""
    if difference := _first_line(_split(candidate), _split(reference), same):
        return difference
    if candidate.endswith("\n") == reference.endswith("\n"):
        return None
    if candidate.endswith("\n"):
        return "the last line has a line end, and none was expected"
    return "the last line has no line end, and one was expected"


def _split(text: str) -> list[str]:
    return text.removesuffix("\n").split("\n") if text else []


def _first_line(
    ours: list[str], theirs: list[str], same: Callable[[str, str], bool] = str.__eq__
) -> str | None:
    for at, (got, expected) in enumerate(zip(ours, theirs, strict=False), start=1):
        if not same(got, expected):
            return f"line {at}: {_quoted(got)} instead of {_quoted(expected)}"
    if len(ours) == len(theirs):
        return None
    at = min(len(ours), len(theirs))
    if len(ours) > len(theirs):
        return f"line {at + 1}: {_quoted(ours[at])} after the end of the expected output"
    return f"line {at + 1}: the output ends, {_quoted(theirs[at])} was expected"


def _quoted(line: str) -> str:
    return repr(line if len(line) <= SHOWN_CHARS else line[:SHOWN_CHARS] + "...")
