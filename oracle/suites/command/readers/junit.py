"""Reads JUnit XML, as pytest, gotestsum, nextest, surefire and many others write it, in one file or several.

Rule: a file that declares entities is none; suites that count failures which no test shows contradict
themselves. A character that XML cannot hold spoils the text that it is in, and nothing else.
"""

import codecs
import re
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.parsers import expat

from oracle.judging.contradictions import ContradictionKind
from oracle.judging.verdict import FAIL
from oracle.suites.base import CommandResult
from oracle.suites.command.readers.base import (
    AS_A_WHOLE,
    Reader,
    TestReport,
    last_line,
    some,
    too_large,
    without_escapes,
)

NOT_COLLECTED = "collection failure"  # as pytest says it of a file: its tests are not known by name
# What the production Char of XML 1.0 leaves out, as itself and as a reference by number.
NOT_A_CHARACTER = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
REFERENCE = re.compile(r"&#(?:x([0-9a-fA-F]{1,8})|([0-9]{1,10}));")
REPLACEMENT = "\ufffd"
DECLARED = re.compile(rb"<\?xml[^>]*?\bencoding\s*=\s*[\"']([A-Za-z0-9._-]+)[\"']")
# By the first bytes: a mark of the order of bytes, or a "<" of two bytes.
BY_MARK = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
    b"<\0": "utf-16-le",
    b"\0<": "utf-16-be",
}
# What an attribute of a test case says where there is no element: googletest, CTest and others.
NOT_RUN = {"skipped", "disabled", "notrun", "ignored", "pending", "suppressed"}
RETRIED = ("flakyFailure", "flakyError")  # of surefire and others: a failure before the test passed
# pytest tells of these in its output alone, and only where -rX or -rA asks for the names.
PASSES_UNEXPECTEDLY = re.compile(r"^XPASS (\S.*?::.*?)(?: - .*)?$", re.MULTILINE)
UNEXPECTED = re.compile(r"\b(\d+) xpassed\b.* in [\d.]+s")


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
    """Return the test cases of the results files."""
    if not ended.collected:
        return TestReport(
            problem=f"the results file was not written (exit status {ended.exit}){last_line(ended)}"
        )
    roots = []
    for file in ended.collected:
        if len(file.content) < file.bytes:
            return TestReport(problem=too_large(file, ended.collected))
        try:
            roots.append(_parse(_readable(_decoded(file.content))))
        except _Declares:
            return TestReport(problem=f"{file.path} declares a document type, which no JUnit XML does")
        except expat.ExpatError as error:
            return TestReport(problem=f"{file.path} is not XML: {error}")
    report = TestReport()
    retried: list[str] = []
    tests = [test for root in roots for test in _tests(root, (), ended.directory)]
    for name, test in _named(tests):
        entered = _enter(report, name, test)
        if any(test.find(word) is not None for word in RETRIED):
            retried.append(entered)
    report.remarks += _remarks(ended.output, retried)
    if report.ran() and FAIL not in report.outcomes.values() and any(map(_counts_failures, roots)):
        words = "the results file counts failures, and none of its tests shows one"
        report.contradicts(ContradictionKind.COUNTS, words)
    return report


def _enter(report: TestReport, name: str, test: ElementTree.Element) -> str:
    """Enter a test case into the report, and return the name that it has there."""
    bad = [child for kind in ("failure", "error") for child in test.findall(kind)]
    skipped = test.find("skipped")
    # A test that is to be done is expected to fail, and node tells both of it.
    is_to_do = skipped is not None and skipped.get("type") == "todo"
    if is_to_do or (not bad and (skipped is not None or _is_said_not_to_run(test))):
        return report.skip_next(name, _words([skipped] if skipped is not None else []))
    is_file = any(child.get("message") == NOT_COLLECTED for child in bad)
    return report.add_next(name + AS_A_WHOLE * is_file, passed=not bad, message=_words(bad))


def _words(elements: Sequence[ElementTree.Element]) -> str:
    parts = [part for element in elements for part in (element.get("message"), element.text) if part]
    return "\n".join(dict.fromkeys(parts))


def _is_said_not_to_run(test: ElementTree.Element) -> bool:
    return not NOT_RUN.isdisjoint((test.get(name) or "").lower() for name in ("status", "result"))


def _remarks(output: str, retried: Sequence[str]) -> Iterator[str]:
    """Yield what is to be said of tests that passed: those that failed first, or were expected to fail."""
    if retried:
        yield f"passed only when tried again: {some(retried)}"
    output = without_escapes(output)
    unexpected, names = UNEXPECTED.search(output), PASSES_UNEXPECTEDLY.findall(output)
    if names or unexpected:
        yield f"passed though marked as failing: {some(names) or (unexpected and unexpected[1])}"


def _counts_failures(root: ElementTree.Element) -> bool:
    suites = (root, *root.iter("testsuite"))
    return any(_number(suite.get(word)) for suite in suites for word in ("failures", "errors"))


def _decoded(data: bytes) -> str:
    """Return the text of a file in the encoding that it declares; bytes that are none in it are shown as
    such.
    """
    declared = DECLARED.match(data[:200].lstrip())
    by_mark = next((name for mark, name in BY_MARK.items() if data.startswith(mark)), None)
    name = by_mark or (declared[1].decode() if declared else "utf-8")
    try:
        return data.decode(name, "backslashreplace")
    except (LookupError, ValueError):  # there is no such encoding, or it is none of text
        return data.decode("utf-8", "backslashreplace")


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


def _tests(element: ElementTree.Element, suites: tuple[str, ...], directory: str) -> Iterator[_Test]:
    """Yield the test cases below an element, in their order; files below `directory` are named without it."""
    for child in element:
        if child.tag == "testcase":
            file = (child.get("file") or "").removeprefix(f"{directory}/")
            yield _Test(_name(child, file), file, suites, child)
        else:
            name = child.get("name")
            inner = (*suites, name) if name and child.tag == "testsuite" else suites
            yield from _tests(child, inner, directory)


def _name(test: ElementTree.Element, file: str) -> str:
    """Return what the tool calls a test: by file where it is Python's, which is what pytest runs again."""
    place, name = test.get("classname") or "", test.get("name") or ""
    module = file.removesuffix(".py").replace("/", ".")
    if file.endswith(".py") and not place and name == module:  # it cannot be collected
        return file
    if file.endswith(".py") and (place + ".").startswith(module + "."):
        classes = place[len(module) + 1 :].split(".")
        return "::".join(part for part in (file, *classes, name) if part)
    return "::".join(part for part in (place, name) if part) or "unnamed"


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


READER = Reader(
    name="JUnit",
    read=read,
    is_file=True,
    names_tests=True,
    is_forgeable=True,
    naming_hint="",
    tool=None,
)
