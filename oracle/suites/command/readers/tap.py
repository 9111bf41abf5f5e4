"""Reads TAP (testanything.org, version 13 and 14), with its subtests.

Rule: without a plan, or with one that was not kept, tests may be missing, and that is a failure. A test point
that has subtests is a case, and so is each of them, under its name. What is to be done (TODO) may not have
run at all, so that it is skipped, however it ends.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from oracle.judging.contradictions import ContradictionKind
from oracle.suites.base import CommandResult
from oracle.suites.command.readers.base import Reader, TestReport, without_escapes

INDENT = 4  # spaces before each level of subtests
YAML_INDENT = 2  # spaces more before the YAML block of a test point
LINE = re.compile(r"(not )?ok\b(?:\s+(\d+))?(?:\s+-)?(?:\s+(.*))?$")
DIRECTIVE = re.compile(r"(?:^|\s)#\s*((?:skip|todo)\S*.*)$", re.IGNORECASE)
ESCAPED = re.compile(r"\\([#\\])")
PLAN = re.compile(r"1\.\.(\d+)")
LEVELS_MAX = 20


@dataclass(frozen=True)
class _Point:
    name: str
    passed: bool
    message: str
    skipped: bool = False

    def enter(self, report: TestReport) -> None:
        """Enter it into the report, numbered where others have its name."""
        if self.skipped:
            report.skip_next(self.name, self.message)
        else:
            report.add_next(self.name, passed=self.passed, message=self.message)


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
    for line in _without_diagnostics(without_escapes(ended.output).splitlines()):
        text = line.lstrip(" ")
        depth = (len(line) - len(text)) // INDENT
        if depth > min(len(levels), LEVELS_MAX) or (len(line) - len(text)) % INDENT:
            continue  # a diagnostic, or the output of a test
        if text.startswith("Bail out!"):
            report.contradicts(ContradictionKind.BAIL_OUT, text)
        elif plan := PLAN.match(text):
            _level(levels, depth).planned = int(plan[1])
        elif point := LINE.match(text):
            _take(levels, depth, point, text, report)
    for case in levels[0].points:
        case.enter(report)
    if problem := levels[0].problem():
        report.contradicts(ContradictionKind.PLAN, problem)
    return report


def _without_diagnostics(lines: Iterable[str]) -> Iterator[str]:
    """Yield the lines that are in no YAML block of a test point, whatever a message in one looks like."""
    begin = None
    for line in lines:
        indent = len(line) - len(line.lstrip(" "))
        if begin is None and line.strip() == "---" and indent % INDENT == YAML_INDENT:
            begin = indent
        elif begin is None:
            yield line
        elif line.strip() == "..." and indent == begin:
            begin = None


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
    passed = not point[1]
    if directive:
        level.points.append(_Point(name, passed, directive[1], skipped=True))
    elif problem := children.problem():
        level.points.append(_Point(name, False, f"{line}\nof its subtests {problem}"))
    else:
        level.points.append(_Point(name, passed, line))
    for child in children.points:
        is_skipped = child.skipped or (directive is not None and not child.passed)
        level.points.append(replace(child, name=f"{name} > {child.name}", skipped=is_skipped))


READER = Reader(
    name="tap",
    read=read,
    is_file=False,
    names_tests=True,
    is_forgeable=False,
    naming_hint="",
    tool=None,
)
