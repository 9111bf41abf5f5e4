"""Owns what a project's own test command told of its tests, and what a reader of one form of results is."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from oracle.suites.base import CommandResult

COMMAND = "command"  # the case that stands for the command itself
# Ends the name of what stands for tests that could not be told apart: a package, a file.
AS_A_WHOLE = " (as a whole)"
MESSAGE_CHARS_MAX = 2_000


# What colours and links do to a terminal: CSI and OSC sequences, and other escapes of two characters.
ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])")
NUMBERED = re.compile(r"(.*) \((\d+)\)", re.DOTALL)


def without_escapes(text: str) -> str:
    """Return the text without what would colour it on a terminal."""
    return ESCAPES.sub("", text)


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
    """Outcomes by test and the messages of the failed; `problem` says why there is nothing to judge."""

    outcomes: dict[str, str] = field(default_factory=dict)
    messages: dict[str, str] = field(default_factory=dict)
    problem: str = ""
    _homonyms: Counter[str] = field(default_factory=Counter, repr=False)

    def add(self, name: str, *, passed: bool, message: str = "") -> None:
        """Take in the outcome of a test; a name that comes twice passes only if it passes both times."""
        if passed:
            self.outcomes.setdefault(name, "pass")
            return
        self.outcomes[name] = "fail"
        self.messages.setdefault(name, message[:MESSAGE_CHARS_MAX])

    def add_next(self, name: str, *, passed: bool, message: str = "") -> None:
        """Take in one more test; those whose tool gives them the same name are numbered in their order."""
        self._homonyms[name] += 1
        self.add(numbered(name, self._homonyms[name]), passed=passed, message=message)

    def contradicts(self, message: str) -> None:
        """Fail the command as a whole: what it says does not agree with itself."""
        self.add(COMMAND, passed=False, message=message)


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
    names_tests: bool
    """False where the command as a whole is all that passes or fails."""
    is_forgeable: bool
    """True where the results are written by a process that tested code runs in, so that a canary is due."""
    naming_hint: str
    """What a command may lack whose output names no test that passes; a question, or ""."""
    tool: Tool | None
    """The tool that writes this form; None where many do."""
