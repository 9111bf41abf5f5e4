"""Copies of main's own tests that expect another value: such a copy must fail."""

import pytest

from oracle.cases.spec import Suite
from oracle.inside.altered import altered
from oracle.suites.base import CommandResult
from oracle.suites.command import canary
from oracle.suites.command import suite as project

SUITE = Suite("u", "command", "r", command="pytest -rA", results="pytest", canary="tests/test_{name}.py")


def outcome(source: str, name: str, result: object) -> str:
    """How the altered test ends where the tested function returns `result`."""
    names = {"f": lambda: result}
    exec(source, names)
    try:
        names[name]()
    except AssertionError:
        return "fail"
    return "pass"


@pytest.mark.parametrize(
    ("assertion", "right"),
    [("f() == 3", 3), ("3 == f()", 3), ("f() == 0", 0), ("f() == 'a'", "a"), ("'' == f()", "")],
)
def test_an_altered_test_fails_where_the_test_passes_and_betrays_what_equals_everything(assertion, right):
    class Any:
        def __eq__(self, other: object) -> bool:
            return True

    source = altered(f"def test_a():\n    assert {assertion}\n\ndef test_b():\n    assert 0\n", "", "test_a")
    assert outcome(source, "test_a", right) == "fail"
    assert outcome(source, "test_a", Any()) == "pass"
    assert "test_b" not in source


@pytest.mark.parametrize(
    "body",
    [
        "    assert f() < 3",
        "    assert f() == 0.1",
        "    assert f() == True",
        "    assert 1 == 1",
        "    if f():\n        assert f() == 3",
        "    if f():\n        return\n    assert f() == 3",
        "    assert f() == g()",
        "    assert f() == '''a\nb'''",
    ],
)
def test_what_could_hold_all_the_same_or_is_not_surely_reached_is_not_altered(body):
    assert altered(f"def test_a():\n{body}\n", "", "test_a") is None


def test_a_test_that_is_there_twice_or_decorated_or_no_python_is_not_altered():
    test = "def test_a():\n    assert f() == 3\n"
    assert altered(test, "", "test_a")
    assert altered(test + test, "", "test_a") is None
    assert altered(f"@mark\n{test}", "", "test_a") is None
    assert altered("def test_a(:", "", "test_a") is None
    assert altered(test, "TestA", "test_a") is None


def test_an_altered_method_stays_in_its_class():
    text = "class TestA(T):\n    def test_a(self):\n        self.assertEqual(f(), 3)\n"
    assert altered(text, "TestA", "test_a") == text.replace("3", "9")


def test_a_copy_is_called_as_the_files_beside_it_and_never_as_another_one():
    names = ["tests/test_calc.py::test_adds_numbers", "tests/test_calc.py::TestA::test_b", "x.py::test[1]"]
    chosen = canary.altered(SUITE, names, "secret")
    assert {test.path for test in chosen} == {"tests/test_calc.py"}
    assert all(test.copy.startswith("tests/test_calc_") for test in chosen)
    assert all(test.id.startswith(f"{test.copy}::") for test in chosen)
    clash = ["a/test_x.py::test_y", "b/test_x_y.py::test_y"]
    assert all(test.path != "a/test_x.py" for test in canary.altered(SUITE, clash, "secret"))


@pytest.mark.parametrize(("copy", "status"), [("FAILED", "passed"), ("PASSED", "failed")])
def test_a_run_in_which_an_altered_copy_passes_counts_for_nothing(copy, status):
    planted = canary.hatch(SUITE, "secret")
    ended = CommandResult(
        1,
        f"PASSED t.py::a\nPASSED t.py::{planted.passes}\nFAILED t.py::{planted.fails}\n"
        f"{copy} test_t_x.py::test_a\n"
        + ("= 2 failed, 2 passed in 1s =" if copy == "FAILED" else "= 1 failed, 3 passed in 1s ="),
        altered="test_t_x.py::test_a",
    )
    decided = project.judge(SUITE, ended, planted=planted, on_main=["t.py::a"])
    assert decided.status == status
    assert ("expects another value passed" in decided.reason) is (copy == "PASSED")
    assert "test_t_x.py::test_a" not in decided.outcomes
