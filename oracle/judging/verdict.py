"""Owns verdicts: passed, failed or broken. Rule: what was not executed, compared and found equal is never
passed.

Of a held-out case nothing is told but whether it passed: not its input, and not how it failed.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

from oracle.cases.spec import Case
from oracle.judging import causes, excerpt
from oracle.judging.answer import Answer, sound
from oracle.judging.contradictions import CONTRADICTIONS_MAX, Contradiction, ContradictionKind
from oracle.judging.judge import Judge, JudgeFailed, Pair, named

PASSED, FAILED, BROKEN = "passed", "failed", "broken"
PASS, FAIL, SKIP = OUTCOMES = "pass", "fail", "skip"  # of a case
FAILURES_MAX = 20
OUTPUT_CHARS_MAX = 2_000  # of one output in a failure; the whole of it never leaves the runner
BEFORE_CHARS_MAX = 500  # of an output that is shown from the middle: what stands before its first difference
INPUT_CHARS_MAX = 4_000
ERROR_CHARS_MAX = 1_000
REASON_NAMES_MAX = 3


@dataclass(frozen=True)
class Built:
    """How a build ended, and the end of what it printed.

    `made` are the paths that it added to the tree; one that ends with "/" is a directory that holds many.
    """

    exit: int
    tail: str
    made: tuple[str, ...] = ()


@dataclass(frozen=True)
class CaseCounts:
    """How many cases there are, and how far they got."""

    cases: int = 0
    executed: int = 0
    compared: int = 0
    passed: int = 0
    failed: int = 0
    skipped: int = 0

    @classmethod
    def of(cls, outcomes: Collection[str]) -> Self:
        """Return the counts of cases of which each has an outcome: what was skipped was not executed."""
        by_outcome = Counter(outcomes)
        total, skipped = len(outcomes), by_outcome[SKIP]
        ran = total - skipped
        return cls(total, ran, ran, by_outcome[PASS], by_outcome[FAIL], skipped)


@dataclass(frozen=True)
class Verdict:
    """`outcomes` and `counts` are of all cases; `failures` and `causes` of those that are not held out.

    `held_out` is {"cases", "passed"}, None where no case is. `missing` are tests that main runs and this run
    did not: those that it skipped have that outcome, and the others have failed. `run_ms` is how long the
    candidate ran, without its build; 0 if nobody knows. `timed_out_s` is the time that was up before its end.
    `problem` is why nothing of the run could be read, though main's can. `log` is what it printed.
    With a contradiction it is failed, whatever the outcomes.
    """

    status: str
    reason: str
    counts: CaseCounts
    outcomes: Mapping[str, str] = field(default_factory=dict)
    failures: Sequence[Mapping[str, Any]] = ()
    build: Built | None = None
    took_ms: int = 0
    planted: Sequence[Mapping[str, Any]] | None = None
    causes: Sequence[Mapping[str, Any]] = ()
    held_out: Mapping[str, int] | None = None
    missing: Sequence[str] = ()
    run_ms: int = 0
    timed_out_s: float = 0
    problem: str = ""
    log: str = ""
    contradictions: Sequence[Contradiction] = ()

    def failing(self) -> set[str]:
        """Return the cases that make the verdict failed: those that fail, and skipped ones that main runs."""
        missing = set(self.missing)
        return {
            name
            for name, outcome in self.outcomes.items()
            if outcome == FAIL or (outcome == SKIP and name in missing)
        }

    @property
    def is_failed(self) -> bool:
        """Return True if its cases, or what the run says against itself, make the verdict failed."""
        return bool(self.failing()) or bool(self.contradictions)

    def to_json(self) -> dict[str, Any]:
        """Return the verdict as a JSON object, as a runner sends it."""
        value = asdict(self) | {
            "failures": list(self.failures),
            "causes": list(self.causes),
            "missing": list(self.missing),
            "contradictions": [contradiction.to_json() for contradiction in self.contradictions],
        }
        return {
            name: part
            for name, part in value.items()
            if part is not None or name not in ("planted", "held_out")
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Return the verdict that `to_json` wrote."""
        build = value.get("build")
        return cls(
            status=value["status"],
            reason=value["reason"],
            counts=CaseCounts(**value["counts"]),
            outcomes=dict(value["outcomes"]),
            failures=tuple(value["failures"]),
            build=_built(build) if build else None,
            took_ms=value["took_ms"],
            planted=value.get("planted"),
            causes=tuple(value.get("causes", ())),
            held_out=value.get("held_out"),
            missing=tuple(value.get("missing", ())),
            run_ms=value.get("run_ms", 0),
            timed_out_s=value.get("timed_out_s", 0),
            problem=value.get("problem", ""),
            log=value.get("log", ""),
            contradictions=tuple(map(Contradiction.from_json, value.get("contradictions", ()))),
        )


def _built(value: Mapping[str, Any]) -> Built:
    return Built(value["exit"], value["tail"], tuple(map(str, value.get("made", ()))))


def broken(reason: str, *, cases: int = 0, build: Built | None = None) -> Verdict:
    """Return the verdict of a run that judged nothing."""
    return Verdict(BROKEN, reason, CaseCounts(cases=cases), build=build)


def build_failed(cases: Sequence[Case], build: Built) -> Verdict:
    """Return the verdict on a candidate that does not build: every case fails.

    Nothing ran, but that is the candidate's own doing, so the verdict is not broken.
    """
    reason = f"the build failed with exit status {build.exit}{excerpt.as_words(build.tail)}"
    outcomes = {case.id: FAIL for case in cases}
    return Verdict(
        FAILED,
        reason,
        CaseCounts(cases=len(cases), failed=len(cases)),
        outcomes,
        build=build,
        held_out=_held_out(cases, ()),
        problem=reason,
        log=excerpt.log(build.tail),
        contradictions=(Contradiction(ContradictionKind.BUILD, f"{reason}\n{build.tail}".strip()),),
    )


def of_tests(
    outcomes: Mapping[str, str],
    messages: Mapping[str, str],
    *,
    exit: int,
    build: Built | None = None,
    missing: Collection[str] = (),
    contradictions: Sequence[Contradiction] = (),
) -> Verdict:
    """Return the verdict on a project's own tests, from their outcomes by name and what the run says against
    itself.

    `missing` are tests that main runs and this run did not.
    """
    if not outcomes:
        return broken("no test ran", build=build)
    failed = [
        causes.FailedCase(name, _first_line(messages.get(name, "")), messages.get(name, ""))
        for name, outcome in sorted(outcomes.items())
        if outcome == FAIL or (outcome == SKIP and name in missing)
    ]
    counts = CaseCounts.of(outcomes.values())
    found = causes.grouped(failed)
    by_name = {test.case: test for test in failed}
    failures = [_test_failure(by_name[name], exit) for name in _spread(list(by_name), found)]
    reasons = [f"{counts.failed} of {counts.cases} tests fail"] if counts.failed else []
    reasons += [contradiction.words for contradiction in contradictions]
    return Verdict(
        FAILED if failed or contradictions else PASSED,
        "; ".join(reasons),
        counts,
        dict(outcomes),
        failures,
        build,
        causes=found,
        missing=tuple(missing),
        contradictions=tuple(contradictions[:CONTRADICTIONS_MAX]),
    )


def decide(
    cases: Sequence[Case],
    candidate: Mapping[str, Answer],
    reference: Mapping[str, Answer],
    *,
    judge: Judge,
    build: Built | None = None,
) -> Verdict:
    """Return the verdict, answer by answer; whatever keeps a case from being judged makes it broken."""
    problems = _problems(cases, candidate, reference)
    pairs = [
        Pair(case, candidate[case.id], reference[case.id])
        for case in cases
        if case.id in candidate and case.id in reference
    ]
    try:
        differences = dict(zip((pair.case.id for pair in pairs), judge(pairs), strict=True))
    except JudgeFailed as failed:
        return broken(str(failed), cases=len(cases), build=build)
    executed = sum(case.id in candidate and not candidate[case.id].late for case in cases)
    compared = sum(not candidate[name].late for name in differences)
    if not cases:
        problems.append("the suite has no cases")
    elif executed == 0 and not problems:
        problems.append("no case was executed")
    elif compared == 0 and not problems:
        problems.append("no case was compared")
    if problems:
        return Verdict(BROKEN, _joined(problems), CaseCounts(len(cases), executed, compared), build=build)
    return _compared(cases, pairs, differences, CaseCounts(len(cases), executed, compared), build)


def _compared(
    cases: Sequence[Case],
    pairs: Sequence[Pair],
    differences: Mapping[str, str | None],
    counts: CaseCounts,
    build: Built | None,
) -> Verdict:
    outcomes = {name: PASS if words is None else FAIL for name, words in differences.items()}
    passed = [name for name, outcome in outcomes.items() if outcome == PASS]
    failed = len(outcomes) - len(passed)
    visible = {
        pair.case.id: pair for pair in pairs if outcomes[pair.case.id] == FAIL and not pair.case.hidden
    }
    smallest = sorted(visible, key=lambda name: (len(visible[name].case.input), name))
    found = causes.grouped(
        causes.FailedCase(name, differences[name] or "", visible[name].candidate.error) for name in smallest
    )
    return Verdict(
        FAILED if failed else PASSED,
        _reason(cases, outcomes),
        replace(counts, passed=len(passed), failed=failed),
        outcomes,
        [failure(visible[name], differences[name] or "") for name in _spread(smallest, found)],
        build,
        causes=found,
        held_out=_held_out(cases, passed),
    )


def with_held_out(visible: Verdict, hidden: Verdict) -> Verdict:
    """Return one verdict from two, the second of which is on held-out cases alone."""
    counts = CaseCounts(
        **{name: number + getattr(hidden.counts, name) for name, number in asdict(visible.counts).items()}
    )
    reason = "; ".join(dict.fromkeys(filter(None, (visible.reason, hidden.reason))))
    if BROKEN in (visible.status, hidden.status):
        return Verdict(BROKEN, reason, replace(counts, passed=0, failed=0), build=visible.build)
    status = FAILED if FAILED in (visible.status, hidden.status) else PASSED
    outcomes = {**visible.outcomes, **hidden.outcomes}
    return replace(
        visible, status=status, reason=reason, counts=counts, outcomes=outcomes, held_out=hidden.held_out
    )


def _problems(
    cases: Sequence[Case], candidate: Mapping[str, Answer], reference: Mapping[str, Answer]
) -> list[str]:
    found = []
    slow = any(answer.timed_out for answer in candidate.values())
    for case in cases:
        if case.id not in reference:
            found.append(f"the reference gave no answer to {named(case)}")
        elif not sound(reference[case.id]):
            how = _how(case, reference[case.id])
            found.append(f"the reference failed on {named(case)}: {how}")
        elif case.id not in candidate:
            found.append(f"the candidate's answer to {named(case)} is missing")
        elif candidate[case.id].late and not slow:  # with no case too slow, the machine was
            found.append(f"the run's time was up before {named(case)}")
    return found


def _how(case: Case, answer: Answer) -> str:
    """Return how the reference failed, in words; of a held-out case nothing that it said."""
    if case.hidden and answer.stopped:
        return "it gave no answer that can be compared with"
    return answer.crash() or f"exit status {answer.exit}"


def _joined(problems: Sequence[str]) -> str:
    problems = list(dict.fromkeys(problems))  # held-out cases all go by the same words
    more = len(problems) - REASON_NAMES_MAX
    return "; ".join(problems[:REASON_NAMES_MAX]) + (f"; and {more} more" if more > 0 else "")


def _reason(cases: Sequence[Case], outcomes: Mapping[str, str]) -> str:
    parts = []
    for hidden, what in ((False, "cases differ from what is expected"), (True, "held-out cases fail")):
        some = [case for case in cases if case.hidden is hidden]
        if failed := sum(outcomes[case.id] == FAIL for case in some):
            parts.append(f"{failed} of {len(some)} {what}")
    return "; ".join(parts)


def _held_out(cases: Sequence[Case], passed: Collection[str]) -> dict[str, int] | None:
    hidden = {case.id for case in cases if case.hidden}
    return {"cases": len(hidden), "passed": len(hidden.intersection(passed))} if hidden else None


def _spread(names: Sequence[str], found: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the first of each cause, then the rest in their order: as many as a verdict shows."""
    order = {name: at for at, name in enumerate(names)}
    firsts = [min(cause["cases"], key=order.__getitem__) for cause in found]
    return list(dict.fromkeys([*firsts, *names]))[:FAILURES_MAX]


def _test_failure(test: causes.FailedCase, exit: int) -> dict[str, Any]:
    ours = {"output": test.error[:OUTPUT_CHARS_MAX], "exit": exit}
    return {
        "id": test.case,
        "input": "",
        "candidate": ours,
        "reference": {"output": "", "exit": 0},
        "difference": test.difference,
    }


def _first_line(message: str) -> str:
    return next((line for line in message.splitlines() if line.strip()), "failed")


def failure(pair: Pair, difference: str) -> dict[str, Any]:
    """Return a failing case as a verdict shows it; `crashed` where it gave no answer at all.

    `from_line` is there where both outputs are long, and shown from the same line on.
    """
    ours, theirs = pair.candidate.output, pair.reference.output
    start = _shown_from(ours, theirs)
    entry: dict[str, Any] = {
        "id": pair.case.id,
        "input": pair.case.input[:INPUT_CHARS_MAX],
        "candidate": {"output": ours[start : start + OUTPUT_CHARS_MAX], "exit": pair.candidate.exit},
        "reference": {"output": theirs[start : start + OUTPUT_CHARS_MAX], "exit": pair.reference.exit},
        "difference": difference,
    }
    if pair.candidate.error:
        entry["candidate"]["error"] = pair.candidate.error[-ERROR_CHARS_MAX:]
    if pair.candidate.crash():
        entry["crashed"] = True
    if start:
        entry["from_line"] = ours.count("\n", 0, start) + 1
    return entry


def _shown_from(ours: str, theirs: str) -> int:
    """Return where to begin, so that the first difference is in what is shown."""
    low, high = 0, min(len(ours), len(theirs))
    while low < high:  # by halves: the outputs may be a megabyte
        middle = (low + high + 1) // 2
        low, high = (middle, high) if ours[low:middle] == theirs[low:middle] else (low, middle - 1)
    if low <= OUTPUT_CHARS_MAX - BEFORE_CHARS_MAX:
        return 0
    earliest = low - BEFORE_CHARS_MAX
    return max(ours.find("\n", earliest, low) + 1, earliest)
