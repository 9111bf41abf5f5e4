"""What a runner says about a job, read with distrust: status and counts follow from the outcomes, never from
its word.

Rule: a verdict that leaves a case of the job out, names one that is not of the job, or executed nothing is
broken.
"""

from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Any

from mcp_server.core.landing import some
from mcp_server.store.jobs import Job
from oracle.judging import causes, verdict
from oracle.judging.contradictions import CONTRADICTIONS_MAX
from oracle.judging.verdict import OUTCOMES, PASS, SKIP, CaseCounts, Verdict

FAILURE_FIELDS = frozenset({"id", "input", "candidate", "reference", "difference"})
TEXT_CHARS_MAX = 40_000  # of what a verdict quotes; a runner keeps to less


class UnreadableVerdict(ValueError):
    """Not a verdict at all; the message says what is wrong."""


def check(reported: Verdict) -> None:
    """Raise UnreadableVerdict if a runner's verdict says something that no verdict can say."""
    if reported.status not in (verdict.PASSED, verdict.FAILED, verdict.BROKEN):
        raise UnreadableVerdict(f"a verdict is passed, failed or broken, not {reported.status!r}")
    if not all(_is_failure(failure) for failure in reported.failures):
        raise UnreadableVerdict(
            f"a failure has {', '.join(sorted(FAILURE_FIELDS))}; "
            "what a side did is its output and its exit status"
        )
    if strange := sorted({str(outcome) for outcome in reported.outcomes.values()} - {*OUTCOMES}):
        raise UnreadableVerdict(f"an outcome is {', '.join(OUTCOMES)}, not {some(strange)}")
    if problem := _too_long(reported) or causes.problem(reported.causes, reported.failing()):
        raise UnreadableVerdict(problem)
    if len(reported.contradictions) > CONTRADICTIONS_MAX:
        raise UnreadableVerdict(f"a verdict has at most {CONTRADICTIONS_MAX} contradictions")


def _too_long(reported: Verdict) -> str | None:
    """Return which text of a verdict is over its limit; None if none is."""
    texts = {"problem": reported.problem, "log": reported.log}
    long_ones = [name for name, text in texts.items() if len(text) > TEXT_CHARS_MAX]
    return f"{' and '.join(long_ones)} over {TEXT_CHARS_MAX:,} characters" if long_ones else None


def _is_failure(value: Any) -> bool:
    """Return True if a report can be made of it, whatever it says."""
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


def of_run(job: Job, reported: Verdict, *, by_case: bool, hidden: Collection[str] = ()) -> dict[str, Any]:
    """Return the verdict on all cases of a job.

    `by_case`: the job says which cases there are, so that each must have an outcome; otherwise the tests
    themselves do.
    """
    if reported.status == verdict.BROKEN:
        return broken(reported.reason or "the runner gave no reason", reported)
    if contradiction := _contradiction(job, reported, by_case=by_case, hidden=hidden):
        return broken(f"the runner's verdict contradicts the job: {contradiction}", reported)
    return _with_outcomes(reported, dict(reported.outcomes), hidden)


def of_check(reported: Verdict) -> dict[str, Any]:
    """Return the verdict on a suite: it has teeth if engines were planted and every one was caught."""
    planted = reported.planted or ()
    are_caught = bool(planted) and all(engine.get("caught") is True for engine in planted)
    if reported.status == verdict.PASSED and not are_caught:
        return broken("the runner says passed, and yet not every planted engine was caught", reported)
    return reported.to_json()


def broken(reason: str, reported: Verdict | None = None) -> dict[str, Any]:
    """Return a verdict that says nothing but why; of what a runner reported it keeps build, time and log."""
    return Verdict(
        verdict.BROKEN,
        reason,
        CaseCounts(),
        build=reported.build if reported else None,
        took_ms=reported.took_ms if reported else 0,
        log=reported.log if reported else "",
    ).to_json()


def _contradiction(job: Job, reported: Verdict, *, by_case: bool, hidden: Collection[str]) -> str | None:
    """Return what of a runner's verdict cannot be true of the job; None if nothing is."""
    if by_case and (problem := _wrong_cases(job.todo, reported.outcomes)):
        return problem
    if not reported.outcomes:
        return "no case was executed"
    if by_case and SKIP in reported.outcomes.values():
        return "it skips a case"
    failing = reported.failing()
    if (reported.status == verdict.FAILED) != reported.is_failed:
        return f"it says {reported.status}, and its outcomes say otherwise"
    return _wrong_failures(reported, failing - set(hidden))


def _wrong_cases(todo: Iterable[str], outcomes: Iterable[str]) -> str | None:
    missing, strange = set(todo) - set(outcomes), set(outcomes) - set(todo)
    if missing:
        return f"{len(missing)} cases have no outcome: {some(sorted(missing))}"
    if strange:
        return f"{len(strange)} cases are not of this job: {some(sorted(strange))}"
    return None


def _wrong_failures(reported: Verdict, failing: set[str]) -> str | None:
    """Return what is wrong with the failures shown: each is of a failing case, and never of a hidden one."""
    if not {failure["id"] for failure in reported.failures} <= failing:
        return "it shows a failure of a case that does not fail or is not shown"
    return causes.problem(reported.causes, failing)


def _with_outcomes(reported: Verdict, outcomes: dict[str, str], hidden: Collection[str]) -> dict[str, Any]:
    """Return a verdict as JSON whose status and counts follow from the outcomes."""
    is_failed = replace(reported, outcomes=outcomes).is_failed
    value = reported.to_json() | {
        "status": verdict.FAILED if is_failed else verdict.PASSED,
        "outcomes": outcomes,
        "counts": vars(CaseCounts.of(outcomes.values())),
    }
    value.pop("held_out", None)
    held_out = [outcomes[id] for id in hidden if id in outcomes]
    if held_out:
        value["held_out"] = {"cases": len(held_out), "passed": held_out.count(PASS)}
    return value
