"""Reads TAP (testanything.org, version 13 and 14); subtests (indented) count through the line of their
parent.

Rule: without a plan, or with one that was not kept, tests may be missing, and that is a failure.
"""

import re

from oracle.suites.command.readers.base import CommandResult, TestReport

LINE = re.compile(r"(not )?ok\b\s*(\d+)?\s*(?:-\s*)?([^#]*)(?:#\s*(skip|todo)\S*.*)?", re.IGNORECASE)
PLAN = re.compile(r"1\.\.(\d+)")


def read(ended: CommandResult) -> TestReport:
    told, seen, planned = TestReport(), 0, None
    for line in ended.output.splitlines():
        if plan := PLAN.match(line):
            planned = int(plan[1])
        elif line.startswith("Bail out!"):
            told.contradicts(line)
        elif point := LINE.match(line):
            seen += 1
            if not point[4]:
                told.add(point[3].strip() or f"test {point[2] or seen}", passed=not point[1], message=line)
    if planned is None and seen:
        told.contradicts("the output has no plan, so tests may be missing")
    elif planned is not None and planned != seen:
        told.contradicts(f"{planned} tests were planned, {seen} were reported")
    return told
