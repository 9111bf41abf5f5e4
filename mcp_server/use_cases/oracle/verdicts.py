"""What a runner says about a job, read with distrust: status and counts follow from the outcomes, never from
its word.

Rule: a verdict that leaves a case of the job out, names one that is not of the job, or executed nothing is
broken.
"""

from collections.abc import Collection, Iterable
from typing import Any

from mcp_server.core.landing import some
from mcp_server.store.jobs import Job
from oracle.judging import causes, verdict
from oracle.judging.verdict import CaseCounts, Verdict

PASS, FAIL = "pass", "fail"
FAILURE_FIELDS = frozenset({"id", "input", "candidate", "reference", "difference"})


class UnreadableVerdict(ValueError):
    """Not a verdict at all; the message says what is wrong."""


def read(told: dict[str, Any]) -> Verdict:
    """Raises Unreadable."""
    try:
        found = Verdict.from_json(
            {"reason": "", "counts": {}, "outcomes": {}, "failures": [], "took_ms": 0} | told
        )
    except (KeyError, TypeError, ValueError) as wrong:
        raise UnreadableVerdict(f"this is no verdict: {type(wrong).__name__}: {wrong}") from wrong
    if found.status not in (verdict.PASSED, verdict.FAILED, verdict.BROKEN):
        raise UnreadableVerdict(f"a verdict is passed, failed or broken, not {found.status!r}")
    if not all(_is_failure(failure) for failure in found.failures):
        raise UnreadableVerdict(
            f"a failure has {', '.join(sorted(FAILURE_FIELDS))}; what a side did is its output and its exit status"
        )
    if strange := sorted({str(outcome) for outcome in found.outcomes.values()} - {PASS, FAIL}):
        raise UnreadableVerdict(f"an outcome is pass or fail, not {some(strange)}")
    if wrong := causes.problem(
        found.causes, {case for case, outcome in found.outcomes.items() if outcome == FAIL}
    ):
        raise UnreadableVerdict(wrong)
    return found


def _is_failure(value: Any) -> bool:
    """In the form that a report can be made of, whatever it says."""
    if not isinstance(value, dict) or not set(value) >= FAILURE_FIELDS:
        return False
    sides = [value["candidate"], value["reference"]]
    if not all(isinstance(side, dict) and type(side.get("exit")) is int for side in sides):
        return False
    texts = [
        value["id"],
        value["input"],
        value["difference"],
        *(side.get("output") for side in sides),
        sides[0].get("error", ""),
    ]
    return all(isinstance(text, str) for text in texts) and type(value.get("from_line", 1)) is int


def of_run(job: Job, told: Verdict, *, by_case: bool, hidden: Collection[str] = ()) -> dict[str, Any]:
    """The verdict on all cases of a job: those that had passed on the same tree before, and those that were
    run now.

    `by_case`: the job says which cases there are, so that each must have an outcome; otherwise the tests
    themselves do.
    """
    if told.status == verdict.BROKEN:
        return broken(told.reason or "the runner gave no reason", told)
    wrong = _wrong_cases(job.todo, told.outcomes) if by_case else None
    if wrong is None and not told.outcomes:
        wrong = "no case was executed"
    if wrong is None and (told.status == verdict.FAILED) != (FAIL in told.outcomes.values()):
        wrong = f"it says {told.status}, and its outcomes say otherwise"
    if wrong is None:
        wrong = _wrong_failures(
            told, {id for id, outcome in told.outcomes.items() if outcome == FAIL} - set(hidden)
        )
    if wrong is not None:
        return broken(f"the runner's verdict contradicts the job: {wrong}", told)
    return _whole({**job.passed_before, **told.outcomes}, told, hidden)


def of_known(job: Job, hidden: Collection[str] = ()) -> dict[str, Any]:
    """The verdict on a job all of whose cases passed on the same tree before."""
    return _whole(
        job.passed_before,
        Verdict(verdict.PASSED, "every case passed on this tree before", CaseCounts()),
        hidden,
    )


def of_check(told: Verdict) -> dict[str, Any]:
    """A suite has teeth if engines were planted and every one was caught."""
    planted = told.planted or ()
    if told.status == verdict.PASSED and not (
        planted and all(engine.get("caught") is True for engine in planted)
    ):
        return broken("the runner says passed, and yet not every planted engine was caught", told)
    return told.to_json()


def broken(reason: str, told: Verdict | None = None) -> dict[str, Any]:
    return Verdict(
        verdict.BROKEN,
        reason,
        CaseCounts(),
        build=told.build if told else None,
        took_ms=told.took_ms if told else 0,
    ).to_json()


def _wrong_cases(todo: Iterable[str], outcomes: Iterable[str]) -> str | None:
    missing, strange = set(todo) - set(outcomes), set(outcomes) - set(todo)
    if missing:
        return f"{len(missing)} cases have no outcome: {some(sorted(missing))}"
    return f"{len(strange)} cases are not of this job: {some(sorted(strange))}" if strange else None


def _wrong_failures(told: Verdict, failing: set[str]) -> str | None:
    """What is told of single cases is told of failing ones, and never of a hidden one."""
    if not {failure["id"] for failure in told.failures} <= failing:
        return "it shows a failure of a case that does not fail or is not shown"
    return causes.problem(told.causes, failing)


def _whole(outcomes: dict[str, str], told: Verdict, hidden: Collection[str]) -> dict[str, Any]:
    failed = sum(outcome != PASS for outcome in outcomes.values())
    status = verdict.FAILED if failed else verdict.PASSED
    counts = CaseCounts(len(outcomes), len(outcomes), len(outcomes), len(outcomes) - failed, failed)
    held_out = [outcomes[id] for id in hidden if id in outcomes]
    whole = told.to_json() | {"status": status, "outcomes": outcomes, "counts": vars(counts)}
    whole.pop("held_out", None)
    return whole | (
        {"held_out": {"cases": len(held_out), "passed": held_out.count(PASS)}} if held_out else {}
    )
