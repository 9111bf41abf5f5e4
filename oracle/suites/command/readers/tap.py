"""Reads TAP (testanything.org, version 13 and 14), with its subtests.

Rule: without a plan, or with one that was not kept, tests may be missing, and that is a failure. A test point
that has subtests is a case, and so is each of them, under its name.
"""

import re
from dataclasses import dataclass, field

from oracle.suites.base import CommandResult
from oracle.suites.command.readers.base import Reader, TestReport, without_escapes

INDENT = 4  # spaces before each level of subtests
LINE = re.compile(r"(not )?ok\b(?:\s+(\d+))?(?:\s+-)?(?:\s+(.*))?$")
DIRECTIVE = re.compile(r"(?:^|\s)#\s*(skip|todo)\S*.*$", re.IGNORECASE)
ESCAPED = re.compile(r"\\([#\\])")
PLAN = re.compile(r"1\.\.(\d+)")
LEVELS_MAX = 20


@dataclass(frozen=True)
class _Point:
    name: str
    passed: bool
    message: str


@dataclass
class _Level:
    """The test points of one level, until the line of their parent."""

    points: list[_Point] = field(default_factory=list)
    seen: int = 0
    planned: int | None = None

    def problem(self) -> str:
        """Return what of the plan was not kept, or ""."""
        if self.planned is None:
            return "the output has no plan, so tests may be missing" if self.seen else ""
        if self.planned != self.seen:
            return f"{self.planned} tests were planned, {self.seen} were reported"
        return ""


def read(ended: CommandResult) -> TestReport:
    """Return the test points of the output and those of their subtests."""
    report = TestReport()
    levels = [_Level()]
    for line in without_escapes(ended.output).splitlines():
        text = line.lstrip(" ")
        depth = (len(line) - len(text)) // INDENT
        if depth > min(len(levels), LEVELS_MAX) or (len(line) - len(text)) % INDENT:
            continue  # a diagnostic, or the output of a test
        if text.startswith("Bail out!"):
            report.contradicts(text)
        elif plan := PLAN.match(text):
            _level(levels, depth).planned = int(plan[1])
        elif point := LINE.match(text):
            _take(levels, depth, point, text, report)
    for case in levels[0].points:
        report.add_next(case.name, passed=case.passed, message=case.message)
    if problem := levels[0].problem():
        report.contradicts(problem)
    return report


def _level(levels: list[_Level], depth: int) -> _Level:
    while len(levels) <= depth:
        levels.append(_Level())
    return levels[depth]


def _take(levels: list[_Level], depth: int, point: re.Match[str], line: str, report: TestReport) -> None:
    """Take in a test point, and under its name the subtests that came before it."""
    level = _level(levels, depth)
    level.seen += 1
    description = point[3] or ""
    directive = DIRECTIVE.search(description)
    if directive:
        description = description[: directive.start()]
    name = ESCAPED.sub(r"\1", description.strip()) or f"test {point[2] or level.seen}"
    children = levels[depth + 1] if len(levels) > depth + 1 else _Level()
    del levels[depth + 1 :]
    if directive:
        return
    passed = not point[1]
    if problem := children.problem():
        passed, line = False, f"{line}\nof its subtests {problem}"
    level.points.append(_Point(name, passed, line))
    level.points += [
        _Point(f"{name} > {child.name}", child.passed, child.message) for child in children.points
    ]


READER = Reader(
    name="tap",
    read=read,
    is_file=False,
    names_tests=True,
    is_forgeable=False,
    naming_hint="",
    tool=None,
)
