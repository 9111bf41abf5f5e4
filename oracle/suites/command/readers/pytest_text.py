"""Reads what pytest prints: the totals at its end, and the names where its options show them (-v, -rA).

Rule: where the names are fewer than the totals, one more case stands for the command as a whole.
"""

import re
from collections.abc import Iterator

from oracle.suites.base import CommandResult
from oracle.suites.command.readers.base import AS_A_WHOLE, COMMAND, Reader, TestReport, Tool

TOTALS = re.compile(r"^=* ?((?:\d+ \w+(?:, )?)+) in [\d.]+s")
SUMMARY = re.compile(r"^(PASSED|FAILED|ERROR) (\S+::\S.*?|\S+\.py)(?: - (.*))?$")
VERBOSE = re.compile(r"^(\S+::\S.*?) (PASSED|FAILED|ERROR)(?: +\[ *\d+%\])?$")
DISTRIBUTED = re.compile(r"^\[gw\d+\] \[ *\d+%\] (PASSED|FAILED|ERROR) (\S+::\S.*?)$")


def read(ended: CommandResult) -> TestReport:
    """Return the tests that the output names, and the command itself where it names too few."""
    totals = [found[1] for line in ended.output.splitlines() if (found := TOTALS.match(line))]
    if not totals:
        return TestReport(problem=f"the output has no summary of pytest (exit status {ended.exit})")
    report = TestReport()
    named: set[tuple[str, str]] = set()
    for status, name, message in _lines(ended.output):
        named.add((status, name))
        report.add(name if "::" in name else name + AS_A_WHOLE, passed=status == "PASSED", message=message)
    counted = {
        word.rstrip("s"): int(number) for number, word in (part.split() for part in totals[-1].split(", "))
    }
    passed, bad = counted.get("passed", 0), counted.get("failed", 0) + counted.get("error", 0)
    if not bad and not passed:
        return TestReport(problem="no test ran")
    if len(set(totals)) > 1:
        report.contradicts(f"the output has two summaries: {totals[0]}; {totals[-1]}")
    named_passed = sum(status == "PASSED" for status, _ in named)
    if (named_passed, len(named) - named_passed) != (passed, bad):
        report.add(COMMAND, passed=not bad and ended.exit == 0, message=ended.tail)
    return report


def _lines(output: str) -> Iterator[tuple[str, str, str]]:
    for line in output.splitlines():
        if found := SUMMARY.match(line):
            yield found[1], found[2], found[3] or ""
        elif found := VERBOSE.match(line):
            yield found[2], found[1], ""
        elif found := DISTRIBUTED.match(line):
            yield found[1], found[2], ""


CANARY = """\
import unittest


class Test{name}(unittest.TestCase):
    def test_{passes}(self):
        self.assertEqual("{passes}".upper().lower(), "{passes}")

    def test_{fails}(self):
        self.assertEqual("{fails}".upper().lower(), "{passes}")
"""

READER = Reader(
    name="pytest",
    read=read,
    is_file=False,
    names_tests=True,
    is_forgeable=True,
    naming_hint="does it have -rA or -v, so that pytest names its tests?",
    tool=Tool(
        named_in=re.compile(r"\bpytest\b"),
        called_as=re.compile(r"\bpytest\b"),
        selects_nothing={"PYTEST_ADDOPTS": "-k harness_selects_no_test"},
        canary_path="tests/test_{name}.py",
        canary_text=CANARY,
    ),
)
