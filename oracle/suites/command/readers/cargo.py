"""Reads what `cargo test` prints: the lines of libtest, of as many test programs as there are, doc tests
among them.

Rule: a program that announces its tests must end with a summary that agrees with the lines before it: one
that leaves by `exit(0)` in the middle of its tests has succeeded as far as cargo knows.
"""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from oracle.judging.contradictions import ContradictionKind
from oracle.suites.base import CommandResult
from oracle.suites.command.readers.base import (
    Reader,
    TestReport,
    Tool,
    numbered,
    without_escapes,
)

STARTS = re.compile(r"^running (\d+) tests?$")
TEST = re.compile(r"^test (.+?) \.\.\. (ok|FAILED|failed|ignored|bench:)(?:, (.*)|[ ,<(].*)?$")
SUMMARY = re.compile(
    r"^test result: (ok|FAILED)\. (\d+) passed; (\d+) failed; (\d+) ignored; (\d+) measured; \d+ filtered out"
)
# On stderr, unless the command has 2>&1.
TARGET = re.compile(r"^ +(?:Running .*\((?:.*/)?(\S+?)(?:-[0-9a-f]{16})?\)|Doc-tests (\S+))$")
REPORT = ("failures:", "successes:")  # after these come the tests' own words, up to the summary
# A line number would make another test of it at each change; it only says which of several comes first.
OF_ITS_KIND = re.compile(r" \(line (\d+)\).*$| - should panic$")
NOT_COMPILED = re.compile(r"^error: could not compile ", re.MULTILINE)


@dataclass(frozen=True)
class _Test:
    """A test by its name, and what tells it from others of that name: its program, and its line in a file."""

    name: str
    program: int
    line: int
    status: str
    message: str


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

    def __init__(self, output: str, targets: Sequence[str]) -> None:
        self.report = TestReport()
        self.counted = 0  # tests that summaries count, named or not
        self._output = output
        self._program: _Program | None = None
        self._prefix = ""
        self._targets = iter(targets)
        self._tests: list[_Test] = []
        self._programs = 0

    def take(self, line: str) -> None:
        """Take in one line of the output."""
        if summary := SUMMARY.match(line):
            self._end_program(line, summary)
        elif self._program and (self._program.reporting or line in REPORT):
            self._program.reporting = True
        elif starts := STARTS.match(line):
            self.end()
            self._program = _Program(int(starts[1]))
            self._programs += 1
            self._prefix = next(self._targets, self._prefix)
        elif target := TARGET.match(line):
            self._prefix = _prefix(target)
        elif self._program and (test := TEST.match(line)):
            self._take_test(self._program, *test.groups())

    def enter(self) -> None:
        """Enter the tests into the report, those of one name numbered by program and line."""
        in_order = sorted(self._tests, key=lambda test: (test.name, test.program, test.line))
        for name, tests in itertools.groupby(in_order, key=lambda test: test.name):
            for number, test in enumerate(tests, 1):
                if test.status == "ignored":
                    self.report.skip(numbered(name, number), test.message)
                elif test.status in ("ok", "FAILED"):
                    passed = test.status == "ok"
                    self.report.add(numbered(name, number), passed=passed, message=test.message)

    def end(self) -> None:
        """Fail the command if a program is still under way: its summary is missing."""
        if self._program:
            words = "a test program ended in the middle of its tests"
            self.report.contradicts(ContradictionKind.UNFINISHED, words)

    def _end_program(self, line: str, summary: re.Match[str]) -> None:
        self.counted += int(summary[2]) + int(summary[3])
        wrong = self._program.wrong(summary) if self._program else f"a summary without tests: {line}"
        if wrong:
            self.report.contradicts(ContradictionKind.COUNTS, wrong)
        self._program = None

    def _take_test(self, program: _Program, name: str, outcome: str, why: str | None) -> None:
        status = "FAILED" if outcome == "failed" else outcome
        program.seen[status] += 1
        message = _report(self._output, name) if status == "FAILED" else why or ""
        line = OF_ITS_KIND.search(name)
        self._tests.append(
            _Test(
                self._prefix + OF_ITS_KIND.sub("", name),
                self._programs,
                int(line[1]) if line and line[1] else 0,
                status,
                message,
            )
        )


def read(ended: CommandResult) -> TestReport:
    """Return the tests of all programs that the output tells of."""
    output = without_escapes(ended.output)
    lines = output.splitlines()
    reading = _Reading(output, _targets(lines, without_escapes(ended.error)))
    for line in lines:
        reading.take(line)
    reading.end()
    reading.enter()
    report = reading.report
    if reading.counted and not report.outcomes:
        return TestReport(
            problem="the output counts tests and names none; take -q and --format out of the command"
        )
    if report.says_nothing and ended.exit != 0:
        if not NOT_COMPILED.search(ended.error + ended.output):
            return TestReport(problem=f"the output has no summary of cargo test (exit status {ended.exit})")
        report.contradicts(ContradictionKind.COMPILE, f"it does not compile\n{ended.tail}")
    return report


def _prefix(target: re.Match[str]) -> str:
    return f"{target[1] or target[2]}::"


def _targets(lines: Sequence[str], error: str) -> list[str]:
    """Return the prefix of each program's tests, in their order, from what cargo says on stderr.

    There are none where the output itself has these lines, or where stderr has more or fewer than there are
    programs.
    """
    programs = sum(1 for line in lines if STARTS.match(line))
    if any(TARGET.match(line) for line in lines):
        return []
    prefixes = [_prefix(target) for line in error.splitlines() if (target := TARGET.match(line))]
    return prefixes if len(prefixes) == programs else []


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
