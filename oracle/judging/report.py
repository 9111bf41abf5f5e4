"""Owns what an agent is told of a verdict: counts first, then what changed, then at most three failures.

Rule: the answer's JSON never has more characters than asked for, whatever the verdict; what is left out is
counted.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from oracle.judging import side_by_side
from oracle.judging.verdict import OUTPUT_CHARS_MAX, PASS, PASSED, SKIP, Verdict

FAILURES_MAX = 3
NAMED_MAX = 10  # cases that passed on main and fail now
CAUSES_SHOWN = 5
CHARS_MIN = len('{"status":"passed"}')
PASSED_CHARS_MAX = 500  # of a suite that passed, where others did not
REASON_CHARS_MAX = 400
WORDS_CHARS_MAX = 240  # of a difference, or a line of error text
# Parts of the room that is left after status and counts; failures get what the others leave.
BUILD_PART, GROUPS_PART, LOST_PART, CAUSES_PART = 0.5, 0.22, 0.12, 0.18
INPUT_PART = 0.4  # of the room of a failure, where input and outputs are both long
DROPPED_FIRST = (
    "causes",
    "more_causes",
    "groups",
    "more_groups",
    "failures",
    "build",
    "against_main",
    "reason",
    "held_out",
    "counts",
)
MORE_CHARS = len(',"more":"1234567 more suites"')

Json = dict[str, Any]


def encode(value: Any) -> str:
    """Return the JSON whose length counts."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def suites(verdicts: Mapping[str, Verdict], *, on_main: Mapping[str, Mapping[str, str]], chars: int) -> Json:
    """Return `brief` of several suites by name, in `chars` characters and with FAILURES_MAX failures
    together; failed ones first.
    """
    passed = [name for name, verdict in verdicts.items() if verdict.status == PASSED and not verdict.failures]
    others = [name for name in verdicts if name not in passed]
    left = chars - len("{}") - MORE_CHARS
    report: Json = {}
    for at, name in enumerate([*passed, *others]):  # the short ones first: the others may use what they leave
        frame = len(encode(name)) + len(":,")
        room = left // (len(verdicts) - at) - frame
        if room < CHARS_MIN:
            continue
        turn = at - len(passed)
        share = FAILURES_MAX // len(others) + (turn < FAILURES_MAX % len(others)) if turn >= 0 else 0
        report[name] = brief(
            verdicts[name],
            on_main=on_main.get(name, {}),
            chars=min(room, PASSED_CHARS_MAX) if turn < 0 < len(others) else room,
            failures=share,
        )
        left -= frame + len(encode(report[name]))
    ordered = {name: report[name] for name in [*others, *passed] if name in report}
    return (
        ordered
        if len(ordered) == len(verdicts)
        else ordered | {"more": f"{len(verdicts) - len(ordered)} more suites"}
    )


def brief(verdict: Verdict, *, on_main: Mapping[str, str], chars: int, failures: int = FAILURES_MAX) -> Json:
    """Return the report on one verdict; `on_main` are main's outcomes, empty where they are not known. Counts
    are of cases that are not held out.
    """
    report: Json = {"status": verdict.status, "counts": _counts(verdict)}
    if verdict.held_out:
        report["held_out"] = dict(verdict.held_out)
    room = chars - len(encode(report))
    if verdict.reason:
        report["reason"] = cut(verdict.reason, min(REASON_CHARS_MAX, room // 3))
    if verdict.build and verdict.build.exit != 0:
        report["build"] = {
            "exit": verdict.build.exit,
            "tail": cut_front(verdict.build.tail, int(room * BUILD_PART)),
        }
    if on_main and verdict.outcomes:
        report["against_main"] = _against_main(verdict.outcomes, on_main, int(room * LOST_PART))
    if verdict.outcomes:
        report |= _groups(verdict.outcomes, on_main, int(room * GROUPS_PART))
    if verdict.causes:
        report |= _causes(verdict.causes, int(room * CAUSES_PART))
    report["failures"] = []
    report["failures"] = _failures(verdict.failures[:failures], chars - len(encode(report)))
    for name in DROPPED_FIRST:
        if len(encode(report)) <= chars:
            break
        report.pop(name, None)
    return report


@dataclass
class FailureGroup:
    """Cases of one group: how many there are, pass, were skipped, and changed against main."""

    passed: int = 0
    cases: int = 0
    gained: int = 0
    lost: int = 0
    skipped: int = 0

    def __str__(self) -> str:
        change = f" (+{self.gained} -{self.lost})" if self.gained or self.lost else ""
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        return f"{self.passed}/{self.cases}{change}{skipped}"

    @property
    def failed(self) -> int:
        """How many cases ran and did not pass."""
        return self.cases - self.passed - self.skipped

    def add(self, other: "FailureGroup") -> None:
        """Count the cases of another group here too."""
        self.passed, self.cases = self.passed + other.passed, self.cases + other.cases
        self.gained, self.lost = self.gained + other.gained, self.lost + other.lost
        self.skipped += other.skipped


def groups(outcomes: Mapping[str, str], on_main: Mapping[str, str]) -> dict[str, FailureGroup]:
    """Return cases by the directory part of their ids: those that changed most first, then those with most
    failures.
    """
    found: dict[str, FailureGroup] = {}
    for case, outcome in outcomes.items():
        passes, passed = outcome == PASS, on_main.get(case) == PASS
        change = FailureGroup(
            passes, 1, bool(on_main) and passes and not passed, passed and not passes, outcome == SKIP
        )
        found.setdefault(group_of(case), FailureGroup()).add(change)
    return dict(
        sorted(
            found.items(),
            key=lambda item: (-item[1].gained - item[1].lost, -item[1].failed, item[0]),
        )
    )


def group_of(case: str) -> str:
    """Return the directory of a case, or the file or class of a test; "." where its id has none."""
    return case.rpartition("::")[0] or case.rpartition("/")[0] or "."


def cut(text: str, room: int) -> str:
    """Return the longest beginning whose JSON has at most `room` characters, with a sign where something is
    missing.
    """
    return _fit(text, room, lambda length: text[:length] + " ...")


def cut_front(text: str, room: int) -> str:
    """Return the longest end of that kind, where build tools and interpreters say what went wrong."""
    return _fit(text, room, lambda length: "... " + text[len(text) - length :])


def _fit(text: str, room: int, part: Callable[[int], str]) -> str:
    if len(encode(text)) <= room:
        return text
    low, high = 0, min(len(text), max(room, 0))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if len(encode(part(middle))) <= room else (low, middle - 1)
    return part(low)


def _counts(verdict: Verdict) -> Json:
    """Return the counts without the held-out cases, which are counted apart; skipped ones where there are."""
    hidden = verdict.held_out or {"cases": 0, "passed": 0}
    less = {"passed": hidden["passed"], "failed": hidden["cases"] - hidden["passed"], "skipped": 0}
    return {
        name: max(0, number - less.get(name, hidden["cases"]))
        for name, number in vars(verdict.counts).items()
        if name != "skipped" or number
    }


def _against_main(outcomes: Mapping[str, str], on_main: Mapping[str, str], room: int) -> Json:
    lost = sorted(case for case, outcome in outcomes.items() if outcome != PASS and on_main.get(case) == PASS)
    gained = sum(outcome == PASS and on_main.get(case) != PASS for case, outcome in outcomes.items())
    report: Json = {"newly_passing": gained, "newly_failing": len(lost), "newly_failing_cases": []}
    if skipped := sum(outcomes[case] == SKIP for case in lost):
        report["newly_skipped"] = skipped
    report["newly_failing_cases"] = _first_ones(lost[:NAMED_MAX], room - len(encode(report)))
    return report


def _groups(outcomes: Mapping[str, str], on_main: Mapping[str, str], room: int) -> Json:
    found = groups(outcomes, on_main)
    entries = {
        name: str(found[name]) for name in _first_ones([*found], room, lambda name: {name: str(found[name])})
    }
    rest = FailureGroup()
    for name in list(found)[len(entries) :]:
        rest.add(found[name])
    return {"groups": entries} | (
        {"more_groups": f"{len(found) - len(entries)} more: {rest}"} if rest.cases else {}
    )


def _causes(causes: Sequence[Mapping[str, Any]], room: int) -> Json:
    short = [
        {"id": cause["id"], "says": cut(cause["says"], room // 2), "count": cause["count"]}
        for cause in causes[:CAUSES_SHOWN]
    ]
    entries = _first_ones(short, room)
    return {"causes": entries} | (
        {"more_causes": len(causes) - len(entries)} if len(entries) < len(causes) else {}
    )


def _first_ones(
    items: Sequence[Any], room: int, written: Callable[[Any], Any] = lambda item: item
) -> list[Any]:
    """Return as many as fit."""
    kept = []
    for item in items:
        room -= len(encode(written(item))) + 1
        if room < 0:
            break
        kept.append(item)
    return kept


def _failures(failures: Sequence[Mapping[str, Any]], room: int) -> list[Json]:
    """Return each in its share of the room; what a short one leaves is for those after it."""
    entries: list[Json] = []
    for at, failure in enumerate(failures):
        one = _failure(failure, room // (len(failures) - at) - 1)
        if one is not None:
            entries.append(one)
            room -= len(encode(one)) + 1
    return entries


def _failure(failure: Mapping[str, Any], room: int) -> Json | None:
    """Return the failure in at most `room` characters, or None where not even its name fits."""
    ours, theirs = failure["candidate"], failure["reference"]
    report: Json = {
        "id": failure["id"],
        "difference": cut(failure["difference"], min(WORDS_CHARS_MAX, room // 4)),
    }
    if "shrunk_from" in failure:
        report["shrunk_from"] = failure["shrunk_from"]
    error = next((line for line in reversed(ours.get("error", "").splitlines()) if line.strip()), "")
    if error:
        report["error"] = cut(error.strip(), min(WORDS_CHARS_MAX, room // 5))
    if not failure["input"]:  # a test of the project's own, which has a message instead of two outputs
        left = room - len(encode(report | {"message": ""}))
        report["message"] = cut(ours["output"], left)
    else:
        left = room - len(encode(report | {"input": "", "side_by_side": ""})) + len('""""')
        sides = _sides(
            failure, ours, theirs, max(left - len(encode(failure["input"])), int(left * (1 - INPUT_PART)))
        )
        report["input"] = cut(failure["input"], left - len(encode(sides)))
        report["side_by_side"] = sides
    return report if len(encode(report)) <= room else None


def _sides(failure: Mapping[str, Any], ours: Mapping[str, Any], theirs: Mapping[str, Any], room: int) -> str:
    """Return both outputs side by side, in as many lines as fit."""
    exits = (ours["exit"] == 0) != (theirs["exit"] == 0) or ours["exit"] < 0
    titles = (
        (f"yours (exit {ours['exit']})", f"expected (exit {theirs['exit']})")
        if exits
        else ("yours", "expected")
    )
    outputs = [_whole_lines(side["output"]) for side in (ours, theirs)]
    text = ""
    for lines in range(side_by_side.LINES_MAX, 0, -1):
        text = side_by_side.text(*outputs, titles=titles, lines=lines, from_line=failure.get("from_line", 1))
        if len(encode(text)) <= room:
            return text
    return cut(text, room)


def _whole_lines(output: str) -> str:
    """Return the output with a sign where it was cut: a failure holds so much of it, and its last line may be
    half a line.
    """
    if len(output) < OUTPUT_CHARS_MAX:
        return output
    return output[: output.rfind("\n") + 1 or len(output)].removesuffix("\n") + "\n(cut here)\n"
