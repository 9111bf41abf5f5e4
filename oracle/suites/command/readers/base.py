"""Owns how a project's own test command ended, and what it told of its tests."""

from dataclasses import dataclass, field

COMMAND = "command"  # the case that stands for the command itself
AS_A_WHOLE = (
    " (as a whole)"  # ends the name of what stands for tests that could not be told apart: a package, a file
)
MESSAGE_CHARS_MAX = 2_000


@dataclass(frozen=True)
class CommandResult:
    """How the command ended; `collected` is the results file, None where there is none. `unplanted`: its
    canary found no place.
    """

    exit: int
    output: str = ""
    error: str = ""
    collected: str | None = None
    timed_out: bool = False
    truncated: bool = False
    unplanted: bool = False

    @property
    def tail(self) -> str:
        """The end of what it said, for a person to read."""
        return (self.output + self.error)[-MESSAGE_CHARS_MAX // 2 :]


@dataclass
class TestReport:
    """Outcomes by test and the messages of the failed; `problem` says why there is nothing to judge."""

    outcomes: dict[str, str] = field(default_factory=dict)
    messages: dict[str, str] = field(default_factory=dict)
    problem: str = ""

    def add(self, name: str, *, passed: bool, message: str = "") -> None:
        """A name that comes twice passes only if it passes both times."""
        if passed:
            self.outcomes.setdefault(name, "pass")
            return
        self.outcomes[name] = "fail"
        self.messages.setdefault(name, message[:MESSAGE_CHARS_MAX])

    def contradicts(self, message: str) -> None:
        """What the command says does not agree with itself, so the command as a whole failed."""
        self.add(COMMAND, passed=False, message=message)
