"""Owns whether an answer is right: crash, then output, then exit status. Rule: it sees both answers, so it runs outside of both boxes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from oracle import compare
from oracle.answer import Answer
from oracle.spec import Case


@dataclass(frozen=True)
class Pair:
    """Both answers to one case; the reference's is sound."""

    case: Case
    candidate: Answer
    reference: Answer


Judge = Callable[[Sequence[Pair]], Sequence[str | None]]
"""For each pair the difference in words, or None where the candidate is right; raises JudgeFailed where it cannot say."""


class JudgeFailed(Exception):
    """No verdict can be had; the message names the case with its file and line."""


def by_output(mode: str) -> Judge:
    """Compares the outputs in one of compare's modes."""
    return lambda pairs: [_difference(mode, pair.candidate, pair.reference) for pair in pairs]


def _difference(mode: str, candidate: Answer, reference: Answer) -> str | None:
    """Exit statuses agree when both are 0 or both are not: which number means which error is each program's own affair."""
    if how := candidate.crash():
        return how
    said = compare.difference(mode, candidate.output, reference.output)
    if said is None and (candidate.exit == 0) != (reference.exit == 0):
        return f"exit status {candidate.exit} instead of {reference.exit}"
    return said
