"""Reads what pytest prints: the totals at its end, and the names where its options show them (-v, -rA).

Rule: where the names are fewer than the totals, one more case stands for the command as a whole.
"""

import re
from collections.abc import Iterator

from oracle.suites.command.readers.base import AS_A_WHOLE, COMMAND, CommandResult, TestReport

TOTALS = re.compile(r"^=* ?((?:\d+ \w+(?:, )?)+) in [\d.]+s")
SUMMARY = re.compile(r"^(PASSED|FAILED|ERROR) (\S+::\S.*?|\S+\.py)(?: - (.*))?$")
VERBOSE = re.compile(r"^(\S+::\S.*?) (PASSED|FAILED|ERROR)(?: +\[ *\d+%\])?$")
DISTRIBUTED = re.compile(r"^\[gw\d+\] \[ *\d+%\] (PASSED|FAILED|ERROR) (\S+::\S.*?)$")


def read(ended: CommandResult) -> TestReport:
    totals = [found[1] for line in ended.output.splitlines() if (found := TOTALS.match(line))]
    if not totals:
        return TestReport(problem=f"the output has no summary of pytest (exit status {ended.exit})")
    told, shown = TestReport(), set()
    for status, name, message in _lines(ended.output):
        shown.add((status, name))
        told.add(name if "::" in name else name + AS_A_WHOLE, passed=status == "PASSED", message=message)
    counted = {
        word.rstrip("s"): int(number) for number, word in (part.split() for part in totals[-1].split(", "))
    }
    passed, bad = counted.get("passed", 0), counted.get("failed", 0) + counted.get("error", 0)
    if not bad and not passed:
        return TestReport(problem="no test ran")
    if len(set(totals)) > 1:
        told.contradicts(f"the output has two summaries: {totals[0]}; {totals[-1]}")
    named = sum(status == "PASSED" for status, _ in shown)
    if (named, len(shown) - named) != (passed, bad):
        told.add(COMMAND, passed=not bad and ended.exit == 0, message=ended.tail)
    return told


def _lines(output: str) -> Iterator[tuple[str, str, str]]:
    for line in output.splitlines():
        if found := SUMMARY.match(line):
            yield found[1], found[2], found[3] or ""
        elif found := VERBOSE.match(line):
            yield found[2], found[1], ""
        elif found := DISTRIBUTED.match(line):
            yield found[1], found[2], ""
