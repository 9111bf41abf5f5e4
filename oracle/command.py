"""Owns what a project's own test command said: JUnit XML, TAP, pytest's summary or the exit status -> outcomes by test.

Rule: what was skipped did not run, and an exit status that contradicts the results is a failure of its own.
"""

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

COMMAND = "command"  # the case that stands for the command itself
MESSAGE_CHARS_MAX = 2_000
XML_BYTES_MAX = 8 << 20


@dataclass(frozen=True)
class Ended:
    """How the command ended; `collected` is the results file, None where there is none."""

    exit: int
    output: str = ""
    error: str = ""
    collected: str | None = None
    timed_out: bool = False
    truncated: bool = False


@dataclass
class Told:
    """Outcomes by test and the messages of the failed; `problem` says why there is nothing to judge."""

    outcomes: dict[str, str] = field(default_factory=dict)
    messages: dict[str, str] = field(default_factory=dict)
    problem: str = ""

    def add(self, name: str, *, passed: bool, message: str = "") -> None:
        """A name that comes twice passes only if it passes both times."""
        if passed:
            self.outcomes.setdefault(name, "pass")
            return
        self.outcomes[name] = "fail"
        self.messages.setdefault(name, message[:MESSAGE_CHARS_MAX])


def read(results: str | None, ended: Ended) -> Told:
    """What the command said, in the form that the suite names: None, "tap", "pytest" or the path of a JUnit XML file."""
    told = _READERS.get(results, _junit)(ended)
    if told.problem:
        return told
    if not told.outcomes:
        told.problem = "no test ran"
    elif ended.timed_out:
        told.add(COMMAND, passed=False, message="no end within the time of the run")
    elif ended.truncated:
        told.add(COMMAND, passed=False, message="more output than allowed")
    elif ended.exit != 0 and "fail" not in told.outcomes.values():
        told.add(COMMAND, passed=False, message=f"exit status {ended.exit} though no test failed\n{_tail(ended)}")
    return told


def _exit_status(ended: Ended) -> Told:
    told = Told()
    told.add(COMMAND, passed=ended.exit == 0, message=f"exit status {ended.exit}\n{_tail(ended)}")
    return told


def _junit(ended: Ended) -> Told:
    if ended.collected is None:
        return Told(problem=f"the results file was not written (exit status {ended.exit})")
    if "<!DOCTYPE" in ended.collected or "<!ENTITY" in ended.collected:
        return Told(problem="the results file declares entities, which no JUnit XML does")
    try:
        root = ElementTree.fromstring(ended.collected)
    except ElementTree.ParseError as error:
        return Told(problem=f"the results file is not XML: {error}")
    told = Told()
    for test in root.iter("testcase"):
        if test.find("skipped") is not None:
            continue
        bad = [child for kind in ("failure", "error") for child in test.findall(kind)]
        message = "\n".join(filter(None, (part for child in bad for part in (child.get("message"), child.text))))
        told.add("::".join(filter(None, (test.get("classname"), test.get("name")))) or "unnamed", passed=not bad, message=message)
    return told


TAP_LINE = re.compile(r"(not )?ok\b\s*(\d+)?\s*(?:-\s*)?([^#]*)(?:#\s*(skip|todo)\S*.*)?", re.IGNORECASE)
TAP_PLAN = re.compile(r"1\.\.(\d+)")


def _tap(ended: Ended) -> Told:
    """testanything.org, version 13 and 14; subtests (indented) count through the line of their parent."""
    told, seen, planned = Told(), 0, None
    for line in ended.output.splitlines():
        if plan := TAP_PLAN.match(line):
            planned = int(plan[1])
        elif line.startswith("Bail out!"):
            told.add(COMMAND, passed=False, message=line)
        elif point := TAP_LINE.match(line):
            seen += 1
            if not point[4]:
                told.add(point[3].strip() or f"test {point[2] or seen}", passed=not point[1], message=line)
    if planned is None and seen:
        told.add(COMMAND, passed=False, message="the output has no plan, so tests may be missing")
    elif planned is not None and planned != seen:
        told.add(COMMAND, passed=False, message=f"{planned} tests were planned, {seen} were reported")
    return told


PYTEST_TOTALS = re.compile(r"^=* ?((?:\d+ \w+(?:, )?)+) in [\d.]+s")
PYTEST_LINE = re.compile(r"^(PASSED|FAILED|ERROR) (\S+::\S.*?|\S+\.py)(?: - (.*))?$")
PYTEST_VERBOSE = re.compile(r"^(\S+::\S.*?) (PASSED|FAILED|ERROR)(?: +\[ *\d+%\])?$")


def _pytest(ended: Ended) -> Told:
    """The totals at the end, and the names where the options show them (-v, -rA); without names the run is one case."""
    told, totals = Told(), None
    for status, name, message in _pytest_lines(ended.output):
        told.add(name, passed=status == "PASSED", message=message)
    for line in ended.output.splitlines():
        if found := PYTEST_TOTALS.match(line):
            totals = {word.rstrip("s"): int(number) for number, word in (part.split() for part in found[1].split(", "))}
    if totals is None:
        return Told(problem=f"the output has no summary of pytest (exit status {ended.exit})")
    bad = sum(totals.get(word, 0) for word in ("failed", "error"))
    if not bad and not totals.get("passed", 0):
        return Told(problem="no test ran")
    told.add(COMMAND, passed=not bad and ended.exit == 0, message=_tail(ended))
    return told


def _pytest_lines(output: str) -> Iterator[tuple[str, str, str]]:
    for line in output.splitlines():
        if found := PYTEST_LINE.match(line):
            yield found[1], found[2], found[3] or ""
        elif found := PYTEST_VERBOSE.match(line):
            yield found[2], found[1], ""


_READERS: Mapping[str | None, Callable[[Ended], Told]] = {None: _exit_status, "tap": _tap, "pytest": _pytest}


def _tail(ended: Ended) -> str:
    return (ended.output + ended.error)[-MESSAGE_CHARS_MAX // 2 :]
