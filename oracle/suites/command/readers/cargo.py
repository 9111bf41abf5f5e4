"""Reads what `cargo test` prints: the lines of libtest, of as many test programs as there are, doc tests
among them.

Rule: a program that announces its tests must end with a summary that agrees with the lines before it: one
that leaves by `exit(0)` in the middle of its tests has succeeded as far as cargo knows.
"""

import re
from dataclasses import dataclass, field

from oracle.suites.command.readers.base import COMMAND, CommandResult, TestReport

STARTS = re.compile(r"^running (\d+) tests?$")
TEST = re.compile(r"^test (.+?) \.\.\. (ok|FAILED|failed|ignored|bench:)(?:[ ,<(].*)?$")
SUMMARY = re.compile(
    r"^test result: (ok|FAILED)\. (\d+) passed; (\d+) failed; (\d+) ignored; (\d+) measured; \d+ filtered out"
)
TARGET = re.compile(
    r"^ +(?:Running .*\((?:.*/)?(\S+?)(?:-[0-9a-f]{16})?\)|Doc-tests (\S+))$"
)  # on stderr, unless 2>&1
REPORT = ("failures:", "successes:")  # after these come the tests' own words, up to the summary
OF_ITS_KIND = re.compile(
    r" \(line \d+\).*$| - should panic$"
)  # a line number would make another test of it at each change
NOT_COMPILED = re.compile(r"^error: could not compile ", re.MULTILINE)


@dataclass
class _Program:
    """One test program under way."""

    announced: int
    seen: dict[str, int] = field(default_factory=lambda: {"ok": 0, "FAILED": 0, "ignored": 0, "bench:": 0})
    reporting: bool = False

    def wrong(self, summary: re.Match[str]) -> str | None:
        passed, failed, ignored, measured = (int(number) for number in summary.groups()[1:])
        if (passed, failed, ignored, measured) != tuple(self.seen.values()):
            return f"the summary does not agree with the tests above it: {summary[0]}"
        if passed + failed + ignored + measured != self.announced:
            return f"{self.announced} tests were announced: {summary[0]}"
        return (
            f"the summary contradicts itself: {summary[0]}" if (summary[1] == "ok") != (failed == 0) else None
        )


def read(ended: CommandResult) -> TestReport:
    told, program, prefix, counted = TestReport(), None, "", 0
    for line in ended.output.splitlines():
        if summary := SUMMARY.match(line):
            counted += int(summary[2]) + int(summary[3])
            if wrong := program.wrong(summary) if program else f"a summary without tests: {line}":
                told.contradicts(wrong)
            program = None
        elif program and (program.reporting or line in REPORT):
            program.reporting = True
        elif starts := STARTS.match(line):
            if program:
                told.contradicts("a test program ended in the middle of its tests")
            program = _Program(int(starts[1]))
        elif target := TARGET.match(line):
            prefix = f"{target[1] or target[2]}::"
        elif program and (test := TEST.match(line)):
            status = "FAILED" if test[2] == "failed" else test[2]
            program.seen[status] += 1
            if status in ("ok", "FAILED"):
                message = "" if status == "ok" else _report(ended.output, test[1])
                told.add(prefix + OF_ITS_KIND.sub("", test[1]), passed=status == "ok", message=message)
    if program:
        told.contradicts("a test program ended in the middle of its tests")
    if counted and not set(told.outcomes) - {COMMAND}:
        return TestReport(
            problem="the output counts tests and names none; take -q and --format out of the command"
        )
    if not told.outcomes and ended.exit != 0:
        if not NOT_COMPILED.search(ended.error + ended.output):
            return TestReport(problem=f"the output has no summary of cargo test (exit status {ended.exit})")
        told.contradicts(f"it does not compile\n{ended.tail}")
    return told


def _report(output: str, name: str) -> str:
    """What the test itself had said, from its part of the report."""
    _, _, rest = output.partition(f"\n---- {name} stdout ----\n")
    return rest.partition("\n----")[0].partition("\nfailures:")[0].strip()
