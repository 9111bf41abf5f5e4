"""Owns what a project's own test command said, in whichever form: outcomes by test. One module for each form.

Rule: what was skipped did not run, what contradicts itself is a failure, and where nothing ran there is
nothing to judge. A new form is one new module here with a READER.
"""

from collections.abc import Sequence

from oracle.judging.verdict import FAIL
from oracle.suites import discovery
from oracle.suites.base import CommandResult
from oracle.suites.command.readers.base import (
    AS_A_WHOLE,
    COMMAND,
    WHOLE,
    Reader,
    TestReport,
    Tool,
    homonyms,
    numbered,
    some,
)

__all__ = [
    "COMMAND",
    "READERS",
    "TOOLS",
    "WHOLE",
    "TestReport",
    "homonyms",
    "is_test",
    "numbered",
    "of",
    "read",
    "results_file",
    "some",
]

READERS: Sequence[Reader] = discovery.records(__path__, __name__, named="READER", of=Reader, beside=("base",))
TOOLS: Sequence[Tool] = [reader.tool for reader in READERS if reader.tool]

_BY_NAME = {reader.name: reader for reader in READERS if not reader.is_file}
_OF_FILES = sorted((reader for reader in READERS if reader.is_file), key=lambda reader: -len(reader.ending))


def of(results: str | None) -> Reader:
    """Return the reader of what a suite calls its `results`: a form by its name, or a file by its ending."""
    if results in _BY_NAME:
        return _BY_NAME[results]
    return next(reader for reader in _OF_FILES if (results or "").endswith(reader.ending))


def results_file(results: str | None) -> str | None:
    """Return the path or glob that a suite's `results` names; None where the output itself is read."""
    return results if of(results).is_file else None


def is_test(name: str) -> bool:
    """Return True if the name is a test's own: what stands for several is gone once they run again."""
    return name != COMMAND and not name.endswith(AS_A_WHOLE)


def read(results: str | None, ended: CommandResult) -> TestReport:
    """Return what the command said, in the form that the suite names."""
    report = of(results).read(ended)
    if report.problem:
        return report
    if not report.ran():
        report.problem = _nothing_ran(report)
    elif contradiction := _contradiction(report, ended):
        report.contradicts(contradiction)
    return report


def _nothing_ran(report: TestReport) -> str:
    if not report.outcomes:
        return "no test ran"
    reason = next((f": {words.splitlines()[0]}" for words in report.messages.values() if words), "")
    return f"no test ran, and {len(report.outcomes)} were skipped{reason}"


def _contradiction(report: TestReport, ended: CommandResult) -> str:
    """Return what of the command's end does not agree with its tests; "" if all of it does."""
    if ended.timed_out:
        return "no end within the time of the run"
    if ended.truncated:
        return "more output than allowed"
    if ended.exit < 0:
        return f"killed by signal {-ended.exit}\n{ended.tail}"
    if ended.exit != 0 and FAIL not in report.outcomes.values():
        return f"exit status {ended.exit} though no test failed\n{ended.tail}"
    return ""
