"""Owns making a failing .slt record small: which of the records before it the difference needs.

Rule: only where there is a reference to ask, or where the engine gave no answer at all. What the file expects
holds after all of the records before it, and after no others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from oracle.cases.spec import Case, Suite
from oracle.cases.sql import ended
from oracle.judging import run, verdict
from oracle.judging.answer import Answer, sound
from oracle.judging.judge import Judge, JudgeFailed, Pair


class RecordTrials:
    """Runs the failing record after fewer and fewer of the records before it; its input is then a script for
    a shell.
    """

    least = 0

    def __init__(
        self,
        file: Sequence[Case],
        failure: Mapping[str, Any],
        candidate: run.There,
        reference: run.There,
        judge: Judge,
    ) -> None:
        self._case = next(case for case in file if case.id == failure["id"])
        self.pieces: Sequence[Case] = [case for case in file if case.line < self._case.line]
        self.smallest: Mapping[str, Any] | None = None
        self._kind, self._expected = run.kind(failure), failure.get("reference")
        self._candidate, self._reference, self._judge = candidate, reference, judge

    def differ(self, inputs: Sequence[Sequence[Case]]) -> list[bool]:
        """Return for each choice of records before it whether the failing one still fails as it does."""
        files = [
            [_of_trial(case, number) for case in (*pieces, self._case)]
            for number, pieces in enumerate(inputs)
        ]
        asked = [case for file in files for case in file]
        theirs, ours = self._reference(asked), self._candidate(asked)
        return [self._differs(file, ours, theirs) for file in files]

    def _differs(self, file: Sequence[Case], ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> bool:
        last = file[-1]
        if last.id not in ours or last.id not in theirs or not sound(theirs[last.id]):
            return False
        pair = Pair(replace(last, input="".join(map(_statement, file))), ours[last.id], theirs[last.id])
        try:
            [words] = self._judge([pair])
        except JudgeFailed:
            return False
        if (
            words is None
            or pair.candidate.late
            or run.kind(failure := verdict.failure(pair, words)) != self._kind
        ):
            return False
        if self.smallest is None or len(pair.case.input) < len(self.smallest["input"]):
            self.smallest = failure | {
                "id": self._case.id,
                "shrunk_from": sum(len(case.input) for case in (*self.pieces, self._case)),
            }
            if self._reference is _nothing:
                self.smallest = self.smallest | {"reference": self._expected}
        return True


def trials_of(suite: Suite, cases: Sequence[Case]) -> run.TrialsOf:
    """Return what `run.differential` asks for the trials of one failing case."""

    def trials(
        case: Case, failure: Mapping[str, Any], candidate: run.There, reference: run.There, judge: Judge
    ) -> run.Trials | None:
        if not suite.reference and not failure.get("crashed"):
            return None
        file = sorted((other for other in cases if other.file == case.file), key=lambda other: other.line)
        return RecordTrials(file, failure, candidate, reference if suite.reference else _nothing, judge)

    return trials


def _nothing(cases: Sequence[Case]) -> Mapping[str, Answer]:
    """Return any answer at all: a crash is none of them."""
    return {case.id: Answer("", 0) for case in cases}


def _statement(case: Case) -> str:
    """Return the record's SQL as a person would give it to a shell."""
    whole = ended(case.input.rstrip("\n")) or case.input
    return whole if "--" in whole else whole.replace("\n;\n", ";\n")


def _of_trial(case: Case, number: int) -> Case:
    return replace(case, id=f"{case.id}~{number}", file=f"{case.file}~{number}")
