"""What this project's own pytest prints and writes, in the forms that users ask of it, is read as one and the same."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from oracle.suites.base import CommandResult, ResultsFile
from oracle.suites.command import readers

DIRECTORY = "tests/v1.2 old"
TESTS = """
import unittest

import pytest


class TestX(unittest.TestCase):
    def test_sub(self):
        for number in range(3):
            with self.subTest(number=number):
                self.assertLess(number, 2)

    @unittest.skip("no time")
    def test_skipped(self):
        pass

    @unittest.expectedFailure
    def test_known(self):
        assert False


@pytest.mark.parametrize("text", ["3 - 1", "3 - 0x1"])
def test_number(text):
    print("<!DOCTYPE html>")
    assert "x" not in text, "ESC \\x1b[31m NUL \\x00"


@pytest.mark.xfail(reason="mended?")
def test_unexpected():
    pass


@pytest.fixture
def tidy():
    yield
    assert False


def test_teardown(tidy):
    pass
"""
FILE = f"{DIRECTORY}/test_a.py"
OUTCOMES = {
    f"{FILE}::TestX::test_sub": "fail",
    f"{FILE}::TestX::test_skipped": "skip",
    f"{FILE}::TestX::test_known": "skip",
    f"{FILE}::test_number[3 - 1]": "pass",
    f"{FILE}::test_number[3 - 0x1]": "fail",
    f"{FILE}::test_unexpected": "pass",
    f"{FILE}::test_teardown": "fail",
    "tests/test_d.py (as a whole)": "fail",
}
JUNIT = "-rX --continue-on-collection-errors -o junit_family=xunit1 --junitxml=out.xml"
TEXT = "-v -rA --continue-on-collection-errors"


@pytest.fixture(scope="module")
def tests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("project")
    (top / DIRECTORY).mkdir(parents=True)
    (top / FILE).write_text(TESTS)
    (top / "tests/test_d.py").write_text("import nowhere\n")
    return top


def run(top: Path, options: str) -> CommandResult:
    (top / "out.xml").unlink(missing_ok=True)
    argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir=.", *shlex.split(options)]
    ended = subprocess.run(argv, cwd=top, capture_output=True, check=False, timeout=120)
    content = (top / "out.xml").read_bytes() if (top / "out.xml").exists() else b""
    return CommandResult(
        ended.returncode,
        ended.stdout.decode("utf-8", "backslashreplace"),  # as in a box
        ended.stderr.decode("utf-8", "backslashreplace"),
        (ResultsFile("out.xml", content, len(content)),) if content else (),
        directory=str(top),
    )


@pytest.mark.parametrize(
    "options",
    [
        f"-q {JUNIT}",
        f"-q -q --color=yes {JUNIT}",
        f"-n2 -o junit_logging=all {JUNIT}",
        TEXT,
        f"{TEXT} --color=yes",
        f"{TEXT} -n2",
    ],
)
def test_whatever_pytest_is_told_about_its_output_the_tests_are_the_same(tests: Path, options: str):
    report = readers.read("out.xml" if "xml" in options else "pytest", run(tests, options))
    assert report.problem == ""
    outcomes = {name: outcome for name, outcome in report.outcomes.items() if name != readers.COMMAND}
    assert outcomes == OUTCOMES
    assert report.messages.get(f"{FILE}::TestX::test_skipped", "no time").startswith("no time")
    assert any(remark.endswith((f"{FILE}::test_unexpected", ": 1")) for remark in report.remarks)


def test_output_without_totals_is_refused_by_the_name_of_the_option(tests: Path):
    assert "two -q" in readers.read("pytest", run(tests, f"-q -q '{DIRECTORY}'")).problem
