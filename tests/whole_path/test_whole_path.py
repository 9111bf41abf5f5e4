"""From `harness init` to a push: what users' own repositories did to the verdict, each with the right outcome."""

from collections.abc import Iterator, Mapping

import pytest

from harness.boxes import sandbox
from harness.boxes.containers import Engine
from oracle.judging.verdict import Verdict

from .driver import Project, Served, served

pytestmark = [pytest.mark.containers, pytest.mark.slow]

APP = {"app/__init__.py": "", "app/sums.py": "FAST = True\n\n\ndef add(a, b):\n    return a + b\n"}
WRONG = {"app/sums.py": "FAST = True\n\n\ndef add(a, b):\n    return a - b\n"}
SLOW = {"app/sums.py": "FAST = False\n\n\ndef add(a, b):\n    return a + b\n"}
RIGHT = {"app/sums.py": "FAST = True\n\n\ndef add(a, b):\n    return b + a\n"}
TESTS = "from app.sums import FAST, add\n\n\ndef test_add():\n    assert add(1, 2) == 3\n"
ESC = "\x1b"


def python(tests: str, **more: str) -> Project:
    """Return a project with the product above and these tests, which `init` finds by itself."""
    named = {name.replace("__", "/") + ".py": text for name, text in more.items()}
    return Project({**APP, "tests/test_sums.py": tests, **named})


def recorded(results: str, on_main: str, name: str = "src/results.txt") -> Project:
    """Return a project whose command writes what a tool, which is in no box here, wrote of its tests."""
    command = f"cat {name} > /tmp/out{results}; cat {name}"
    suite = {
        "command": command,
        "results": f"/tmp/out{results}" if results.startswith(".") else results,
        "canary": "none",
        "packages": ["python3-pytest"],
        "protect": ["nothing"],
    }
    return Project({name: on_main, "src/a.js": "1\n"}, suite, by_hand=True)


CARGO = """
running 1 test
test tests::works ... {a}

test result: {a_all}. {a_passed} passed; {a_failed} failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.10s


running 1 test
test tests::works ... FAILED

test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.08s
"""
CARGO_MAIN = CARGO.format(a="ok", a_all="ok", a_passed=1, a_failed=0)
CARGO_LOST = CARGO.format(a="FAILED", a_all="FAILED", a_passed=0, a_failed=1)
TAP = "TAP version 13\n{} 1 - issue \\#12: order kept\nnot ok 2 - issue \\#13: known bug\n1..2\n"
TODO = "TAP version 13\n{}1..2\nok 2 - adds\n"
JEST = (
    '{{"testResults": [{{"name": "/x/a.test.js", "status": "passed", "assertionResults": ['
    '{{"ancestorTitles": ["page"], "title": "works", "status": "{}"}},'
    '{{"ancestorTitles": ["page"], "title": "adds", "status": "passed"}}]}}]}}'
)
JUNIT = '<?xml version="1.0" encoding="utf-8"?><testsuite><testcase name="läuft">{}</testcase><testcase name="adds"/></testsuite>'

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
    "nomodule": python("import attrs_of_nowhere\n\n" + TESTS),
    "notarget": Project({**APP, "Makefile": "test:\n\tjest\n"}, {"packages": ["python3-pytest"]}),
    "crates": recorded("cargo", CARGO_MAIN),
    "issues": recorded("tap", TAP.format("ok")),
    "todos": recorded("tap", TODO.format("ok 1 - carries\n")),
    "jests": recorded(".json", JEST.format("passed")),
    "junits": recorded(".xml", JUNIT.format("")),
}
BROKEN = {"nomodule": "attrs_of_nowhere", "notarget": "not found"}


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory, engine: Engine, run: str) -> Iterator[Served]:
    root = tmp_path_factory.mktemp("users") / "projects"
    root.mkdir()
    with served(root, PROJECTS, engine, {sandbox.RUN: run}) as made:
        yield made


def reasons(checked: Mapping[str, Verdict]) -> dict[str, str]:
    return {name: f"{verdict.status}: {verdict.reason}" for name, verdict in checked.items()}


def test_only_what_can_run_is_proven_and_the_others_say_in_the_tools_words_why_not(users: Served):
    unproven = {name for name, verdict in users.checked.items() if verdict.status != "passed"}
    assert unproven == set(BROKEN), reasons(users.checked)
    assert {users.checked[name].status for name in BROKEN} == {"broken"}
    for name, words in BROKEN.items():
        assert words in users.checked[name].reason


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


@pytest.mark.parametrize(
    ("project", "change", "lost"),
    [
        ("crates", CARGO_LOST, "tests::works"),
        ("issues", TAP.format("not ok"), "issue #12: order kept"),
        ("todos", TODO.format("not ok 1 - carries # TODO later\n"), "carries"),
        ("jests", JEST.format("pending"), "page > works"),
        ("junits", JUNIT.format("<skipped/>"), "läuft"),
    ],
    ids=["crates", "issues", "todos", "jests", "junits"],
)
def test_what_a_tool_says_of_one_test_is_not_taken_for_another_nor_a_skip_for_a_pass(
    users: Served, project: str, change: str, lost: str
):
    refused = users.push(project, {"src/results.txt": change})
    assert (refused["status"], refused.get("code")) == ("refused", "regression"), refused
    assert lost in refused["happened"]
