"""Owns which answers of a reference are none: it did not run or broke down, and what it printed is no rule.

Rule: an error that the reference was made to tell is an answer. An interpreter's report of its own program
is not, nor is a shell's of a missing one; `reference_exit` of a suite says so for one that reports like that.
"""

import re
from collections.abc import Collection
from dataclasses import replace

from oracle.judging.answer import NOT_RUNNABLE, Answer

# What a shell adds to the number of the signal that ended its program, for those that end one in trouble.
SIGNALLED = frozenset(128 + number for number in (4, 6, 7, 8, 9, 11, 15, 24, 25, 31))
# How interpreters and runtimes begin a line of their report on a program that broke down.
BREAKDOWN = re.compile(
    r"Traceback \(most recent call last\):"
    r"|Node\.js v\d"
    r"|Exception in thread \""
    r"|goroutine \d+ \[running\]:"
    r"|thread '.*' (?:\(\d+\) )?panicked at "
    r"|PHP Fatal error:"
)
# A shell goes on after a program that is not there, and may end with 0.
NOT_THERE = re.compile(
    r"\S*sh: (?:line )?\d+: .*(?:not found|[Pp]ermission denied|No such file or directory)$"
)
WORDS_CHARS_MAX = 200


def doubted(answer: Answer, exits: Collection[int]) -> Answer:
    """Return the reference's answer, which says why it is none if it is none.

    `exits` are the statuses that the suite declares as answers, whatever else the reference says; where there
    are any, no other status is one.
    """
    if answer.crash() is not None or answer.exit in exits:
        return answer
    how = _breakdown(answer) if not exits else f"exit status {answer.exit}, which is not in `reference_exit`"
    return answer if how is None else replace(answer, stopped=how + _quoted(answer))


def _breakdown(answer: Answer) -> str | None:
    """Return how a reference without declared statuses broke down, in words; None if it did not."""
    if answer.exit in NOT_RUNNABLE:
        return f"exit status {answer.exit}, so that it could not be run"
    if answer.exit in SIGNALLED:
        return f"exit status {answer.exit}, so that a signal ended it"
    lines = answer.error.splitlines()
    if any(NOT_THERE.match(line) for line in lines):
        return "a program that it calls is missing"
    if answer.exit != 0 and any(BREAKDOWN.match(line) for line in lines):
        return "it broke down"
    return None


def _quoted(answer: Answer) -> str:
    """Return the last words of the reference as the end of a sentence; "" without any."""
    lines = [line.strip() for line in answer.error.splitlines() if line.strip()]
    return f": {lines[-1][:WORDS_CHARS_MAX]}" if lines else ""
