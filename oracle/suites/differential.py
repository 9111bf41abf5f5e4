"""The suite kind `differential`: the same inputs to a candidate and to a reference, which has to agree."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from oracle.cases import files
from oracle.cases.sections import Section
from oracle.cases.spec import Case, Suite
from oracle.judging import judge, run, verdict
from oracle.judging.answer import Answer, sound
from oracle.judging.judge import Judge, JudgeFailed, Pair
from oracle.suites import base, teeth
from oracle.suites.base import CaseRules, SuiteKind
from oracle.suites.teeth import NOTHING, WrongAnswers, WrongCommand

ENGINES: tuple[WrongCommand | WrongAnswers, ...] = (
    WrongCommand("silent", NOTHING),
    # It is right about everything where the reference itself does not run.
    WrongCommand("failing", "false"),
    WrongCommand("constant", "echo 1"),
    WrongCommand("echo", "cat"),
    WrongAnswers("last-answer-repeated", teeth.last_answer_repeated),
    WrongAnswers("one-in-fifty-wrong", teeth.one_in_fifty_wrong),
)


def sections_of(_: Suite, path: str, text: str) -> Iterable[Section]:
    """Return the cases in a file, whose format its suffix tells."""
    return files.format_of(path).read(text)


def chosen_alone(cases: Sequence[Case], chosen: Collection[str]) -> list[str]:
    """Return the chosen ids that are there: each case means something by itself."""
    asked = set(chosen)
    return [case.id for case in cases if case.id in asked]


def inputs(cases: Iterable[Case]) -> dict[str, str]:
    """Return the inputs by case id: nothing else has a part in an answer."""
    return {case.id: case.input for case in cases}


def alone(there: run.There, _: Sequence[Case]) -> run.There:
    """Return `there` itself: no case needs another beside it."""
    return there


def no_expectations(_: Suite, __: Sequence[Case]) -> Mapping[str, Answer]:
    """Return nothing: only the reference knows what is right."""
    return {}


class Trial:
    """Smaller inputs of one failing case, run through both sides."""

    least = 1

    def __init__(
        self,
        case: Case,
        failure: Mapping[str, Any],
        candidate: run.There,
        reference: run.There,
        judge: Judge,
    ) -> None:
        self.pieces: Sequence[str] = files.format_of(case.file).pieces(case.input)
        self.smallest: Mapping[str, Any] | None = None
        self._case, self._kind = case, run.kind(failure)
        self._candidate, self._reference, self._judge = candidate, reference, judge

    def differ(self, inputs: Sequence[Sequence[str]]) -> list[bool]:
        """Return for each input, given in pieces, whether it still fails as the case does."""
        cases = [
            Case(f"{self._case.id}~{number}", "".join(pieces), "", 0) for number, pieces in enumerate(inputs)
        ]
        theirs, ours = self._reference(cases), self._candidate(cases)
        # An input without a sound answer of the reference proves nothing.
        pairs = [
            Pair(case, ours[case.id], theirs[case.id])
            for case in cases
            if case.id in ours and case.id in theirs and sound(theirs[case.id])
        ]
        try:
            differences = self._judge(pairs)
        except JudgeFailed:
            return [False] * len(cases)
        hits = {
            pair.case.id
            for pair, words in zip(pairs, differences, strict=True)
            if words is not None and self._is_alike(pair, words)
        }
        return [case.id in hits for case in cases]

    def _is_alike(self, pair: Pair, words: str) -> bool:
        """Return True if the input fails as the case does; remember the smallest one that does."""
        failure = verdict.failure(pair, words)
        if pair.candidate.late or run.kind(failure) != self._kind:
            return False
        if self.smallest is None or len(failure["input"]) < len(self.smallest["input"]):
            self.smallest = failure | {"id": self._case.id, "shrunk_from": len(self._case.input)}
        return True


def trials_of(_: Suite, __: Sequence[Case]) -> run.TrialsOf:
    """Return what makes the trials of one failing case."""
    return Trial


def no_problems(_: Suite) -> list[str]:
    """Return nothing: what a differential suite needs is all that it asks for."""
    return []


def no_answers_in_files(_: Suite) -> tuple[str, ...]:
    """Return nothing: case files hold inputs alone, which the candidate may see."""
    return ()


def engines(_: Suite) -> Sequence[WrongCommand | WrongAnswers]:
    """Return the wrong engines, which are the same for every suite."""
    return ENGINES


KIND = SuiteKind(
    name="differential",
    needs=("cases", "candidate", "reference"),
    problems=no_problems,
    canary_problems=base.no_canary,
    exposure=base.compared_elsewhere,
    steering=(),
    judging_commands=base.trusted_commands,
    default_protected=base.case_files_of,
    answer_files=no_answers_in_files,
    protected_from_main=False,
    candidate_image=base.CANDIDATE_IMAGE,
    reference_image=base.REFERENCE_IMAGE,
    cases=CaseRules(
        sections=sections_of,
        together=chosen_alone,
        answer_inputs=inputs,
        sessions=None,
        whole=alone,
        judge=judge.of,
        expectations=no_expectations,
        trials=trials_of,
        engines=engines,
    ),
)
