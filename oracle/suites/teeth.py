"""Owns the planted wrong engines: each must be caught, or the oracle cannot fail and its passes mean
nothing.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from oracle.cases.spec import Case, Suite
from oracle.judging import verdict
from oracle.judging.answer import Answer
from oracle.judging.judge import Judge, Pair
from oracle.judging.verdict import CaseCounts, Verdict

WRONG_ONE_IN = 50
NOTHING = "true"  # a command that succeeds and does nothing


@dataclass(frozen=True)
class WrongCommand:
    """Runs in the candidate's place, through the whole machinery."""

    name: str
    command: str

    def suite(self, suite: Suite) -> Suite:
        """Return the suite with this command as its candidate."""
        return replace(suite, candidate=self.command, build=None)


@dataclass(frozen=True)
class WrongAnswers:
    """Needs the reference's answers to be wrong in a subtle way; those are never in the candidate's box, so
    it runs nowhere.
    """

    name: str
    answers: Callable[[Sequence[Case], Mapping[str, Answer]], Mapping[str, Answer]]


def last_answer_repeated(cases: Sequence[Case], reference: Mapping[str, Answer]) -> dict[str, Answer]:
    """Give each case the answer to the case before it, as a daemon left behind by that one would."""
    answered = [case for case in cases if case.id in reference]
    before = [Answer("", 0), *(reference[case.id] for case in answered)]
    return {case.id: answer for case, answer in zip(answered, before, strict=False)}


def one_in_fifty_wrong(cases: Sequence[Case], reference: Mapping[str, Answer]) -> dict[str, Answer]:
    """Return the reference's answers, off by one in the first case and in every fiftieth after it."""
    answered = [case for case in cases if case.id in reference]
    wrong = {case.id: off_by_one(reference[case.id]) for case in answered[::WRONG_ONE_IN]}
    return {case.id: reference[case.id] for case in answered} | wrong


def off_by_one(answer: Answer) -> Answer:
    """Return the answer with a last number one too large, or with a line too many where it has no number."""
    numbers = list(re.finditer(r"[0-9]+", answer.output))
    if not numbers:
        return replace(answer, output=answer.output + "1\n")
    start, end = numbers[-1].span()
    too_large = str(int(answer.output[start:end]) + 1)
    return replace(answer, output=answer.output[:start] + too_large + answer.output[end:])


def comparing(judge: Judge) -> Judge:
    """Return a judge of answers that were made from the right ones: the same answer is right, whatever it is.

    Where an expectation is a hash, it stands in the place of values that only a process has.
    """

    def differences(pairs: Sequence[Pair]) -> list[str | None]:
        judged = zip(pairs, judge(pairs), strict=True)
        return [None if pair.candidate == pair.reference else words for pair, words in judged]

    return differences


def noticed(name: str, decided: Verdict) -> dict[str, object]:
    """Return one row of the check's report."""
    return {"engine": name, "caught": decided.status != verdict.PASSED, "status": decided.status}


def noticed_by_passing(name: str, decided: Verdict, on_main: Verdict) -> dict[str, object]:
    """Return one row of the check's report: caught if a case that passes on main does not pass with the
    fault.
    """
    passing = [case for case, outcome in on_main.outcomes.items() if outcome == "pass"]
    lost = any(decided.outcomes.get(case) != "pass" for case in passing)
    return {"engine": name, "caught": lost, "status": decided.status}


def conclude(rows: Sequence[Mapping[str, object]], counts: CaseCounts, *, by_case: bool) -> Verdict:
    """Return passed if every planted engine was caught.

    `by_case`: the engines answered cases. Then each must be *failed*: broken would mean that nothing was
    judged.
    """
    unjudged = [row["engine"] for row in rows if by_case and row["status"] == verdict.BROKEN]
    missed = [row["engine"] for row in rows if not row["caught"]]
    planted = list(rows)
    if not rows:
        return Verdict(verdict.BROKEN, "not judged: no engine planted", counts, planted=planted)
    if unjudged:
        reason = f"not judged: {', '.join(map(str, unjudged))}"
        return Verdict(verdict.BROKEN, reason, counts, planted=planted)
    if missed:
        reason = f"the suite does not notice: {', '.join(map(str, missed))}"
        return Verdict(verdict.FAILED, reason, counts, planted=planted)
    return Verdict(verdict.PASSED, "", counts, planted=planted)
