"""Owns which failing cases fail alike: by the first line of theirs that differs and the last line of their
error text.

Rule: every failing case is in exactly one cause, so that different agents can be given different causes.
"""

import hashlib
import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from oracle.judging import compare

CAUSES_MAX = 50  # beyond it the rarest are one cause together
SAYS_CHARS_MAX = 160
LINE_CHARS_MAX = 500  # that are looked at
FIELDS = {"id": str, "says": str, "count": int, "cases": list}
ID = re.compile(r"[0-9a-f]{8}")
OTHERS = "other differences, each in few cases"

LEADING_LINE = re.compile(r"^(?:line|row) \d+: ")
# What tells one run or one place from the next, and not one cause from another.
VARYING: Sequence[tuple[re.Pattern[str], str]] = (
    (re.compile(r"0x[0-9a-fA-F]{4,}"), "0x.."),
    (re.compile(r"(/(?:tmp|var/tmp|dev/shm|scratch))/[^\s'\":,)]+"), r"\1/.."),
    (re.compile(r"\btmp[a-z0-9_]{6,}\b"), "tmp.."),
    (
        re.compile(r"\b(line|row|column|col|record|value|offset|position|char|pid|process|thread)s? #?\d+"),
        r"\1",
    ),
    (re.compile(r"(\.[A-Za-z]\w{0,4}):\d+(?::\d+)?"), r"\1"),
    (re.compile(r"\s+"), " "),
)
JSON_PATH = re.compile(r"^(?:value,? )?\$[^:]*")
INDEX = re.compile(r"\[\d+\]")


@dataclass(frozen=True)
class FailedCase:
    """A failing case: how it differs, in words, and its error text."""

    case: str
    difference: str
    error: str

    def signs(self) -> tuple[str, str]:
        """Return what the case has in common with other cases of the same cause."""
        return normal(compare.of_candidate(self.difference)), last_line(self.error)


def grouped(failed: Iterable[FailedCase]) -> list[dict[str, Any]]:
    """Return the causes of all failures as objects {"id", "says", "count", "cases"}, most cases first."""
    by_signs: dict[tuple[str, str], list[FailedCase]] = {}
    for case in failed:
        by_signs.setdefault(case.signs(), []).append(case)
    ordered = sorted(by_signs.items(), key=lambda item: (-len(item[1]), item[0]))
    kept, rest = ordered, []
    if len(ordered) > CAUSES_MAX:
        kept, rest = ordered[: CAUSES_MAX - 1], ordered[CAUSES_MAX - 1 :]
    causes = [_cause("\n".join(signs), _says(*signs, alike), alike) for signs, alike in kept]
    if rest:
        causes.append(_cause(OTHERS, OTHERS, [case for _, alike in rest for case in alike]))
    return causes


def normal(text: str) -> str:
    """Return a line without line numbers, addresses, temporary names and array positions."""
    text = LEADING_LINE.sub("", text[:LINE_CHARS_MAX])
    for pattern, instead in VARYING:
        text = pattern.sub(instead, text)
    return JSON_PATH.sub(lambda path: INDEX.sub("[]", path[0]), text).strip()[:SAYS_CHARS_MAX]


def last_line(error: str) -> str:
    """Return the last line with anything in it, normal: where most languages say what went wrong."""
    return next((normal(line) for line in reversed(error.splitlines()) if line.strip()), "")


def problem(causes: Any, failing: Container[str]) -> str | None:
    """Return what is wrong with causes that somebody else made, or None."""
    if not isinstance(causes, Sequence) or isinstance(causes, str):
        return "causes are a list"
    seen: set[str] = set()
    for cause in causes:
        if wrong := _wrong_fields(cause):
            return wrong
        for case in cause["cases"]:
            if not isinstance(case, str) or case in seen or case not in failing:
                return "a cause names failing cases, each once"
            seen.add(case)
    return None if len(causes) <= CAUSES_MAX else f"at most {CAUSES_MAX} causes"


def _wrong_fields(cause: Any) -> str | None:
    if (
        not isinstance(cause, Mapping)
        or set(cause) != set(FIELDS)
        or any(type(cause[name]) is not kind for name, kind in FIELDS.items())
    ):
        return f"a cause has {', '.join(FIELDS)}"
    if (
        not ID.fullmatch(cause["id"])
        or len(cause["says"]) > SAYS_CHARS_MAX
        or cause["count"] != len(cause["cases"])
        or not cause["cases"]
    ):
        return (
            f"a cause has an id of 8 hex digits, at most {SAYS_CHARS_MAX} characters "
            "and the count of its cases"
        )
    return None


def _cause(key: str, says: str, alike: Sequence[FailedCase]) -> dict[str, Any]:
    id = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return {"id": id, "says": says, "count": len(alike), "cases": sorted(case.case for case in alike)}


def _says(first: str, error: str, alike: Sequence[FailedCase]) -> str:
    """Return the words on a cause, the error first: it says more than where the output went wrong because of
    it. What was expected is said only where that is the same.
    """
    differences = {case.difference for case in alike}
    difference = differences.pop() if len(differences) == 1 else first
    words = "; ".join(filter(None, (error, difference)))
    return words[:SAYS_CHARS_MAX] or "failed"
