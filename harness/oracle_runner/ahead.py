"""Owns answering ahead: the reference's part of a job runs while the candidate's tree is placed and built.

Rule: neither side's box knows of the other; whatever an answer would have raised is raised to who asks for
it.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack

from oracle.cases.spec import Case
from oracle.judging.answer import Answer
from oracle.judging.run import There


class Ahead:
    """A `There` that began with `cases` when it was made. What it holds, and the thread, end with `held`."""

    def __init__(self, held: ExitStack, there: There, cases: Sequence[Case]) -> None:
        self._there, self._asked = there, [case.id for case in cases]
        self._begun: Future[Mapping[str, Answer]] | None = None
        if cases:
            self._begun = held.enter_context(ThreadPoolExecutor(1, "reference")).submit(there, cases)

    def __call__(self, cases: Sequence[Case]) -> Mapping[str, Answer]:
        begun, self._begun = self._begun, None
        if begun is None:
            return self._there(cases)
        answers = begun.result()
        return answers if self._asked == [case.id for case in cases] else self._there(cases)

    def rest(self) -> Mapping[str, Answer]:
        """The answers if nobody has asked for them."""
        return self._begun.result() if self._begun is not None else {}
