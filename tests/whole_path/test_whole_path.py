"""From `harness init` to a push: what users' own repositories did to the verdict, each with the right outcome."""

from collections.abc import Iterator

import pytest

from harness.boxes import sandbox
from harness.boxes.containers import Engine

from .driver import Project, Served, served

pytestmark = [pytest.mark.containers, pytest.mark.slow]

APP = {"app/__init__.py": "", "app/sums.py": "FAST = True\n\n\ndef add(a, b):\n    return a + b\n"}
WRONG = {"app/sums.py": "FAST = True\n\n\ndef add(a, b):\n    return a - b\n"}
SLOW = {"app/sums.py": "FAST = False\n\n\ndef add(a, b):\n    return a + b\n"}
RIGHT = {"app/sums.py": "FAST = True\n\n\ndef add(a, b):\n    return b + a\n"}
TESTS = "from app.sums import FAST, add\n\n\ndef test_add():\n    assert add(1, 2) == 3\n"
ESC = "\x1b"


AWKWARD = {
    "skips": TESTS
    + "\n\nimport pytest\n\n\n@pytest.mark.skipif(not FAST, reason='slow here')\ndef test_fast():\n    pass\n",
    "other": "import attrs_of_nowhere\n\n\ndef test_other():\n    pass\n",
    "ids": "import pytest\n\nfrom app.sums import add\n\n\n"
    "@pytest.mark.parametrize('text', ['3 - 1', '3 - 0x1'])\n"
    "def test_calc(text):\n    left, right = text.split(' - ')\n    assert add(int(left), -int(right)) == 2\n",
    "page": TESTS
    + "\n\ndef test_page():\n    print('<!DOCTYPE html><!ENTITY x \"y\">]]>')\n    assert add(0, 1) == 1\n",
    "red": f"def test_red():\n    print(chr(0))\n    assert False, 'red {ESC}[31m \\x00 \\udcff'\n",
    "parts": "import unittest\n\nfrom app.sums import add\n\n\nclass TestSums(unittest.TestCase):\n"
    "    def test_add(self):\n        for number in range(3):\n            with self.subTest(number=number):\n"
    "                self.assertEqual(add(number, 1), number + 1)\n",
}
ON_MAIN = {
    "tests/test_skips.py::test_add": "pass",
    "tests/test_skips.py::test_fast": "pass",
    "tests/test_other.py (as a whole)": "fail",
    "tests/test_ids.py::test_calc[3 - 1]": "pass",
    "tests/test_ids.py::test_calc[3 - 0x1]": "fail",
    "tests/test_page.py::test_add": "pass",
    "tests/test_page.py::test_page": "pass",
    "tests/test_red.py::test_red": "fail",
    "tests/test_parts.py::TestSums::test_add": "pass",
}
PROJECTS = {
    "awkward": Project(
        {
            **APP,
            **{f"tests/test_{name}.py": text for name, text in AWKWARD.items()},
            "pytest.ini": "[pytest]\naddopts = --color=yes -q -q\n",
        }
    ),
}


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory, engine: Engine, run: str) -> Iterator[Served]:
    root = tmp_path_factory.mktemp("users") / "projects"
    root.mkdir()
    with served(root, PROJECTS, engine, {sandbox.RUN: run}) as made:
        yield made


def test_every_test_of_an_awkward_project_is_a_case_of_its_own(users: Served):
    assert users.outcomes("awkward") == ON_MAIN


def test_what_the_tests_tell_apart_decides_over_each_change(users: Served):
    refused = users.push("awkward", WRONG)
    assert (refused["status"], refused.get("code")) == ("refused", "regression"), refused
    assert refused["happened"].startswith("5 cases"), refused
    skipping = users.push("awkward", SLOW)
    assert (skipping["status"], skipping.get("code")) == ("refused", "regression"), skipping
    assert "1 of them are skipped: tests/test_skips.py::test_fast" in skipping["happened"]
    landed = users.push("awkward", RIGHT)
    assert landed["status"] == "landed", landed
