"""Owns whether an answer is right: crash, then output, then exit status. Rule: it sees both answers, so it
runs outside of the candidate's box.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from oracle.cases.spec import TOLERANCE, Case, Suite
from oracle.judging import compare
from oracle.judging.answer import NOT_RUNNABLE, Answer

SAME, DIFFERS = 0, 1  # exit statuses of a user's comparator; any other says that it failed
SAID_CHARS_MAX = 300  # of what a comparator says


@dataclass(frozen=True)
class Pair:
    """Both answers to one case; the reference's is sound."""

    case: Case
    candidate: Answer
    reference: Answer


Judge = Callable[[Sequence[Pair]], Sequence[str | None]]
"""For each pair the difference in words, or None where the candidate is right.

It raises JudgeFailed where it cannot say.
"""

Ask = Callable[[Sequence[Case]], Mapping[str, Answer]]
"""Runs the suite's comparator on a batch of inputs and answers by case id.

What it leaves out could not be answered.
"""


class JudgeFailed(Exception):
    """No verdict can be had; the message names the case with its file and line."""


def of(suite: Suite, ask: Ask) -> Judge:
    """Return the judge that a suite asks for; `ask` serves a suite that has a comparator of its own."""
    if suite.compare == compare.BY_COMMAND:
        return by_command(ask)
    return by_output(suite.compare, tolerance=suite.tolerance)


def by_output(mode: str, *, tolerance: float = TOLERANCE) -> Judge:
    """Return a judge that compares the outputs in one of compare's modes."""

    def judge(pairs: Sequence[Pair]) -> list[str | None]:
        def difference(pair: Pair) -> str | None:
            return compare.difference(mode, pair.candidate.output, pair.reference.output, tolerance=tolerance)

        return [pair.candidate.crash() or difference(pair) or _exits(pair) for pair in pairs]

    return judge


def by_command(ask: Ask) -> Judge:
    """Return a judge that asks the user's comparator about every pair whose outputs are not the same bytes,
    all in one batch.

    On stdin it finds {"input", "candidate": {"output", "exit"}, "reference": {"output", "exit"}} as JSON.
    """

    def judge(pairs: Sequence[Pair]) -> list[str | None]:
        open_ = [
            pair
            for pair in pairs
            if pair.candidate.crash() is None and pair.candidate.output != pair.reference.output
        ]
        answers = ask([_question(pair) for pair in open_]) if open_ else {}
        differences = {pair.case.id: _difference(pair.case, answers.get(pair.case.id)) for pair in open_}
        return [pair.candidate.crash() or differences.get(pair.case.id) or _exits(pair) for pair in pairs]

    return judge


def named(case: Case) -> str:
    """Return a case as a message names it: one that is held out has no name."""
    if case.hidden:
        return "a held-out case"
    return f"case {case.id!r} ({case.file}:{case.line})" if case.file else f"case {case.id!r}"


def _exits(pair: Pair) -> str | None:
    """Exit statuses agree when both are 0 or both are not: which number means which error is each program's
    own affair.
    """
    ours, theirs = pair.candidate.exit, pair.reference.exit
    return f"exit status {ours} instead of {theirs}" if (ours == 0) != (theirs == 0) else None


def _question(pair: Pair) -> Case:
    asked = {
        "input": pair.case.input,
        "candidate": pair.candidate.to_json(),
        "reference": pair.reference.to_json(),
    }
    return Case(pair.case.id, json.dumps(asked), pair.case.file, pair.case.line)


def _difference(case: Case, answer: Answer | None) -> str | None:
    if answer is None:
        raise JudgeFailed(f"the comparator gave no answer to {named(case)}")
    how = answer.crash()
    first_line = next((line.strip() for line in answer.output.splitlines() if line.strip()), "")
    last_words = next((line.strip() for line in reversed(answer.error.splitlines()) if line.strip()), "")
    if how is None and answer.exit == SAME:
        return None
    # An interpreter whose script has crashed ends with 1 as well, but its last words are on stderr alone.
    if how is None and answer.exit == DIFFERS and (first_line or not last_words):
        return first_line[:SAID_CHARS_MAX] or "the comparator says that the outputs differ"
    missing = " (the comparator is missing or cannot be run)" if answer.exit in NOT_RUNNABLE else ""
    words = last_words or first_line
    quoted = f": {words[:SAID_CHARS_MAX]}" if words and not case.hidden else ""
    raise JudgeFailed(
        f"the comparator failed on {named(case)}: {how or f'exit status {answer.exit}'}{missing}{quoted}"
    )
