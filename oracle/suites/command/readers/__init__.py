"""Owns what a project's own test command said, in whichever form: outcomes by test. One module for each form.

Rule: what was skipped did not run, what a run says against itself is told apart from its tests, and where
nothing ran there is nothing to judge. A new form is one new module here with a READER.
"""

from collections.abc import Iterator, Sequence

from oracle.judging.contradictions import ContradictionKind
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

# How a shell tells that a signal ended its command: the number of the signal, after so many.
SIGNALLED, SIGNALS_MAX = 128, 64

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
    if not report.ran() and not report.contradictions:
        report.problem = _nothing_ran(report)
        return report
    for kind, words in _contradictions(report, ended):
        report.contradicts(kind, words)
    if not report.ran():  # the command stands for the tests that nobody has seen
        report.add(COMMAND, passed=False, message=report.contradictions[0].words)
    return report


def _nothing_ran(report: TestReport) -> str:
    if not report.outcomes:
        return "no test ran"
    reason = next((f": {words.splitlines()[0]}" for words in report.messages.values() if words), "")
    return f"no test ran, and {len(report.outcomes)} were skipped{reason}"


def _contradictions(report: TestReport, ended: CommandResult) -> Iterator[tuple[ContradictionKind, str]]:
    """Yield what of the command's end does not agree with its tests."""
    has_failure = FAIL in report.outcomes.values()
    signal = -ended.exit if ended.exit < 0 else ended.exit - SIGNALLED
    if ended.timed_out:
        yield ContradictionKind.TIME, "no end within the time of the run"
    elif ended.truncated:
        yield ContradictionKind.OUTPUT, "more output than allowed"
    elif 0 < signal <= SIGNALS_MAX:
        yield ContradictionKind.SIGNAL, f"killed by signal {signal}\n{ended.tail}"
    elif ended.exit != 0 and not has_failure:
        words = f"exit status {ended.exit} though no test failed\n{ended.tail}"
        yield ContradictionKind.EXIT, words
    elif ended.exit == 0 and has_failure:
        yield ContradictionKind.SUCCESS, "exit status 0 though a test failed"
