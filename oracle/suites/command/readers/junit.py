"""Reads JUnit XML, as pytest, gotestsum, nextest, surefire and many others write it.

Rule: a file that declares entities is none; suites that count failures which no test shows contradict
themselves.
"""

import xml.etree.ElementTree as ElementTree

from oracle.suites.base import CommandResult
from oracle.suites.command.readers.base import AS_A_WHOLE, Reader, TestReport

NOT_COLLECTED = "collection failure"  # as pytest says it of a file: its tests are not known by name


def read(ended: CommandResult) -> TestReport:
    """Return the test cases of the results file."""
    if ended.collected is None:
        return TestReport(
            problem=f"the results file was not written (exit status {ended.exit}){_said(ended)}"
        )
    if "<!DOCTYPE" in ended.collected or "<!ENTITY" in ended.collected:
        return TestReport(problem="the results file declares entities, which no JUnit XML does")
    try:
        root = ElementTree.fromstring(ended.collected)
    except ElementTree.ParseError as error:
        return TestReport(problem=f"the results file is not XML: {error}")
    report = TestReport()
    for test in root.iter("testcase"):
        if test.find("skipped") is not None:
            continue
        bad = [child for kind in ("failure", "error") for child in test.findall(kind)]
        message = "\n".join(
            filter(None, (part for child in bad for part in (child.get("message"), child.text)))
        )
        name = "::".join(filter(None, (test.get("classname"), test.get("name")))) or "unnamed"
        whole = any(child.get("message") == NOT_COLLECTED for child in bad)
        report.add(name + AS_A_WHOLE * whole, passed=not bad, message=message)
    counted = sum(
        _number(suite.get(word))
        for suite in (root, *root.iter("testsuite"))
        for word in ("failures", "errors")
    )
    if report.outcomes and counted and "fail" not in report.outcomes.values():
        report.contradicts("the results file counts failures, and none of its tests shows one")
    return report


def _number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() else 0


def _said(ended: CommandResult) -> str:
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
