"""Results files: several, in any encoding, too large, of jest and vitest; and names that the tool runs again."""

import json

import pytest

from oracle.suites.base import CommandResult, ResultsFile
from oracle.suites.command import readers

from .results import files

XML = '<testsuite><testcase classname="c" name="{name}"/></testsuite>'
BOX = "/scratch/0/src"
# pytest 8.3 with -o junit_family=xunit1: a class, a parametrised test, a directory with a dot and a blank, a
# test that another file's class inherits, and a file that cannot be imported.
PYTEST = """<?xml version="1.0" encoding="utf-8"?><testsuites name="pytest tests"><testsuite name="pytest" errors="1">
<testcase classname="tests.v1.2 old.test_a.TestX" name="test_one" file="tests/v1.2 old/test_a.py" line="3"/>
<testcase classname="tests.test_b" name="test_calc[3 - 0x1]" file="tests/test_b.py" line="3"/>
<testcase classname="tests.test_c.TestHeir" name="test_base" file="tests/base.py" line="3"/>
<testcase classname="" name="tests.test_d" file="tests/test_d.py"><error message="collection failure">No module</error></testcase>
</testsuite></testsuites>"""
# jest 29.7 and vitest 2.1, cut short.
JEST = {
    "testResults": [
        {
            "name": f"{BOX}/a.test.js",
            "status": "failed",
            "message": "",
            "assertionResults": [
                {"ancestorTitles": ["page", "head"], "title": "works", "status": "passed", "invocations": 1},
                {
                    "ancestorTitles": ["page", "head"],
                    "title": "breaks",
                    "status": "failed",
                    "failureMessages": ["Error: \x1b[31mexpected\x1b[39m 2\n    at x"],
                },
                {"ancestorTitles": ["page", "foot"], "title": "later", "status": "pending", "invocations": 1},
                {"ancestorTitles": ["page", "foot"], "title": "to do", "status": "todo"},
                {"ancestorTitles": [], "title": "flaky", "status": "passed", "invocations": 2},
            ],
        },
        {
            "name": f"{BOX}/c.test.js",
            "status": "failed",
            "message": "  \x1b[1m● \x1b[22mTest suite failed to run\n\n    Jest failed to parse a file",
            "assertionResults": [],
        },
    ]
}


def read(*texts: str | bytes, results: str = "out/*.xml", exit: int = 0) -> readers.TestReport:
    return readers.read(results, CommandResult(exit, collected=files(*texts), directory=BOX))


def test_the_tests_of_several_files_are_read_together():
    told = read(XML.format(name="a"), XML.format(name="b"), XML.format(name="a"))
    assert told.outcomes == {"c::a": "pass", "c::b": "pass", "c::a (2)": "pass"}


@pytest.mark.parametrize(
    "encoding", ["iso-8859-1", "windows-1252", "utf-16", "utf-16-le", "utf-8-sig", "shift_jis"]
)
def test_a_file_is_read_in_the_encoding_that_it_declares(encoding: str):
    name = "läuft" if "shift" not in encoding else "テスト"
    declared = encoding.removesuffix("-sig").removesuffix("-le")
    text = f'<?xml version="1.0" encoding="{declared}"?>{XML.format(name=name)}'
    assert read(text.encode(encoding)).outcomes == {f"c::{name}": "pass"}


@pytest.mark.parametrize("declared", ["utf-8", "no-such", "zlib", "idna", "hex"])
def test_one_odd_byte_or_an_encoding_that_is_none_spoils_no_test(declared: str):
    data = f'<?xml version="1.0" encoding="{declared}"?>{XML.format(name="a?b")}'.encode()
    assert read(data.replace(b"?b", b"\xffb")).outcomes == {"c::a\\xffb": "pass"}


def test_a_file_that_is_too_large_is_named_with_its_size_the_limit_and_what_to_change():
    cut = (ResultsFile("out/a.xml", b"<x/>", 4), ResultsFile("out/big.xml", b"<tes", 99))
    told = readers.read("out/*.xml", CommandResult(0, collected=cut))
    assert told.problem.startswith("out/big.xml has 99 bytes, and all results files together may have 8")
    assert "junit_logging" in told.problem


@pytest.mark.parametrize(
    ("results", "text"), [("out.xml", "<x>"), ("out.json", "{"), ("out.json", '{"a": 1}')]
)
def test_a_file_that_is_none_is_named(results: str, text: str):
    assert read(text, results=results).problem.startswith("out.xml is not ")


def test_the_tests_of_pytest_are_named_as_pytest_runs_them_again():
    assert list(read(PYTEST, exit=1).outcomes.items()) == [
        ("tests/v1.2 old/test_a.py::TestX::test_one", "pass"),
        ("tests/test_b.py::test_calc[3 - 0x1]", "pass"),
        ("tests.test_c.TestHeir::test_base", "pass"),
        ("tests/test_d.py (as a whole)", "fail"),
    ]


def test_jest_tells_of_skipped_tests_of_retries_and_of_files_that_do_not_load():
    told = read(json.dumps(JEST), results="out.json", exit=1)
    assert told.outcomes == {
        "a.test.js > page > head > works": "pass",
        "a.test.js > page > head > breaks": "fail",
        "a.test.js > page > foot > later": "skip",
        "a.test.js > page > foot > to do": "skip",
        "a.test.js > flaky": "pass",
        "c.test.js (as a whole)": "fail",
    }
    assert told.messages["a.test.js > page > head > breaks"].startswith("Error: expected 2")
    assert told.messages["c.test.js (as a whole)"].lstrip().startswith("● Test suite failed to run")
    assert told.remarks == ["passed only when tried again: a.test.js > flaky"]


def test_a_failed_file_without_a_failed_test_contradicts_itself():
    passing = {
        "name": f"{BOX}/a.js",
        "status": "failed",
        "assertionResults": [{"title": "t", "status": "passed"}],
    }
    told = read(json.dumps({"testResults": [passing]}), results="out.json")
    assert told.outcomes == {"a.js > t": "pass"}
    assert [one.kind for one in told.contradictions] == ["counts"]


def test_files_below_the_directory_of_the_run_are_named_without_it():
    """mocha writes whole paths, and the directory of a box is no part of a test's name."""
    one = '<testcase classname="page" name="works" file="{box}/test/{file}.js"/>'
    xml = f"<testsuite>{''.join(one.format(box=BOX, file=file) for file in 'ab')}</testsuite>"
    assert set(read(xml).outcomes) == {"test/a.js::page::works", "test/b.js::page::works"}
