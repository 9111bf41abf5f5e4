"""Owns what one command did with one case."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

NOT_RUNNABLE = (126, 127)  # the shell's exit status for "cannot execute" and "not found"


@dataclass(frozen=True)
class Answer:
    """`late`: the run's time was up before its turn; `lost`: it took its executor down; `stopped`: why a
    session has no answer.
    """

    output: str
    exit: int
    error: str = ""
    timed_out: bool = False
    truncated: bool = False
    late: bool = False
    lost: bool = False
    stopped: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return what a reference's answer is remembered by."""
        return {"output": self.output, "exit": self.exit}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Return the answer that `to_json` wrote."""
        return cls(str(value["output"]), int(value["exit"]))

    def crash(self) -> str | None:
        """Return how the command failed to answer at all, in words, or None."""
        if self.lost:
            return "it ended the process that runs the cases"
        if self.late:
            return "not run: the time of the whole run was used up"
        if self.stopped:
            return self.stopped
        if self.timed_out:
            return "no end within the time of a case"
        if self.truncated:
            return "more output than allowed"
        if self.exit < 0:
            return f"killed by signal {-self.exit}"
        return None


def sound(answer: Answer) -> bool:
    """Return True if an answer of the reference can be compared with at all."""
    return answer.crash() is None and answer.exit not in NOT_RUNNABLE
