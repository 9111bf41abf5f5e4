"""Reads JUnit XML, as pytest, gotestsum, nextest, surefire and many others write it.

Rule: a file that declares entities is none; suites that count failures which no test shows contradict
themselves. A character that XML cannot hold spoils the text that it is in, and nothing else.
"""

import re
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.parsers import expat

from oracle.suites.base import CommandResult
from oracle.suites.command.readers.base import AS_A_WHOLE, Reader, TestReport

NOT_COLLECTED = "collection failure"  # as pytest says it of a file: its tests are not known by name
# What the production Char of XML 1.0 leaves out, as itself and as a reference by number.
NOT_A_CHARACTER = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
REFERENCE = re.compile(r"&#(?:x([0-9a-fA-F]{1,8})|([0-9]{1,10}));")
REPLACEMENT = "\ufffd"


class _Declares(Exception):
    """The file has a document type."""


@dataclass(frozen=True)
class _Test:
    """A test case with the places that tell it from others of its name."""

    name: str
    file: str
    suites: tuple[str, ...]
    element: ElementTree.Element


def read(ended: CommandResult) -> TestReport:
    """Return the test cases of the results file."""
    if ended.collected is None:
        return TestReport(
            problem=f"the results file was not written (exit status {ended.exit}){_last_line(ended)}"
        )
    try:
        root = _parse(_readable(ended.collected))
    except _Declares:
        return TestReport(problem="the results file declares a document type, which no JUnit XML does")
    except expat.ExpatError as error:
        return TestReport(problem=f"the results file is not XML: {error}")
    report = TestReport()
    for name, test in _named(list(_tests(root, ()))):
        if test.find("skipped") is None:
            _add(report, name, test)
    counted = sum(
        _number(suite.get(word))
        for suite in (root, *root.iter("testsuite"))
        for word in ("failures", "errors")
    )
    if report.outcomes and counted and "fail" not in report.outcomes.values():
        report.contradicts("the results file counts failures, and none of its tests shows one")
    return report


def _add(report: TestReport, name: str, test: ElementTree.Element) -> None:
    bad = [child for kind in ("failure", "error") for child in test.findall(kind)]
    parts = [part for child in bad for part in (child.get("message"), child.text) if part]
    is_file = any(child.get("message") == NOT_COLLECTED for child in bad)
    report.add_next(name + AS_A_WHOLE * is_file, passed=not bad, message="\n".join(parts))


def _readable(text: str) -> str:
    """Return the text with a replacement character for each that XML does not allow."""
    return REFERENCE.sub(_reference, NOT_A_CHARACTER.sub(REPLACEMENT, text))


def _reference(found: re.Match[str]) -> str:
    code = int(found[1], 16) if found[1] else int(found[2])
    is_character = code <= 0x10FFFF and not NOT_A_CHARACTER.match(chr(code))
    return found[0] if is_character else REPLACEMENT


def _parse(text: str) -> ElementTree.Element:
    """Return the root element; raise _Declares at a document type, before any entity of it could count."""
    builder = ElementTree.TreeBuilder()
    parser = expat.ParserCreate("utf-8")
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = _refuse_doctype
    parser.Parse(text.encode(), True)
    return builder.close()


def _refuse_doctype(*_: object) -> None:
    raise _Declares


def _tests(element: ElementTree.Element, suites: tuple[str, ...]) -> Iterator[_Test]:
    """Yield the test cases below an element, in their order."""
    for child in element:
        if child.tag == "testcase":
            parts = [part for part in (child.get("classname"), child.get("name")) if part]
            yield _Test("::".join(parts) or "unnamed", child.get("file") or "", suites, child)
        else:
            name = child.get("name")
            yield from _tests(child, (*suites, name) if name and child.tag == "testsuite" else suites)


def _named(tests: Sequence[_Test]) -> Iterator[tuple[str, ElementTree.Element]]:
    """Yield each test with its name; with its file or its suites before it where several have that name."""
    counts = Counter(test.name for test in tests)
    in_files = Counter((test.file, test.name) for test in tests)
    for test in tests:
        if counts[test.name] == 1:
            yield test.name, test.element
        elif test.file and in_files[test.file, test.name] == 1:
            yield f"{test.file}::{test.name}", test.element
        else:
            yield " > ".join((*test.suites, test.name)), test.element


def _number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() else 0


def _last_line(ended: CommandResult) -> str:
    last = ended.tail.strip().splitlines()[-1:]
    return f": {last[0].strip()}" if last else ""


READER = Reader(
    name="JUnit",
    read=read,
    is_file=True,
    names_tests=True,
    is_forgeable=True,
    naming_hint="",
    tool=None,
)
