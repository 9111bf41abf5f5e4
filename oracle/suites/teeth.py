"""Owns the planted wrong engines: each must be caught, or the oracle cannot fail and its passes mean nothing."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from oracle import globs
from oracle.cases.spec import Case, Suite
from oracle.judging import verdict
from oracle.judging.answer import Answer
from oracle.judging.verdict import Verdict
from oracle.suites.command import canary

WRONG_ONE_IN = 50
NOTHING = "true"  # a command that succeeds and does nothing


@dataclass(frozen=True)
class WrongCommand:
    """Runs in the candidate's place, through the whole machinery."""

    name: str
    command: str

    def suite(self, suite: Suite) -> Suite:
        return replace(suite, candidate=self.command, build=None)


@dataclass(frozen=True)
class WrongAnswers:
    """Needs the reference's answers to be wrong in a subtle way; those are never in the candidate's box, so
    it runs nowhere.
    """

    name: str
    answers: Callable[[Sequence[Case], Mapping[str, Answer]], Mapping[str, Answer]]


@dataclass(frozen=True)
class WrongProject:
    """A `command` suite with nothing behind it: its command replaced, no test selected, or its sources
    rewritten.

    `sources` says by the ending of a name what such a source holds then; "" stands for all others.
    """

    name: str
    command: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)

    def suite(self, suite: Suite) -> Suite:
        return replace(suite, command=self.command or suite.command, env={**suite.env, **self.env})

    def written(self, suite: Suite, files: Sequence[str], sources: Sequence[str]) -> dict[str, str]:
        """The files that hold something else then, and what; the endings that `sources` of this engine lacks
        stay.
        """
        by_end = {
            path: self.sources.get("." + path.rpartition(".")[2], self.sources.get(""))
            for path in emptied(suite, files, sources)
        }
        return {path: text for path, text in by_end.items() if text is not None}


def last_answer_repeated(cases: Sequence[Case], reference: Mapping[str, Answer]) -> dict[str, Answer]:
    """Each case gets the answer to the case before it, as a daemon left behind by that one would give it."""
    known = [case for case in cases if case.id in reference]
    before = [Answer("", 0), *(reference[case.id] for case in known)]
    return {case.id: answer for case, answer in zip(known, before, strict=False)}


def one_in_fifty_wrong(cases: Sequence[Case], reference: Mapping[str, Answer]) -> dict[str, Answer]:
    """The reference, off by one in the first case and in every fiftieth after it."""
    known = [case for case in cases if case.id in reference]
    return {
        case.id: off_by_one(reference[case.id]) if at % WRONG_ONE_IN == 0 else reference[case.id]
        for at, case in enumerate(known)
    }


def off_by_one(answer: Answer) -> Answer:
    """The last number is one too large; an answer without a number has a line too many."""
    numbers = list(re.finditer(r"[0-9]+", answer.output))
    if not numbers:
        return replace(answer, output=answer.output + "1\n")
    start, end = numbers[-1].span()
    return replace(
        answer, output=answer.output[:start] + str(int(answer.output[start:end]) + 1) + answer.output[end:]
    )


ENGINES: tuple[WrongCommand | WrongAnswers, ...] = (
    WrongCommand("silent", NOTHING),
    WrongCommand("failing", "false"),  # it is right about everything where the reference itself does not run
    WrongCommand("constant", "echo 1"),
    WrongCommand("echo", "cat"),
    WrongAnswers("last-answer-repeated", last_answer_repeated),
    WrongAnswers("one-in-fifty-wrong", one_in_fifty_wrong),
)


HOLLOW = WrongProject("emptied", sources={"": ""})
NOTHING_RUNS = WrongProject("nothing-runs", NOTHING)
LEAVES_EARLY = WrongProject("leaves-early", sources={".py": "import os\nos._exit(0)\n"})
NOTHING_SELECTED = (
    (
        re.compile(r"\bpytest\b"),
        WrongProject("nothing-selected", env={"PYTEST_ADDOPTS": "-k harness_selects_no_test"}),
    ),
    (re.compile(r"\bgo test\b"), WrongProject("nothing-selected", env={"GOFLAGS": "-run=^$"})),
)


def projects(suite: Suite) -> tuple[WrongProject, ...]:
    """Where only the exit status counts, a command that does nothing cannot be told from one that passes:
    only emptying helps.

    One that leaves early is told from it by canaries alone, so it is planted where there are some.
    """
    planted = [HOLLOW]
    if suite.results is not None or canary.has(suite):
        planted += [
            NOTHING_RUNS,
            *(engine for command, engine in NOTHING_SELECTED if command.search(suite.command or "")),
        ]
    if canary.has(suite) and str(suite.canary).endswith(".py"):
        planted.append(LEAVES_EARLY)
    return tuple(planted)


def emptied(suite: Suite, files: Sequence[str], sources: Sequence[str]) -> list[str]:
    """The files to empty: the modules' own (`sources`, globs), or, where nobody says which those are, all
    that agents may write.
    """
    if sources:
        return [
            path
            for path in files
            if globs.matches_any(tuple(sources), path) and not globs.matches_any(suite.protect, path)
        ]
    return [path for path in files if not globs.matches_any(suite.protect, path)]


def noticed(name: str, decided: Verdict) -> dict[str, object]:
    """One row of the check's report."""
    return {"engine": name, "caught": decided.status != verdict.PASSED, "status": decided.status}


def conclude(suite: Suite, rows: Sequence[Mapping[str, object]], counts: verdict.CaseCounts) -> Verdict:
    """Passed if every planted engine was caught. One that answers cases must be *failed*: broken would mean
    that nothing was judged.
    """
    unjudged = [row["engine"] for row in rows if suite.kind != "command" and row["status"] == verdict.BROKEN]
    missed = [row["engine"] for row in rows if not row["caught"]]
    if unjudged or not rows:
        return Verdict(
            verdict.BROKEN,
            f"not judged: {', '.join(map(str, unjudged)) or 'no engine planted'}",
            counts,
            planted=list(rows),
        )
    if missed:
        return Verdict(
            verdict.FAILED,
            f"the suite does not notice: {', '.join(map(str, missed))}",
            counts,
            planted=list(rows),
        )
    return Verdict(verdict.PASSED, "", counts, planted=list(rows))
