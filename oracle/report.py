"""Owns what an agent is told of a verdict: counts first, then at most three failures, within a budget of characters."""

from collections.abc import Mapping
from typing import Any

from oracle.verdict import Verdict

FAILURES_MAX = 3
CHARS_MAX = 4_000
FIELD_CHARS_MAX = 600  # of one input or output; three failures with three texts each stay within CHARS_MAX
BUILD_CHARS_MAX = 1_500


def brief(verdict: Verdict, *, failures: int = FAILURES_MAX) -> dict[str, Any]:
    """The verdict as a small JSON object: status, counts, reason, and the smallest failures."""
    told: dict[str, Any] = {"status": verdict.status, "counts": verdict.to_json()["counts"]}
    if verdict.reason:
        told["reason"] = verdict.reason[:FIELD_CHARS_MAX]
    if verdict.build and verdict.build.exit != 0:
        told["build"] = {"exit": verdict.build.exit, "tail": verdict.build.tail[-BUILD_CHARS_MAX:]}
    told["failures"] = [_short(failure) for failure in verdict.failures[: min(failures, FAILURES_MAX)]]
    return told


def text(verdict: Verdict, *, chars: int = CHARS_MAX) -> str:
    """The same to read: at most `chars` characters, cut at the end."""
    counts = verdict.counts
    head = f"{verdict.status}: {counts.passed} of {counts.cases} cases pass, {counts.failed} fail ({counts.executed} executed, {counts.compared} compared)"
    parts = [head]
    if verdict.reason:
        parts.append(verdict.reason)
    if verdict.build and verdict.build.exit != 0:
        parts.append(f"build, exit status {verdict.build.exit}:\n{verdict.build.tail[-BUILD_CHARS_MAX:]}")
    parts += [_told(_short(failure)) for failure in verdict.failures[:FAILURES_MAX]]
    return _cut("\n\n".join(parts), chars)


def _short(failure: Mapping[str, Any]) -> dict[str, Any]:
    sides = {
        side: {name: _cut(value, FIELD_CHARS_MAX) if isinstance(value, str) else value for name, value in failure[side].items()}
        for side in ("candidate", "reference")
    }
    return {"id": failure["id"], "input": _cut(failure["input"], FIELD_CHARS_MAX), **sides, "difference": failure["difference"]}


def _told(failure: Mapping[str, Any]) -> str:
    lines = [f"{failure['id']}: {failure['difference']}", "input:", failure["input"].rstrip("\n")]
    for side, title in (("candidate", "yours"), ("reference", "expected")):
        lines += [f"{title} (exit {failure[side]['exit']}):", failure[side]["output"].rstrip("\n")]
    if failure["candidate"].get("error"):
        lines += ["its error output:", failure["candidate"]["error"].rstrip("\n")]
    return "\n".join(lines)


def _cut(value: str, chars: int) -> str:
    return value if len(value) <= chars else value[: chars - 4] + " ..."
