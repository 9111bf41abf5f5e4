"""Reads nothing but the exit status: one case stands for all tests of the command."""

from oracle.suites.base import CommandResult
from oracle.suites.command.readers.base import COMMAND, Reader, TestReport


def read(ended: CommandResult) -> TestReport:
    """Return the outcome of the command itself."""
    report = TestReport()
    passed = ended.exit == 0 and not ended.timed_out and not ended.truncated
    report.add(COMMAND, passed=passed, message=f"exit status {ended.exit}\n{ended.tail}")
    return report


READER = Reader(
    name=None,
    read=read,
    is_file=False,
    names_tests=False,
    is_forgeable=False,
    naming_hint="",
    tool=None,
)
