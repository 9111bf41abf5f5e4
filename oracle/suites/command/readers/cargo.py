"""Reads what `cargo test` prints: the lines of libtest, of as many test programs as there are, doc tests
among them.

Rule: a program that announces its tests must end with a summary that agrees with the lines before it: one
that leaves by `exit(0)` in the middle of its tests has succeeded as far as cargo knows.
"""

import re
from dataclasses import dataclass, field

from oracle.suites.base import CommandResult
from oracle.suites.command.readers.base import COMMAND, Reader, TestReport, Tool

STARTS = re.compile(r"^running (\d+) tests?$")
TEST = re.compile(r"^test (.+?) \.\.\. (ok|FAILED|failed|ignored|bench:)(?:[ ,<(].*)?$")
SUMMARY = re.compile(
    r"^test result: (ok|FAILED)\. (\d+) passed; (\d+) failed; (\d+) ignored; (\d+) measured; \d+ filtered out"
)
# On stderr, unless the command has 2>&1.
TARGET = re.compile(r"^ +(?:Running .*\((?:.*/)?(\S+?)(?:-[0-9a-f]{16})?\)|Doc-tests (\S+))$")
REPORT = ("failures:", "successes:")  # after these come the tests' own words, up to the summary
# A line number would make another test of it at each change.
OF_ITS_KIND = re.compile(r" \(line \d+\).*$| - should panic$")
NOT_COMPILED = re.compile(r"^error: could not compile ", re.MULTILINE)


@dataclass
class _Program:
    """One test program under way."""

    announced: int
    seen: dict[str, int] = field(default_factory=lambda: {"ok": 0, "FAILED": 0, "ignored": 0, "bench:": 0})
    reporting: bool = False

    def wrong(self, summary: re.Match[str]) -> str | None:
        """Return what of the summary does not agree with the tests above it, or None."""
        passed, failed, ignored, measured = (int(number) for number in summary.groups()[1:])
        if (passed, failed, ignored, measured) != tuple(self.seen.values()):
            return f"the summary does not agree with the tests above it: {summary[0]}"
        if passed + failed + ignored + measured != self.announced:
            return f"{self.announced} tests were announced: {summary[0]}"
        if (summary[1] == "ok") != (failed == 0):
            return f"the summary contradicts itself: {summary[0]}"
        return None


class _Reading:
    """The output under way, line by line."""

    def __init__(self, output: str) -> None:
        self.report = TestReport()
        self.counted = 0  # tests that summaries count, named or not
        self._output = output
        self._program: _Program | None = None
        self._prefix = ""

    def take(self, line: str) -> None:
        """Take in one line of the output."""
        if summary := SUMMARY.match(line):
            self._end_program(line, summary)
        elif self._program and (self._program.reporting or line in REPORT):
            self._program.reporting = True
        elif starts := STARTS.match(line):
            self.end()
            self._program = _Program(int(starts[1]))
        elif target := TARGET.match(line):
            self._prefix = f"{target[1] or target[2]}::"
        elif self._program and (test := TEST.match(line)):
            self._take_test(self._program, *test.groups())

    def end(self) -> None:
        """Fail the command if a program is still under way: its summary is missing."""
        if self._program:
            self.report.contradicts("a test program ended in the middle of its tests")

    def _end_program(self, line: str, summary: re.Match[str]) -> None:
        self.counted += int(summary[2]) + int(summary[3])
        wrong = self._program.wrong(summary) if self._program else f"a summary without tests: {line}"
        if wrong:
            self.report.contradicts(wrong)
        self._program = None

    def _take_test(self, program: _Program, name: str, outcome: str) -> None:
        status = "FAILED" if outcome == "failed" else outcome
        program.seen[status] += 1
        if status not in ("ok", "FAILED"):
            return
        message = "" if status == "ok" else _report(self._output, name)
        self.report.add(self._prefix + OF_ITS_KIND.sub("", name), passed=status == "ok", message=message)


def read(ended: CommandResult) -> TestReport:
    """Return the tests of all programs that the output tells of."""
    reading = _Reading(ended.output)
    for line in ended.output.splitlines():
        reading.take(line)
    reading.end()
    report = reading.report
    if reading.counted and not set(report.outcomes) - {COMMAND}:
        return TestReport(
            problem="the output counts tests and names none; take -q and --format out of the command"
        )
    if not report.outcomes and ended.exit != 0:
        if not NOT_COMPILED.search(ended.error + ended.output):
            return TestReport(problem=f"the output has no summary of cargo test (exit status {ended.exit})")
        report.contradicts(f"it does not compile\n{ended.tail}")
    return report


def _report(output: str, name: str) -> str:
    """Return what the test itself had printed, from its part of the report."""
    _, _, rest = output.partition(f"\n---- {name} stdout ----\n")
    return rest.partition("\n----")[0].partition("\nfailures:")[0].strip()


CANARY = """\
#[test]
fn test_{passes}() {
    assert_eq!("{passes}".to_uppercase().to_lowercase(), "{passes}");
}

#[test]
fn test_{fails}() {
    assert_eq!("{fails}".to_uppercase().to_lowercase(), "{passes}");
}
"""

READER = Reader(
    name="cargo",
    read=read,
    is_file=False,
    names_tests=True,
    is_forgeable=True,
    naming_hint="does it do without -q, so that cargo names its tests?",
    tool=Tool(
        named_in=re.compile(r"cargo"),
        called_as=re.compile(r"\bcargo test\b"),
        selects_nothing=None,
        canary_path="tests/canary_{name}.rs",
        canary_text=CANARY,
    ),
)
