"""Reads what `go test -v` prints, and `go test -json`, which is the same text in pieces (cmd/test2json).

Rule: a package whose end is missing, or a test that began and did not end, failed; without -v a package is
the test.
"""

import json
import re
from dataclasses import dataclass, field
from typing import Any

from oracle.judging.contradictions import ContradictionKind
from oracle.suites.base import CommandResult
from oracle.suites.command.readers.base import (
    AS_A_WHOLE,
    MESSAGE_CHARS_MAX,
    Reader,
    TestReport,
    Tool,
    without_escapes,
)

PACKAGE = re.compile(r"^(ok|FAIL|\?) *\t(\S+)(.*)$")
BEGINS = re.compile(r"^=== (?:RUN|PAUSE|CONT|NAME) +(\S+)$")
# What the test printed last may stand before it.
ENDS = re.compile(r"--- (PASS|FAIL|SKIP): (\S+) \(\d+\.\d+s\)$")

NONE_FAILED = "no test of it failed, and yet it did"


@dataclass
class _Package:
    """The tests of one package, until the line that names it."""

    begun: set[str] = field(default_factory=set)
    ended: dict[str, str] = field(default_factory=dict)
    words: dict[str, list[str]] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)  # since the last mark

    def take(self, line: str) -> None:
        """Take in a line of the package's output."""
        if begins := BEGINS.match(line):
            self.begun.add(begins[1])
            self.lines = []
        elif ends := ENDS.search(line):
            status, name = ends.groups()
            self.ended[name] = "FAIL" if "FAIL" in (status, self.ended.get(name)) else status
            self.words[name], self.lines = self.lines, []
            if status == "FAIL":
                self.words[name] = self.lines = self.words[name]  # a panic speaks after the line of its test
        elif line not in ("FAIL", "PASS"):
            self.lines.append(line)

    def tell(self, report: TestReport, package: str, *, ok: bool, rest: str, compiler: str) -> None:
        """Enter the tests, and the package itself where they do not say how it ended."""
        for name in sorted(self.begun - set(self.ended)):
            report.add(f"{package}.{name}", passed=False, message="it began and did not end")
        for name, status in self.ended.items():
            message = "\n".join(self.words[name]).strip()
            if status == "SKIP":
                report.skip(f"{package}.{name}", message)
            else:
                report.add(f"{package}.{name}", passed=status == "PASS", message=message)
        named = self.begun | set(self.ended)
        if not ok and (not self.begun <= set(self.ended) or "FAIL" in self.ended.values()):
            return  # its tests say so themselves
        if not ok or (not named and "no tests to run" not in rest):
            words = [compiler[-MESSAGE_CHARS_MAX // 2 :].strip()] if rest.endswith(" failed]") else self.lines
            message = "\n".join([rest.strip() or NONE_FAILED, *words])
            report.add(package + AS_A_WHOLE, passed=ok, message=message)
            if named and not ok:
                report.contradicts(ContradictionKind.EXIT, f"{package}: {NONE_FAILED}\n{message}")


def read(ended: CommandResult) -> TestReport:
    """Return the tests of all packages that the output tells of."""
    report = TestReport()
    events, text = _events(without_escapes(ended.output))
    _read_text(report, text, ended.error)
    outputs: dict[str, list[str]] = {}
    for event in events:
        outputs.setdefault(event.get("Package", ""), []).append(str(event.get("Output", "")))
    for words in outputs.values():
        _read_text(report, "".join(words), ended.error)
    for event in events:
        if event.get("Action") == "fail" and event.get("Package"):
            _failed(report, event["Package"], event.get("Test"))
    if report.says_nothing and ended.exit != 0:
        return TestReport(problem=f"the output has no result of go test (exit status {ended.exit})")
    return report


def _read_text(report: TestReport, text: str, compiler: str) -> None:
    package = _Package()
    for line in text.splitlines():
        if found := PACKAGE.match(line):
            if found[1] != "?":
                package.tell(report, found[2], ok=found[1] == "ok", rest=found[3], compiler=compiler)
            package = _Package()
        else:
            package.take(line)
    if package.begun or package.ended:
        report.contradicts(ContradictionKind.UNFINISHED, "the results of a package have no end")


def _failed(report: TestReport, package: str, test: str | None) -> None:
    """Enter a failure that an event tells of; it counts even if the text does not say so."""
    if test:
        report.add(f"{package}.{test}", passed=False)
    elif not any(
        outcome == "fail" and name.startswith((f"{package}.", package + AS_A_WHOLE))
        for name, outcome in report.outcomes.items()
    ):
        report.add(package + AS_A_WHOLE, passed=False, message=NONE_FAILED)
        if any(name.startswith(f"{package}.") for name in report.outcomes):
            report.contradicts(ContradictionKind.EXIT, f"{package}: {NONE_FAILED}")


def _events(output: str) -> tuple[list[dict[str, Any]], str]:
    """Return the events of `-json`, and the lines that are none."""
    events, rest = [], []
    for line in output.splitlines():
        try:
            event = json.loads(line) if line.startswith("{") else None
        except ValueError:
            event = None
        if isinstance(event, dict) and isinstance(event.get("Package", ""), str) and "Action" in event:
            events.append(event)
        else:
            rest.append(line)
    return events, "\n".join(rest)


CANARY = """\
package canary

import (
	"strings"
	"testing"
)

func Test_{passes}(t *testing.T) {
	if strings.ToLower(strings.ToUpper("{passes}")) != "{passes}" {
		t.Fatal("{passes}")
	}
}

func Test_{fails}(t *testing.T) {
	if strings.ToLower(strings.ToUpper("{fails}")) != "{passes}" {
		t.Fatal("{fails}")
	}
}
"""

READER = Reader(
    name="go",
    read=read,
    is_file=False,
    names_tests=True,
    is_forgeable=True,
    naming_hint="does it have -v or -json, so that go names its tests?",
    tool=Tool(
        named_in=re.compile(r"\bgo\b"),
        called_as=re.compile(r"\bgo test\b"),
        selects_nothing={"GOFLAGS": "-run=^$"},
        canary_path="canary_{name}/canary_test.go",
        canary_text=CANARY,
    ),
)
