"""Owns when two outputs are the same; a comparison answers with the difference in words, or None."""

from collections import Counter
from collections.abc import Callable, Mapping

SHOWN_CHARS = 120  # of one line in a difference


def difference(mode: str, candidate: str, reference: str) -> str | None:
    """How the candidate's output differs from the reference's, or None; raises KeyError for an unknown mode."""
    return MODES[mode](candidate, reference)


def _exact(candidate: str, reference: str) -> str | None:
    if candidate == reference:
        return None
    ours, theirs = candidate.split("\n"), reference.split("\n")
    return _first_line(ours, theirs) or "the outputs differ"


def _lines(candidate: str, reference: str) -> str | None:
    """Line by line, without white space at line ends and blank lines at the end."""
    return _first_line(_trimmed(candidate), _trimmed(reference))


def _unordered(candidate: str, reference: str) -> str | None:
    """The same lines the same number of times, in any order."""
    ours, theirs = Counter(_trimmed(candidate)), Counter(_trimmed(reference))
    if ours == theirs:
        return None
    lacking, extra = theirs - ours, ours - theirs
    said = [f"{name} {sum(rows.values())} lines, the first {_shown(min(rows))}" for name, rows in (("lacks", lacking), ("has extra", extra)) if rows]
    return "; ".join(said)


MODES: Mapping[str, Callable[[str, str], str | None]] = {"exact": _exact, "lines": _lines, "unordered": _unordered}


def _trimmed(text: str) -> list[str]:
    lines = [line.rstrip() for line in text.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _first_line(ours: list[str], theirs: list[str]) -> str | None:
    for at, (got, wanted) in enumerate(zip(ours, theirs, strict=False), start=1):
        if got != wanted:
            return f"line {at}: {_shown(got)} instead of {_shown(wanted)}"
    if len(ours) == len(theirs):
        return None
    at = min(len(ours), len(theirs))
    if len(ours) > len(theirs):
        return f"line {at + 1}: {_shown(ours[at])} after the end of the expected output"
    return f"line {at + 1}: the output ends, {_shown(theirs[at])} was expected"


def _shown(line: str) -> str:
    return repr(line if len(line) <= SHOWN_CHARS else line[:SHOWN_CHARS] + "...")
