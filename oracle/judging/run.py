"""Owns a run: a suite, its cases and callables that run them elsewhere -> verdict. Rule: it starts nothing
itself.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from oracle.cases.spec import Case
from oracle.judging import causes, shrink, verdict
from oracle.judging.answer import Answer, sound
from oracle.judging.judge import Judge
from oracle.judging.verdict import Built, Verdict

There = Callable[[Sequence[Case]], Mapping[str, Answer]]
"""Runs a batch of cases there and answers by case id.

What it leaves out could not be answered; it raises when the box broke.
"""

# Cases of one run that may take the executor down and still be told apart; more of them make it broken.
LOST_MAX = 5
SHRUNK_MAX = 3  # failures that are shrunk: as many as an agent is shown


@dataclass(frozen=True)
class Ran:
    """A verdict, and the reference answers that were computed for it."""

    verdict: Verdict
    reference: Mapping[str, Answer] = field(default_factory=dict)


@dataclass(frozen=True)
class Shrinking:
    """A clock in seconds, and how long all failures together may take."""

    now: Callable[[], float]
    budget_s: float


class Trials(Protocol):
    """Smaller inputs of one failing case: `pieces` may be left out one by one, at `least` so many of them
    stay.

    `smallest` is the failure of the smallest input found yet.
    """

    pieces: Sequence[Any]
    least: int
    smallest: Mapping[str, Any] | None

    def differ(self, inputs: Sequence[Sequence[Any]]) -> Sequence[bool]:
        """Return for each of the inputs, given in pieces, whether it still fails as the case does."""


TrialsOf = Callable[[Case, Mapping[str, Any], There, There, Judge], Trials | None]
"""The trials of one failing case: case, failure, candidate, reference, judge. None: it stays as it is."""


def differential(
    cases: Sequence[Case],
    *,
    candidate: There,
    reference: There,
    cached: Mapping[str, Answer],
    judge: Judge,
    trials_of: TrialsOf,
    build: Built | None = None,
    shrinking: Shrinking | None = None,
) -> Ran:
    """Return the verdict on the answers of both sides; reference answers that are `cached` are not asked for.

    Held-out cases come last, after the shrinking too: whatever they leave behind, no visible case can find
    it.
    """
    if not cases:
        return Ran(verdict.broken("the suite has no cases", build=build))
    if build is not None and build.exit != 0:
        return Ran(verdict.build_failed(cases, build))
    new = answers_of_reference(cases, reference=reference, cached=cached)
    answers = {**cached, **new}

    def decide(some: Sequence[Case]) -> Verdict:
        return verdict.decide(some, collect(candidate, some), answers, judge=judge, build=build)

    visible = [case for case in cases if not case.hidden]
    hidden = [case for case in cases if case.hidden]
    found = decide(visible or hidden)
    if shrinking is not None:
        by_id = {case.id: case for case in visible}
        found = shrunk(
            found,
            lambda failure: trials_of(by_id[failure["id"]], failure, candidate, reference, judge),
            shrinking,
        )
    if visible and hidden and found.status == verdict.BROKEN:
        found = replace(found, counts=replace(found.counts, cases=len(cases)))
    elif visible and hidden:
        found = verdict.with_held_out(found, decide(hidden))
    return Ran(found, {name: answer for name, answer in new.items() if sound(answer)})


def answers_of_reference(
    cases: Sequence[Case], *, reference: There, cached: Mapping[str, Answer]
) -> Mapping[str, Answer]:
    """Return the reference's answers to the cases without a cached one."""
    unknown = [case for case in cases if case.id not in cached]
    return reference(unknown) if unknown else {}


def collect(there: There, cases: Sequence[Case]) -> dict[str, Answer]:
    """Return every answer to be had: a case that is left without one twice, the second time alone, took its
    executor down.
    """
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


def shrunk(
    decided: Verdict, trials_of: Callable[[Mapping[str, Any]], Trials | None], shrinking: Shrinking
) -> Verdict:
    """Return the verdict with its first failures made smaller; what one leaves of its share of the time, the
    next may use.

    `trials_of` a failure may be None: it stays as it is.
    """
    failures = list(decided.failures)
    end = shrinking.now() + shrinking.budget_s
    todo = [
        (at, trials)
        for at, failure in enumerate(failures[:SHRUNK_MAX])
        if (trials := trials_of(failure)) is not None
    ]
    for number, (at, trials) in enumerate(todo):
        share_s = (end - shrinking.now()) / (len(todo) - number)
        shrink.shrink(trials.pieces, trials.differ, now=shrinking.now, budget_s=share_s, least=trials.least)
        failures[at] = trials.smallest or failures[at]
    return replace(decided, failures=failures)


def kind(failure: Mapping[str, Any]) -> tuple[int | str, str]:
    """Return what a smaller input must keep: the crash and the error. Wrong output becomes other wrong output
    with less to print.
    """
    ours = failure["candidate"]
    how = causes.normal(failure["difference"]) if failure.get("crashed") else min(ours["exit"], 1)
    return how, causes.last_line(ours.get("error", ""))
