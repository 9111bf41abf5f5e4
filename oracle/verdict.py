"""Owns verdicts: passed, failed or broken. Rule: what was not executed, compared and found equal is never passed."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from oracle.answer import Answer, sound
from oracle.judge import Judge, JudgeFailed, Pair
from oracle.spec import Case

PASSED, FAILED, BROKEN = "passed", "failed", "broken"
FAILURES_MAX = 20
OUTPUT_CHARS_MAX = 2_000  # of one output in a failure; the whole of it never leaves the runner
INPUT_CHARS_MAX = 4_000
ERROR_CHARS_MAX = 1_000
REASON_NAMES_MAX = 3


@dataclass(frozen=True)
class Built:
    exit: int
    tail: str


@dataclass(frozen=True)
class Counts:
    cases: int = 0
    executed: int = 0
    compared: int = 0
    passed: int = 0
    failed: int = 0


@dataclass(frozen=True)
class Verdict:
    status: str
    reason: str
    counts: Counts
    outcomes: Mapping[str, str] = field(default_factory=dict)
    failures: Sequence[Mapping[str, Any]] = ()
    build: Built | None = None
    took_ms: int = 0
    planted: Sequence[Mapping[str, Any]] | None = None

    def to_json(self) -> dict[str, Any]:
        value = asdict(self) | {"failures": list(self.failures)}
        if self.planted is None:
            del value["planted"]
        return value

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        build = value.get("build")
        return cls(
            value["status"], value["reason"], Counts(**value["counts"]), dict(value["outcomes"]), tuple(value["failures"]),
            Built(**build) if build else None, value["took_ms"], value.get("planted"),
        )  # fmt: skip


def broken(reason: str, *, cases: int = 0, build: Built | None = None) -> Verdict:
    return Verdict(BROKEN, reason, Counts(cases=cases), build=build)


def build_failed(cases: Sequence[Case], build: Built) -> Verdict:
    """A candidate that does not build fails every case: nothing ran, but that is its own doing, so it is not broken."""
    reason = f"the build failed with exit status {build.exit}"
    return Verdict(FAILED, reason, Counts(cases=len(cases), failed=len(cases)), {case.id: "fail" for case in cases}, build=build)


def told(outcomes: Mapping[str, str], messages: Mapping[str, str], *, exit: int, build: Built | None = None) -> Verdict:
    """The verdict on a project's own tests, from their outcomes by name."""
    if not outcomes:
        return broken("no test ran", build=build)
    failed = sorted(name for name, outcome in outcomes.items() if outcome != "pass")
    total = len(outcomes)
    counts = Counts(total, total, total, total - len(failed), len(failed))
    failures = [_told_failure(name, messages.get(name, ""), exit) for name in failed[:FAILURES_MAX]]
    reason = f"{len(failed)} of {total} tests fail" if failed else ""
    return Verdict(FAILED if failed else PASSED, reason, counts, dict(outcomes), failures, build)


def _told_failure(name: str, message: str, exit: int) -> dict[str, Any]:
    first = next((line for line in message.splitlines() if line.strip()), "failed")
    ours = {"output": message[:OUTPUT_CHARS_MAX], "exit": exit}
    return {"id": name, "input": "", "candidate": ours, "reference": {"output": "", "exit": 0}, "difference": first}


def decide(
    cases: Sequence[Case], candidate: Mapping[str, Answer], reference: Mapping[str, Answer], *, judge: Judge, build: Built | None = None
) -> Verdict:
    """Compares answer by answer. Whatever keeps a case from being judged makes the whole verdict broken."""
    problems = _problems(cases, candidate, reference)
    pairs = [Pair(case, candidate[case.id], reference[case.id]) for case in cases if case.id in candidate and case.id in reference]
    try:
        differences = dict(zip((pair.case.id for pair in pairs), judge(pairs), strict=True))
    except JudgeFailed as failed:
        return broken(str(failed), cases=len(cases), build=build)
    failed = [case for case in cases if differences.get(case.id) is not None]
    executed = sum(case.id in candidate and not candidate[case.id].late for case in cases)
    compared = sum(not candidate[name].late for name in differences)
    counts = Counts(len(cases), executed, compared, len(differences) - len(failed), len(failed))
    if not cases:
        problems.append("the suite has no cases")
    elif executed == 0 and not problems:
        problems.append("no case was executed")
    elif compared == 0 and not problems:
        problems.append("no case was compared")
    if problems:
        return Verdict(BROKEN, _joined(problems), Counts(len(cases), executed, compared), build=build)
    outcomes = {name: "pass" if said is None else "fail" for name, said in differences.items()}
    failures = [_failure(case, candidate[case.id], reference[case.id], differences[case.id]) for case in smallest(failed)]
    reason = f"{len(failed)} of {len(cases)} cases differ from the reference" if failed else ""
    return Verdict(FAILED if failed else PASSED, reason, counts, outcomes, failures, build)


def smallest(cases: Sequence[Case], most: int = FAILURES_MAX) -> list[Case]:
    return sorted(cases, key=lambda case: (len(case.input), case.id))[:most]


def _problems(cases: Sequence[Case], candidate: Mapping[str, Answer], reference: Mapping[str, Answer]) -> list[str]:
    found = []
    slow = any(answer.timed_out for answer in candidate.values())
    for case in cases:
        if case.id not in reference:
            found.append(f"the reference gave no answer to {_named(case)}")
        elif not sound(reference[case.id]):
            how = reference[case.id].crash() or f"exit status {reference[case.id].exit}"
            found.append(f"the reference failed on {_named(case)}: {how}")
        elif case.id not in candidate:
            found.append(f"the candidate's answer to {_named(case)} is missing")
        elif candidate[case.id].late and not slow:  # with no case too slow, the machine was
            found.append(f"the run's time was up before {_named(case)}")
    return found


def _named(case: Case) -> str:
    return f"case {case.id!r} ({case.file}:{case.line})" if case.file else f"case {case.id!r}"


def _joined(problems: Sequence[str]) -> str:
    more = len(problems) - REASON_NAMES_MAX
    return "; ".join(problems[:REASON_NAMES_MAX]) + (f"; and {more} more" if more > 0 else "")


def _failure(case: Case, candidate: Answer, reference: Answer, difference: str | None) -> dict[str, Any]:
    ours = {"output": candidate.output[:OUTPUT_CHARS_MAX], "exit": candidate.exit}
    if candidate.error:
        ours["error"] = candidate.error[-ERROR_CHARS_MAX:]
    return {
        "id": case.id,
        "input": case.input[:INPUT_CHARS_MAX],
        "candidate": ours,
        "reference": {"output": reference.output[:OUTPUT_CHARS_MAX], "exit": reference.exit},
        "difference": difference,
    }
