"""Owns how a verb ends otherwise than well: one line for a person, and the exit status."""

from enum import IntEnum


class Exit(IntEnum):
    DONE = 0
    FAILED = 1  # expected: a refusal, an oracle that cannot fail, tasks left over
    USAGE = 2  # the command line or the configuration
    INFRASTRUCTURE = 3  # engine, server, disk
    INTERRUPTED = 130


class VerbFailed(Exception):
    """The verb cannot do what was asked; `str` is the one line that the person reads."""

    def __init__(self, message: str, exit: Exit = Exit.FAILED) -> None:
        super().__init__(message)
        self.exit = exit


class Interrupted(Exception):
    """The person or the system asked the process to end (SIGINT, SIGTERM)."""
