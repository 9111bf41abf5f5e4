"""Owns what a project's own test command told of its tests, and what a reader of one form of results is."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from oracle.judging.contradictions import WORDS_CHARS_MAX, Contradiction, ContradictionKind
from oracle.judging.verdict import FAIL, PASS, SKIP
from oracle.suites.base import CommandResult, ResultsFile

COMMAND = "command"  # the case that stands for the command itself
# Ends the name of what stands for tests that could not be told apart: a package, a file.
AS_A_WHOLE = " (as a whole)"
WHOLE = COMMAND + AS_A_WHOLE  # the case that stands for the exit status of a command that names its tests
MESSAGE_CHARS_MAX = 2_000
NAMED_MAX = 3

# What colours and links do to a terminal: CSI and OSC sequences, and other escapes of two characters.
ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])")
NUMBERED = re.compile(r"(.*) \((\d+)\)", re.DOTALL)


def without_escapes(text: str) -> str:
    """Return the text without what would colour it on a terminal."""
    return ESCAPES.sub("", text)


def some(names: Sequence[str]) -> str:
    """Return the first names and how many more there are."""
    more = len(names) - NAMED_MAX
    return ", ".join(names[:NAMED_MAX]) + (f" and {more} more" if more > 0 else "")


def numbered(name: str, number: int) -> str:
    """Return the name of the `number`-th test, from 1 on, of those that their tool gives one name."""
    return name if number == 1 else f"{name} ({number})"


def homonyms(names: Iterable[str]) -> Counter[str]:
    """Return how many tests have each name, numbers left aside."""
    present = set(names)
    counts: Counter[str] = Counter()
    for name in present:
        number = NUMBERED.fullmatch(name)
        counts[number[1] if number and number[1] in present else name] += 1
    return counts


@dataclass
class TestReport:
    """Outcomes by test, with the messages of the failed and why others were skipped.

    `problem` says why there is nothing to judge. `remarks` are sentences about tests that passed, and yet
    deserve a look. `unnamed_skips` are lines about skipped tests that the tool does not name.
    `contradictions` are what the run says against itself.
    """

    outcomes: dict[str, str] = field(default_factory=dict)
    messages: dict[str, str] = field(default_factory=dict)
    problem: str = ""
    contradictions: list[Contradiction] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    unnamed_skips: list[str] = field(default_factory=list)
    _homonyms: Counter[str] = field(default_factory=Counter, repr=False)

    def add(self, name: str, *, passed: bool, message: str = "") -> None:
        """Take in the outcome of a test; a name that comes twice passes only if it passes both times."""
        if passed:
            self.outcomes.setdefault(name, PASS)
            return
        if self.outcomes.get(name) != FAIL:
            self.messages[name] = message[:MESSAGE_CHARS_MAX]
        self.outcomes[name] = FAIL

    def skip(self, name: str, reason: str = "") -> None:
        """Take in a test that did not run, or failed as expected; a failure of that name stays one."""
        if self.outcomes.get(name) != FAIL:
            self.outcomes[name] = SKIP
            if reason.strip():
                self.messages[name] = reason.strip()[:MESSAGE_CHARS_MAX]

    def add_next(self, name: str, *, passed: bool, message: str = "") -> str:
        """Take in one more test, and return its name: those whose tool gives them the same one are numbered
        in their order.
        """
        own_name = self._next(name)
        self.add(own_name, passed=passed, message=message)
        return own_name

    def skip_next(self, name: str, reason: str = "") -> str:
        """Take in one more test that did not run, numbered as the others of its name; return its name."""
        own_name = self._next(name)
        self.skip(own_name, reason)
        return own_name

    def ran(self) -> list[str]:
        """Return the names of the tests that ran."""
        return [name for name, outcome in self.outcomes.items() if outcome != SKIP]

    def _next(self, name: str) -> str:
        self._homonyms[name] += 1
        return numbered(name, self._homonyms[name])

    def contradicts(self, kind: ContradictionKind, words: str) -> None:
        """Take in something that the run says against itself; each kind once, the first words of it."""
        if all(contradiction.kind is not kind for contradiction in self.contradictions):
            self.contradictions.append(Contradiction(kind, words[:WORDS_CHARS_MAX]))

    @property
    def says_nothing(self) -> bool:
        """Return True if there is neither an outcome nor a contradiction."""
        return not self.outcomes and not self.contradictions


def too_large(file: ResultsFile, collected: Sequence[ResultsFile]) -> str:
    """Return what is wrong with a results file of which only a part was read, and what to do about it."""
    most = sum(len(one.content) for one in collected)
    return (
        f"{file.path} has {file.bytes} bytes, and all results files together may have {most}: let the tool "
        "leave out what tests print (pytest: -o junit_logging=no)"
    )


def last_line(ended: CommandResult) -> str:
    """Return the last line of what the command printed, as the end of a sentence; "" where there is none."""
    last = ended.tail.strip().splitlines()[-1:]
    return f": {last[0].strip()}" if last else ""


@dataclass(frozen=True, kw_only=True)
class Tool:
    """A test runner that a command may call."""

    named_in: re.Pattern[str]
    """Found in the results and the command of a suite whose tests this tool runs."""
    called_as: re.Pattern[str]
    """Found in a command that calls this tool itself."""
    selects_nothing: Mapping[str, str] | None
    """Environment with which it selects no test; None where there is no such variable."""
    canary_path: str
    """Where it is likely to find a canary, with "{name}" in it."""
    canary_text: str
    """A test "{passes}" that passes and a test "{fails}" that fails."""


@dataclass(frozen=True, kw_only=True)
class Reader:
    """One form of results: how it is read, and what it is worth."""

    name: str | None
    """What a suite's `results` calls it; None: the exit status, where a suite names no results."""
    read: Callable[[CommandResult], TestReport]
    is_file: bool
    """True for what is read from a file, which `results` then names instead of the form."""
    ending: str = ""
    """How the names of such files end; "" for all that no other form has."""
    names_tests: bool
    """False where the command as a whole is all that passes or fails."""
    is_forgeable: bool
    """True where the results are written by a process that tested code runs in, so that a canary is due."""
    naming_hint: str
    """What a command may lack whose output names no test that passes; a question, or ""."""
    tool: Tool | None
    """The tool that writes this form; None where many do."""
