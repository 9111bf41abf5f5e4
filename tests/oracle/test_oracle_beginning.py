"""What a project's tests must have shown on main before they can gate anything."""

import pytest

from oracle.cases.spec import BadSpec, Suite
from oracle.judging.verdict import Built
from oracle.suites import kinds
from oracle.suites.base import CommandResult
from oracle.suites.command import beginning, suite

from .results import files

NAMED = Suite("unit", "command", "app", command="tests", results="tap")
STATUS = Suite("unit", "command", "app", command="tests")
JUNIT = (
    '<testsuite><testcase name="x" classname="t"><error message="collection failure"/></testcase></testsuite>'
)


def unproven(one: Suite, ended: CommandResult | None, build: Built | None = None) -> str:
    return beginning.unproven(one, ended, build, suite.judge(one, ended, build=build))


def from_zero(one: Suite) -> Suite:
    return Suite.from_json(one.to_json() | {"from_zero": True})


def test_a_suite_of_which_a_test_passes_on_main_proves_something():
    assert unproven(NAMED, CommandResult(1, "1..2\nok 1 - a\nnot ok 2 - b\n")) == ""
    assert unproven(STATUS, CommandResult(0)) == ""


@pytest.mark.parametrize("status", [126, 127])
@pytest.mark.parametrize("declared", [False, True])
def test_a_command_that_could_not_be_started_proves_nothing_whatever_is_declared(status: int, declared: bool):
    one = from_zero(STATUS) if declared else STATUS
    words = unproven(one, CommandResult(status, error="sh: 1: jest: not found\n"))
    assert f"could not be started (exit status {status})" in words
    assert "jest: not found" in words


def test_a_build_that_fails_proves_nothing_and_its_words_are_told():
    words = unproven(NAMED, None, Built(2, "cc1: fatal error: no such file"))
    assert "the build fails on main with exit status 2" in words
    assert "cc1: fatal error" in words


def test_tests_that_could_not_be_collected_prove_nothing_whatever_is_declared():
    one = from_zero(Suite("unit", "command", "app", command="tests", results="out.xml", canary="none"))
    ended = CommandResult(2, "E   ModuleNotFoundError: No module named 'attrs'\n", collected=files(JUNIT))
    words = unproven(one, ended)
    assert "no test could be run on main" in words
    assert "No module named 'attrs'" in words


def test_tests_that_all_fail_are_a_beginning_that_has_to_be_declared():
    ended = CommandResult(1, "1..1\nnot ok 1 - a\n")
    assert "none of its 1 tests passes on main" in unproven(NAMED, ended)
    assert "from_zero = true" in unproven(NAMED, ended)
    assert unproven(from_zero(NAMED), ended) == ""


def test_a_red_exit_status_alone_is_a_beginning_that_has_to_be_declared():
    ended = CommandResult(1, error="make: *** No rule to make target 'test'.  Stop.\n")
    assert "No rule to make target" in unproven(STATUS, ended)
    assert unproven(from_zero(STATUS), ended) == ""


def test_the_key_of_a_suite_that_declares_nothing_is_what_it_was_before_there_was_anything_to_declare():
    assert "from_zero" not in STATUS.to_json()
    assert from_zero(STATUS).key() != STATUS.key()
    assert Suite.from_json(from_zero(STATUS).to_json()).from_zero
    with pytest.raises(BadSpec, match="must be true or false"):
        Suite.from_json(STATUS.to_json() | {"from_zero": "yes"})


def test_only_a_suite_of_tests_begins_at_zero():
    differential = Suite(
        "d", "differential", "app", cases=("c/*",), candidate="c", reference="r", from_zero=True
    )
    assert any("from_zero is for suites of tests" in problem for problem in kinds.problems(differential))
