"""Owns what a kind of suite is: one record that answers every question which anybody has about a suite.

Rule: whoever needs to know asks the kind of the suite (`kinds.of`); nobody compares its name. A record that
lacks a part cannot be made: the error names the part.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from oracle.cases.sections import Section
from oracle.cases.spec import Case, Suite
from oracle.judging.answer import Answer
from oracle.judging.judge import Judge
from oracle.judging.run import There, TrialsOf
from oracle.judging.verdict import Built, Verdict
from oracle.suites.discovery import HalfRecord
from oracle.suites.teeth import WrongAnswers, WrongCommand

NO_CANARY = "none"  # canary = "none" says openly that there is none
CANARY_ENGINE = "canary"  # the row of a check that tells whether the suite's canary is seen at all
TAIL_CHARS_MAX = 1_000
CANDIDATE_IMAGE, REFERENCE_IMAGE, COMMAND_IMAGE = "oracle-candidate", "oracle-reference", "oracle-command"


@dataclass(frozen=True)
class SessionRecord:
    """What one process of an engine is asked, in SQL. `counted` asks for the number of rows that the
    statement changed.
    """

    id: str
    sql: str
    counted: bool = False


@dataclass(frozen=True, kw_only=True)
class SessionRules:
    """How the cases of a file are asked of one process (`inside/session.py`), instead of one process a
    case.
    """

    sessions: Callable[[Suite, Sequence[Case]], Sequence[Sequence[SessionRecord]]]
    """The records of each session, in the order in which they are asked."""
    answer: Callable[[Suite, Case, Answer], Answer]
    """The answer to a case, from what the box heard."""


@dataclass(frozen=True, kw_only=True)
class CaseRules:
    """A kind whose cases are files: how those are read, run, judged and made small."""

    sections: Callable[[Suite, str, str], Iterable[Section]]
    """The cases in a file, from its path and its text."""
    together: Callable[[Sequence[Case], Collection[str]], list[str]]
    """The ids of all cases that have to run for the chosen ones to mean something, in their order."""
    answer_inputs: Callable[[Iterable[Case]], dict[str, str]]
    """By case id, all that the answer of a reference depends on beside the reference itself."""
    sessions: SessionRules | None
    """None where each case is asked of a process of its own (`inside/batch.py`)."""
    whole: Callable[[There, Sequence[Case]], There]
    """`There` for some of the cases, given all of them: with those that have to run beside them."""
    judge: Callable[[Suite, There], Judge]
    """What says which answers are right; the second argument runs the suite's comparator, if it has one."""
    expectations: Callable[[Suite, Sequence[Case]], Mapping[str, Answer]]
    """The right answers that the case files themselves hold; empty where a reference has to be asked."""
    trials: Callable[[Suite, Sequence[Case]], TrialsOf]
    """How a failing case is made small, given all cases that ran."""
    engines: Callable[[Suite], Sequence[WrongCommand | WrongAnswers]]
    """The wrong engines that the check plants in the candidate's place."""


@dataclass(frozen=True)
class Canary:
    """A file of two tests that one run adds to the tree, and the names by which they are known."""

    path: str
    text: str
    passes: str
    fails: str


@dataclass(frozen=True)
class AlteredTest:
    """A test of main, and where a copy of its file goes that expects another value; `id` is the copy's."""

    path: str
    scope: str
    name: str
    copy: str
    id: str


@dataclass(frozen=True)
class ResultsFile:
    """A file in which a test command reports: of its `bytes` in all, `content` is what was read."""

    path: str
    content: bytes
    bytes: int


@dataclass(frozen=True)
class CommandResult:
    """How a test command ended; `collected` are its results files, `directory` is where it ran.

    `unplanted`: the canary of this run found no place. `took_s` is the time from its start to its end.
    `altered` is the id of the altered copy of a test that was in its tree, "" if none was.
    """

    exit: int
    output: str = ""
    error: str = ""
    collected: tuple[ResultsFile, ...] = ()
    timed_out: bool = False
    truncated: bool = False
    unplanted: bool = False
    directory: str = ""
    took_s: float = 0
    altered: str = ""

    @property
    def tail(self) -> str:
        """Return the end of what the command printed, for a person to read."""
        return (self.output + self.error)[-TAIL_CHARS_MAX:]


@dataclass(frozen=True)
class PlainRun:
    """A run of a test command without canaries, for its exit status; `ended` is None if its end was not
    seen.
    """

    ended: CommandResult | None


class PlantedFault(Protocol):
    """A fault of the whole project, which its tests have to notice."""

    @property
    def name(self) -> str:
        """Return what reports call it."""

    def suite(self, suite: Suite) -> Suite:
        """Return the suite as it runs with the fault."""

    def written(self, suite: Suite, files: Sequence[str], sources: Sequence[str]) -> dict[str, str]:
        """Return the files that hold something else then, and what."""


class JudgeTests(Protocol):
    """The verdict on a test command."""

    def __call__(
        self,
        suite: Suite,
        ended: CommandResult | None,
        *,
        build: Built | None = None,
        planted: Canary | None = None,
        sabotaged: CommandResult | None = None,
        plain: PlainRun | None = None,
        on_main: Collection[str] = (),
    ) -> Verdict:
        """Return the verdict, from how the command ended; None = it was never seen to end.

        `planted` is the canary that was in the tree of that run. Where the canary runs apart, `ended` is the
        run without it and `sabotaged` the one with it. `plain` is the run without it where the command says
        more than its tests do. `on_main` names the tests that main runs.
        """


@dataclass(frozen=True, kw_only=True)
class ProjectRules:
    """A kind whose suite is a test command of the project's own, which says itself which tests there are."""

    results_file: Callable[[Suite], str | None]
    """The file, or the glob of files, in which the command reports; None where its output is read."""
    hatch: Callable[[Suite, str], Canary | None]
    """The canary of one run, made from a secret; None where the suite has none."""
    canary_apart: Callable[[Suite], bool]
    """True where the canary needs a run of its own, because results name no tests."""
    missing_canary: Callable[[Suite], str | None]
    """A usual path for a canary where the suite needs one and does not say what it does about it."""
    altered: Callable[[Suite, Collection[str], str], Sequence[AlteredTest]]
    """Tests that main runs, drawn by a secret, of which one is to fail in an altered copy."""
    judge: JudgeTests
    says_more: Callable[[Suite, CommandResult | None], bool]
    """True if the command's exit status could say more than its tests, from how a run with canaries ended."""
    is_explained: Callable[[Suite, Mapping[str, str]], bool]
    """True if a run without canaries would fail by these outcomes alone."""
    is_believed: Callable[[Suite, CommandResult | None], bool]
    """False for the end of a run without canaries that only flaky cases may have spoilt."""
    unseen: Callable[[Suite, CommandResult, Canary, CommandResult | None], str]
    """Why the canary cannot do its part on main, from a run without it and a run with it; "" when it can."""
    unproven: Callable[[Suite, CommandResult | None, Built | None, Verdict], str]
    """Why a run on main, without a canary, proves nothing, from its end and its verdict; "" if it does."""
    faults: Callable[[Suite], Sequence[PlantedFault]]
    """What the check plants in the tree."""


@dataclass(frozen=True, kw_only=True)
class SuiteKind:
    """Everything that is particular to one kind of suite. Exactly one of `cases` and `project` is there."""

    name: str
    """What harness.toml calls it."""
    needs: tuple[str, ...]
    """The fields without which no suite of this kind can run."""
    problems: Callable[[Suite], list[str]]
    """What else makes a suite of this kind impossible to run, one sentence each."""
    canary_problems: Callable[[Suite], list[str]]
    """What makes the suite's canary impossible to plant, one sentence each."""
    exposure: Callable[[Suite], str]
    """In how far the code that the suite tests could fool it, for a person to read."""
    steering: tuple[str, ...]
    """Globs of files that steer a run without being tests."""
    judging_commands: Callable[[Suite], tuple[str, ...]]
    """The commands that decide: those that run the tests, or answer for the reference."""
    default_protected: Callable[[Suite], tuple[str, ...]]
    """What agents may not write where the suite does not say what it protects."""
    answer_files: Callable[[Suite], tuple[str, ...]]
    """Globs of files that hold answers: they never enter the candidate's box."""
    protected_from_main: bool
    """True: the candidate's box has the protected files as main holds them. False: it has none of them."""
    candidate_image: str
    reference_image: str | None
    """Kinds of images; None where there is no reference."""
    cases: CaseRules | None = None
    project: ProjectRules | None = None

    def __post_init__(self) -> None:
        """Raise HalfRecord unless the record says how its suites run."""
        if (self.cases is None) == (self.project is None):
            raise HalfRecord(f"the kind {self.name!r} needs either `cases` or `project`: how its suites run")


def no_canary(suite: Suite) -> list[str]:
    """Return the canary problems of a suite whose answers are compared outside the box."""
    if suite.canary in (None, NO_CANARY):
        return ["canary_text is given without canary"] if suite.canary_text else []
    return [f"canary is for command suites; in a {suite.kind} suite forged answers gain nothing"]


def compared_elsewhere(_: Suite) -> str:
    """Return the exposure of a suite whose answers are compared outside the box."""
    return "answers are compared elsewhere, so code under test gains nothing by forging any"


def trusted_commands(suite: Suite) -> tuple[str, ...]:
    """Return the commands that run beside main's own files: the candidate's are the agents' to write."""
    return tuple(command for command in (suite.reference, suite.comparator) if command)


def case_files_of(suite: Suite) -> tuple[str, ...]:
    """Return the globs of the case files: whoever may write those may write the verdict."""
    return suite.cases
