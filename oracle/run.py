"""Owns a run: a suite, its cases and callables that run them elsewhere -> verdict. Rule: it starts nothing itself."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from oracle import cases as case_files
from oracle import command, shrink, verdict
from oracle.answer import Answer, sound
from oracle.judge import Judge
from oracle.spec import Case, Suite
from oracle.verdict import Built, Verdict

There = Callable[[Sequence[Case]], Mapping[str, Answer]]
"""Runs a batch of cases there and answers by case id. What it leaves out could not be answered; it raises when the box broke."""

LOST_MAX = 5  # cases of one run that may take the executor down and still be told apart; more of them make it broken
SHRUNK_MAX = 3  # failures that are shrunk: as many as an agent is shown


@dataclass(frozen=True)
class Ran:
    """A verdict, and the reference answers that were computed for it."""

    verdict: Verdict
    reference: Mapping[str, Answer] = field(default_factory=dict)


def differential(
    cases: Sequence[Case],
    *,
    candidate: There,
    reference: There,
    known: Mapping[str, Answer],
    judge: Judge,
    build: Built | None = None,
) -> Ran:
    """Answers of both sides, compared. Only the reference answers that are not `known` are computed."""
    if not cases:
        return Ran(verdict.broken("the suite has no cases", build=build))
    if build is not None and build.exit != 0:
        return Ran(verdict.build_failed(cases, build))
    new = answers_of_reference(cases, reference=reference, known=known)
    answers = {**known, **new}
    decided = verdict.decide(cases, collect(candidate, cases), answers, judge=judge, build=build)
    return Ran(decided, {name: answer for name, answer in new.items() if sound(answer)})


def answers_of_reference(cases: Sequence[Case], *, reference: There, known: Mapping[str, Answer]) -> Mapping[str, Answer]:
    unknown = [case for case in cases if case.id not in known]
    return reference(unknown) if unknown else {}


def collect(there: There, cases: Sequence[Case]) -> dict[str, Answer]:
    """Every answer to be had: a case that is left without one twice, the second time alone, took its executor down."""
    answers = dict(there(cases))
    for _ in range(LOST_MAX):
        missing = [case for case in cases if case.id not in answers]
        if not missing:
            break
        first, rest = missing[0], missing[1:]
        answers[first.id] = there([first]).get(first.id) or Answer("", -9, lost=True)
        if rest:
            answers |= there(rest)
    return answers


def project(suite: Suite, ended: command.Ended | None, *, build: Built | None = None) -> Verdict:
    """The verdict on a `command` suite, from how its command ended; None = it was never seen to end."""
    if build is not None and build.exit != 0:
        return verdict.build_failed([Case(command.COMMAND, "", "", 0)], build)
    if ended is None:
        return verdict.broken("the command took down the process that ran it", build=build)
    told = command.read(suite.results, ended)
    if told.problem:
        return verdict.broken(told.problem, build=build)
    return verdict.told(told.outcomes, told.messages, exit=ended.exit, build=build)


def shrunk(
    cases: Sequence[Case],
    decided: Verdict,
    *,
    candidate: There,
    reference: There,
    judge: Judge,
    now: Callable[[], float],
    budget_s: float,
) -> Verdict:
    """The same verdict with its first failures made smaller; `budget_s` is for all of them together."""
    by_id = {case.id: case for case in cases}
    failures = [dict(failure) for failure in decided.failures]
    shown = failures[:SHRUNK_MAX]
    for failure in shown:
        case = by_id[failure["id"]]
        trial = Trial(case, candidate, reference, judge)
        pieces = case_files.format_of(case.file).pieces(case.input)
        shrink.shrink(pieces, trial.differ, now=now, budget_s=budget_s / len(shown))
        if trial.smallest is not None:
            failure.update(trial.smallest, id=case.id, shrunk_from=len(case.input))
    return replace(decided, failures=failures)


class Trial:
    """Runs smaller inputs of one failing case through both sides, and keeps the smallest that still differs."""

    def __init__(self, case: Case, candidate: There, reference: There, judge: Judge) -> None:
        self._case = case
        self._candidate = candidate
        self._reference = reference
        self._judge = judge
        self.smallest: Mapping | None = None

    def differ(self, inputs: Sequence[str]) -> list[bool]:
        cases = [Case(f"{self._case.id}~{number}", text, "", 0) for number, text in enumerate(inputs)]
        theirs, ours = self._reference(cases), self._candidate(cases)
        return [self._differs(case, ours.get(case.id), theirs.get(case.id)) for case in cases]

    def _differs(self, case: Case, ours: Answer | None, theirs: Answer | None) -> bool:
        """An input without a sound answer of the reference proves nothing."""
        if ours is None or theirs is None or not sound(theirs):
            return False
        decided = verdict.decide([case], {case.id: ours}, {case.id: theirs}, judge=self._judge)
        if decided.status != verdict.FAILED:
            return False
        if self.smallest is None or len(case.input) < len(self.smallest["input"]):
            self.smallest = decided.failures[0]
        return True
