"""Owns the wrong engines that are planted in a sqllogictest suite, and how they are judged.

Rule: what an engine would say goes the way of every answer. Most are computed, since as processes they would
only hang.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from oracle.cases.spec import SHELL, Case, Suite
from oracle.judging.answer import Answer
from oracle.suites import teeth
from oracle.suites.sqllogictest import suite as slt

FLIPPED = {slt.OK: slt.ERROR, slt.ERROR: slt.OK}


def engines(suite: Suite) -> tuple[teeth.WrongCommand | teeth.WrongAnswers, ...]:
    """Return the wrong engines of a suite."""
    shell = replace(suite, protocol=SHELL)

    def saying(
        says: Callable[[Case], str],
    ) -> Callable[[Sequence[Case], Mapping[str, Answer]], Mapping[str, Answer]]:
        return lambda cases, right: {
            case.id: slt.answer(shell, case, Answer(says(case), 0)) for case in cases
        }

    return (
        teeth.WrongCommand("gone", teeth.NOTHING),
        teeth.WrongAnswers("silent", saying(lambda case: "")),
        teeth.WrongAnswers("constant", saying(lambda case: "1\n")),
        teeth.WrongAnswers("echo", saying(lambda case: case.input)),
        teeth.WrongAnswers("last-answer-repeated", teeth.last_answer_repeated),
        teeth.WrongAnswers("one-in-fifty-wrong", one_in_fifty_wrong),
    )


def one_in_fifty_wrong(cases: Sequence[Case], right: Mapping[str, Answer]) -> dict[str, Answer]:
    """Return a statement that goes the other way, a query that is off by one; the rest as it should be."""
    wrong = {case.id for case in cases[:: teeth.WRONG_ONE_IN]}
    return {
        case.id: _wrong(case, right[case.id]) if case.id in wrong else right[case.id]
        for case in cases
        if case.id in right
    }


def _wrong(case: Case, answer: Answer) -> Answer:
    if case.expect.startswith("query") and answer.exit == slt.OK:
        return teeth.off_by_one(answer)
    return replace(answer, exit=FLIPPED[answer.exit])
