"""Owns what a command suite's settings mean before anything runs."""

from oracle.cases.spec import Suite
from oracle.suites.command import readers, steering


def problems(_: Suite) -> list[str]:
    """Return nothing: a command is all that a command suite needs."""
    return []


def default_protected(_: Suite) -> tuple[str, ...]:
    """Return what steers a test run: whoever may write that may have any result."""
    return steering.PROTECTED


def judging_commands(suite: Suite) -> tuple[str, ...]:
    """Return what builds the project and runs its tests."""
    return tuple(command for command in (suite.build, suite.command) if command)


def answer_files(_: Suite) -> tuple[str, ...]:
    """Return nothing: the tests of a project have their answers beside the code that they test."""
    return ()


def results_file(suite: Suite) -> str | None:
    """Return the path or glob of the files in which the command reports; None where its output is read."""
    return readers.results_file(suite.results)
