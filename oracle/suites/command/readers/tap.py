"""Reads TAP (testanything.org, version 13 and 14); subtests (indented) count through the line of their
parent.

Rule: without a plan, or with one that was not kept, tests may be missing, and that is a failure.
"""

import re

from oracle.suites.base import CommandResult
from oracle.suites.command.readers.base import Reader, TestReport

LINE = re.compile(r"(not )?ok\b\s*(\d+)?\s*(?:-\s*)?([^#]*)(?:#\s*(skip|todo)\S*.*)?", re.IGNORECASE)
PLAN = re.compile(r"1\.\.(\d+)")


def read(ended: CommandResult) -> TestReport:
    """Return the test points of the output."""
    report, seen = TestReport(), 0
    planned: int | None = None
    for line in ended.output.splitlines():
        if plan := PLAN.match(line):
            planned = int(plan[1])
        elif line.startswith("Bail out!"):
            report.contradicts(line)
        elif point := LINE.match(line):
            seen += 1
            if not point[4]:
                report.add(point[3].strip() or f"test {point[2] or seen}", passed=not point[1], message=line)
    if planned is None and seen:
        report.contradicts("the output has no plan, so tests may be missing")
    elif planned is not None and planned != seen:
        report.contradicts(f"{planned} tests were planned, {seen} were reported")
    return report


READER = Reader(
    name="tap",
    read=read,
    is_file=False,
    names_tests=True,
    is_forgeable=False,
    naming_hint="",
    tool=None,
)
