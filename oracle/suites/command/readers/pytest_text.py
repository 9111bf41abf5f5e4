"""Reads what pytest prints: the totals at its end, and the names where its options show them (-v, -rA).

Rule: where the names are fewer than the totals, one more case stands for the command as a whole.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping

from oracle.judging.contradictions import ContradictionKind
from oracle.suites.base import CommandResult
from oracle.suites.command.readers.base import (
    AS_A_WHOLE,
    COMMAND,
    Reader,
    TestReport,
    Tool,
    some,
    without_escapes,
)

TOTALS = re.compile(r"^=* ?((?:\d+ [a-z]+(?: [a-z]+)?(?:, )?)+) in [\d.]+s")
# The file may have blanks in its name. What is in brackets is the test's own, " - " included; after that, or
# after a name without brackets, comes the message.
TEST = r"\S[^:]*\.py::[^\[]*?(?:\[.*?\])?"
SUMMARY = re.compile(
    rf"^(PASSED|FAILED|ERROR|XFAIL|XPASS|RERUN|SUBFAILED(?:\[.*?\]|\(.*?\))*) ({TEST}|\S.*?\.py)(?: - (.*))?$"
)
STATUS = "PASSED|FAILED|ERROR|SKIPPED|XFAIL|XPASS|RERUN"
VERBOSE = re.compile(rf"^(\S.*?\.py::\S.*?) ({STATUS})(?: \((.*)\))?(?: +\[ *\d+%\])?$")
DISTRIBUTED = re.compile(rf"^\[gw\d+\] \[ *\d+%\] ({STATUS}) (\S.*?\.py::\S.*?)$")
UNNAMED_SKIP = re.compile(r"^SKIPPED \[\d+\] (\S.*?:.*)$")
PASSES, SKIPS = ("PASSED", "XPASS"), ("SKIPPED", "XFAIL")
QUIET = "pytest prints no totals with two -q, of which one may be in its settings: take one out"


def read(ended: CommandResult) -> TestReport:
    """Return the tests that the output names, and the command itself where it names too few."""
    lines = [line.rstrip() for line in without_escapes(ended.output).splitlines()]
    totals = [found[1] for line in lines if (found := TOTALS.match(line))]
    if not totals:
        return TestReport(problem=_no_totals(ended, lines))
    report = TestReport()
    named: dict[str, set[str]] = defaultdict(set)
    for status, name, message in _results(lines):
        named[status].add(name)
        if status in SKIPS:
            report.skip(name, message)
        elif status != "RERUN":
            own_name = name if "::" in name else name + AS_A_WHOLE
            report.add(own_name, passed=status in PASSES, message=message)
    report.unnamed_skips = [found[1] for line in lines if (found := UNNAMED_SKIP.match(line))]
    counted = _counts(totals[-1])
    if not any(counted[word] for word in ("passed", "xpassed", "failed", "error")):
        report.problem = f"no test ran: {totals[-1]}"
        return report
    if len(set(totals)) > 1:
        words = f"the output has two summaries: {totals[0]}; {totals[-1]}"
        report.contradicts(ContradictionKind.SUMMARIES, words)
    passed, bad = counted["passed"] + counted["xpassed"], counted["failed"] + counted["error"]
    names_pass = sum(len(named[status]) for status in PASSES)
    names_bad = sum(len(names) for status, names in named.items() if status not in (*PASSES, *SKIPS, "RERUN"))
    if (names_pass, names_bad) != (passed, bad):
        report.add(COMMAND, passed=not bad and ended.exit == 0, message=ended.tail)
    if names_bad != bad or names_pass not in (0, passed):  # without -rA it names no test that passes
        words = f"the totals do not fit the tests that are named: {totals[-1]}"
        report.contradicts(ContradictionKind.COUNTS, words)
    report.remarks += _remarks(counted, named)
    return report


def _remarks(counted: Counter[str], named: Mapping[str, set[str]]) -> Iterator[str]:
    """Yield what is to be said of tests that passed and yet deserve a look, and of those without a name."""
    if counted["rerun"]:
        yield f"passed only when tried again: {_some(named['RERUN'], counted['rerun'])}"
    if counted["xpassed"]:
        yield f"passed though marked as failing: {_some(named['XPASS'], counted['xpassed'])}"
    unnamed = counted["skipped"] + counted["xfailed"] - sum(len(named[status]) for status in SKIPS)
    if unnamed > 0:
        yield f"{unnamed} tests were skipped that the output does not name; -v names them"


def _some(names: Collection[str], count: int) -> str:
    return some(sorted(names)) if names else str(count)


def _no_totals(ended: CommandResult, lines: list[str]) -> str:
    last = next((line for line in reversed(lines) if line), "")
    words = f": {last}" if last else ""
    has_progress = any(line.endswith("%]") for line in lines)
    hint = f"; {QUIET}" if ended.exit in (0, 1) and has_progress else ""
    return f"the output has no summary of pytest (exit status {ended.exit}){words}{hint}"


def _counts(totals: str) -> Counter[str]:
    """Return how many there are of each outcome; of subtests only those that failed are among them."""
    counts: Counter[str] = Counter()
    for part in totals.split(", "):
        number, _, word = part.partition(" ")
        counts[word.rstrip("s")] = int(number)
    return counts


def _results(lines: list[str]) -> Iterator[tuple[str, str, str]]:
    """Yield status, name and message of each test that a line tells of.

    A subtest that failed has a status of its own, and the name of its test, which then has failed as well.
    """
    for line in lines:
        if found := SUMMARY.match(line):
            yield found[1], found[2], found[3] or ""
        elif found := VERBOSE.match(line):
            yield found[2], found[1], found[3] or ""
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
