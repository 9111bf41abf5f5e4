"""Reads the JSON file that jest (`--json --outputFile=`) and vitest (`--reporter=json --outputFile=`) write.

Rule: it is jest's own account rather than a reporter's: it alone names the files that could not be loaded and
tells what is to be done (todo) from what passed.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from oracle.judging.contradictions import ContradictionKind
from oracle.suites.base import CommandResult
from oracle.suites.command.readers.base import (
    AS_A_WHOLE,
    Reader,
    TestReport,
    Tool,
    last_line,
    some,
    too_large,
    without_escapes,
)

Json = Mapping[str, Any]


def read(ended: CommandResult) -> TestReport:
    """Return the tests of the results files."""
    report = TestReport()
    retried: list[str] = []
    for file in ended.collected:
        if len(file.content) < file.bytes:
            return TestReport(problem=too_large(file, ended.collected))
        try:
            results = _results(file.content)
        except ValueError as error:
            return TestReport(problem=f"{file.path} is not the JSON of jest or vitest: {error}")
        for result in results:
            retried += _enter_file(report, result, ended.directory)
        if (
            report.ran()
            and not _fails(report)
            and any(result.get("status") == "failed" for result in results)
        ):
            words = "the results file tells of a file that failed, and none of its tests shows it"
            report.contradicts(ContradictionKind.COUNTS, words)
    if not ended.collected:
        report.problem = f"the results file was not written (exit status {ended.exit}){last_line(ended)}"
    if retried:
        report.remarks.append(f"passed only when tried again: {some(retried)}")
    return report


def _results(content: bytes) -> list[Json]:
    """Return the results of each file with tests; raise ValueError where there are none to be found."""
    value = json.loads(content.decode("utf-8", "backslashreplace"))
    results = value.get("testResults") if isinstance(value, dict) else None
    if not isinstance(results, list) or not all(_is_result(result) for result in results):
        raise ValueError("no list of testResults")
    return results


def _is_result(value: object) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        return False
    tests = value.get("assertionResults", [])
    return isinstance(tests, list) and all(
        isinstance(test, dict) and isinstance(test.get("title"), str) for test in tests
    )


def _enter_file(report: TestReport, result: Json, directory: str) -> Iterator[str]:
    """Enter the tests of a file; yield the names of those that passed only when tried again."""
    file = result["name"].removeprefix(f"{directory}/")
    tests = result.get("assertionResults", [])
    if not tests and result.get("status") == "failed":
        report.add(file + AS_A_WHOLE, passed=False, message=without_escapes(str(result.get("message", ""))))
    for test in tests:
        ancestors = [str(title) for title in test.get("ancestorTitles") or () if title]
        name = f"{file} > {' > '.join([*ancestors, test['title']])}"
        words = without_escapes("\n".join(map(str, test.get("failureMessages") or ())))
        if test.get("status") in ("passed", "failed"):
            passed = test["status"] == "passed"
            own_name = report.add_next(name, passed=passed, message=words)
            # jest counts the tries, vitest keeps the words of those that failed.
            if passed and (words or (test.get("invocations") or 1) > 1):
                yield own_name
        else:
            report.skip_next(name, str(test.get("status", "")))


def _fails(report: TestReport) -> bool:
    return "fail" in report.outcomes.values()


CANARY = """\
it("test_{passes}", () => {
  if ("{passes}".toUpperCase().toLowerCase() !== "{passes}") throw new Error("{passes}");
});

it("test_{fails}", () => {
  if ("{fails}".toUpperCase().toLowerCase() !== "{passes}") throw new Error("{fails}");
});
"""

READER = Reader(
    name="jest",
    read=read,
    is_file=True,
    ending=".json",
    names_tests=True,
    is_forgeable=True,
    naming_hint="",
    tool=Tool(
        named_in=re.compile(r"\b(?:jest|vitest|mocha)\b"),
        called_as=re.compile(r"\b(?:jest|vitest|mocha)\b"),
        selects_nothing=None,
        canary_path="canary_{name}.test.js",
        canary_text=CANARY,
    ),
)
