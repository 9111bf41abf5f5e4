"""Canaries and main's own list of tests: what a run must show before any test of it counts."""

import ast
import re

import pytest

from oracle.cases.spec import Suite
from oracle.judging.verdict import Built
from oracle.suites import kinds
from oracle.suites.base import NO_CANARY, CommandResult
from oracle.suites.command import canary
from oracle.suites.command import suite as project

from .results import files

SUITE = Suite("unit", "command", "r", command="pytest", results="out.xml", canary="tests/test_{name}.py")
PLANTED = canary.hatch(SUITE, "secret")
PLAIN = Suite("unit", "command", "r", command="make test", canary="tests/test_{name}.py")


def xml(**tests: str) -> str:
    """A JUnit file; `good` and `bad` are the canaries' tests, and the last one each of the project's own."""
    known = {"good": f"test_{PLANTED.passes}", "bad": f"test_{PLANTED.fails}"}
    told = {"fail": "<failure/>", "skip": "<skipped/>"}
    rows = "".join(
        f'<testcase name="{known.get(name, name)}">{told.get(outcome, "")}</testcase>'
        for name, outcome in tests.items()
    )
    return f"<testsuite>{rows}</testsuite>"


def judged(text: str | None, *, exit: int = 1, **more):
    return project.judge(SUITE, CommandResult(exit, collected=files(text)), planted=PLANTED, **more)


RIGHT = {"good": "pass", "bad": "fail"}


def test_canaries_that_show_what_they_must_are_in_no_outcome_and_no_count():
    decided = judged(xml(a="pass", b="pass", **RIGHT))
    assert (decided.status, decided.outcomes, decided.counts.cases) == (
        "passed",
        {"a": "pass", "b": "pass"},
        2,
    )
    decided = judged(xml(a="pass", b="fail", **RIGHT))
    assert (decided.status, decided.outcomes, decided.reason) == (
        "failed",
        {"a": "pass", "b": "fail"},
        "1 of 2 tests fail",
    )


@pytest.mark.parametrize(
    ("shown", "says"),
    [
        ({}, "did not run"),
        ({"good": "pass", "bad": "pass"}, "must fail was reported as passed"),
        ({"good": "fail", "bad": "fail"}, "must pass was reported as failed"),
        ({"good": "pass"}, "the one that must fail was not reported"),
        ({"bad": "fail"}, "the one that must pass was not reported"),
        ({"good": "fail", "bad": "pass"}, "must fail was reported as passed"),
    ],
)
def test_where_the_canaries_are_missing_or_wrong_no_test_counts_and_the_reason_says_so(shown, says):
    decided = judged(xml(a="pass", b="pass", **shown), exit=0)
    assert (decided.status, decided.outcomes, decided.counts.passed) == (
        "failed",
        {"a": "fail", "b": "fail", "command": "fail"},
        0,
    )
    assert says in decided.reason and "no test of this run counts" in decided.reason
    assert [failure["id"] for failure in decided.failures] == ["command"]


def test_of_a_run_that_was_cut_short_the_test_that_did_it_is_shown():
    decided = judged(xml(a="pass", b="fail"))
    assert [failure["id"] for failure in decided.failures] == ["b"]


def test_a_canary_that_found_no_place_is_no_pass():
    for suite, ended, sabotaged in (
        (SUITE, CommandResult(126, error="tests: Not a directory", unplanted=True), None),
        (PLAIN, CommandResult(0), CommandResult(126, unplanted=True)),
    ):
        decided = project.judge(suite, ended, planted=PLANTED, sabotaged=sabotaged)
        assert decided.status == "failed" and "could not be added" in decided.reason


def test_nothing_read_stays_broken_unless_main_shows_that_it_can_be_read():
    assert judged(None).status == "broken"
    assert judged(xml(**RIGHT)).status == "broken"
    for text, says in ((None, "was not written"), (xml(**RIGHT), "not run, and main runs them: a, b")):
        decided = judged(text, on_main=["a", "b", "command", "x (as a whole)"])
        assert (decided.status, decided.outcomes) == (
            "failed",
            {"a": "fail", "b": "fail"},
        ) and says in decided.reason


def test_a_test_that_main_runs_and_this_run_does_not_has_failed_and_is_named():
    decided = judged(xml(a="pass", **RIGHT), on_main=["a", "gone"])
    assert (decided.status, decided.outcomes, decided.missing) == (
        "failed",
        {"a": "pass", "gone": "fail"},
        ("gone",),
    )
    assert decided.reason == "1 of 2 tests fail; not run, and main runs them: gone"
    assert judged(xml(a="pass", new="pass", **RIGHT), on_main=["a"]).status == "passed"


def test_a_tree_that_does_not_build_fails_each_test_of_main():
    assert project.judge(SUITE, None, build=Built(1, "no"), on_main=["a", "b"]).outcomes == {
        "a": "fail",
        "b": "fail",
    }


@pytest.mark.parametrize(
    ("ended", "sabotaged", "status", "says"),
    [
        (CommandResult(0), CommandResult(1), "passed", ""),
        (CommandResult(0), CommandResult(0), "failed", "still succeeds"),
        (CommandResult(0), CommandResult(-9, timed_out=True), "failed", "no end"),
        (CommandResult(0), None, "failed", "took down"),
        (CommandResult(2), None, "failed", "1 of 1 tests fail"),
        (None, None, "broken", "took down"),
    ],
)
def test_where_only_the_exit_status_counts_the_canary_must_move_it(ended, sabotaged, status, says):
    decided = project.judge(PLAIN, ended, planted=PLANTED, sabotaged=sabotaged)
    assert decided.status == status and says in decided.reason
    assert decided.outcomes == (
        {"command": "pass" if status == "passed" else "fail"} if status != "broken" else {}
    )


# -- the files
# ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", canary.USUAL.values())
def test_every_run_has_names_of_its_own_and_no_placeholder_is_left(path):
    suite = Suite("s", "command", "r", command="x", canary=path)
    one, two, again = (canary.hatch(suite, secret) for secret in ("1", "2", "1"))
    assert one == again and len({one.path, two.path, one.passes, two.passes, one.fails, two.fails}) == 6
    for text in (one.path, one.text):
        assert not re.search(r"\{(name|passes|fails)\}", text)
    assert one.passes in one.text and one.fails in one.text and re.fullmatch("[a-p]{16}", one.passes)


def test_the_python_canary_is_python_and_does_what_it_says():
    made: dict = {}
    exec(compile(ast.parse(PLANTED.text), PLANTED.path, "exec"), made)
    [case] = [value for name, value in made.items() if name.startswith("Test")]
    run = case(f"test_{PLANTED.passes}").run()
    assert run.wasSuccessful()
    run = case(f"test_{PLANTED.fails}").run()
    assert len(run.failures) == 1


def test_a_suite_without_one_has_none():
    for name in (None, NO_CANARY):
        assert canary.hatch(Suite("s", "command", "r", command="x", canary=name), "secret") is None


def test_a_text_of_the_users_own_may_have_braces_of_its_own():
    suite = Suite(
        "s",
        "command",
        "r",
        command="x",
        canary="t/{name}.test.js",
        canary_text="test('{passes}', () => {}); test('{fails}', () => { throw {name}; })",
    )
    made = canary.hatch(suite, "secret")
    assert made.text.startswith(f"test('{made.passes}', () => {{}});") and "{" in made.text


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, None),
        ({"canary": "none"}, None),
        ({"canary": "tests/test.py"}, "needs {name} in it"),
        ({"canary": "/tmp/test_{name}.py"}, "below the repository's top"),
        ({"canary": "../test_{name}.py"}, "below the repository's top"),
        ({"canary": "tests/{name}.rb"}, "canary_text says what"),
        ({"canary": "tests/{name}.js", "canary_text": "{passes}"}, "has no {fails}"),
        ({"canary": None, "canary_text": "{passes} {fails}"}, "without canary"),
        ({"kind": "differential"}, "for command suites"),
    ],
)
def test_a_canary_that_cannot_be_planted_is_a_problem(changes, says):
    suite = Suite.from_json({k: v for k, v in (SUITE.to_json() | changes).items() if v is not None})
    found = kinds.of(suite).canary_problems(suite)
    assert found == [] if says is None else len(found) == 1 and says in found[0]


@pytest.mark.parametrize(
    ("results", "needed"),
    [("pytest", True), ("cargo", True), ("go", True), ("out.xml", True), ("tap", False), (None, False)],
)
def test_where_tests_have_names_a_suite_says_what_it_does_about_canaries(results, needed):
    assert canary.is_needed(Suite("s", "command", "r", command="x", results=results)) is needed
    assert not canary.is_needed(Suite("s", "command", "r", command="x", results=results, canary="none"))


@pytest.mark.parametrize(
    ("command", "results", "usual"),
    [
        ("cargo test", "cargo", ".rs"),
        ("go test -v ./...", "go", ".go"),
        ("python3 -m pytest", "out.xml", ".py"),
        ("cargo nextest run", "out.xml", ".rs"),
        ("npx jest --json --outputFile=out.json", "out.json", ".js"),
    ],
)
def test_what_is_suggested_fits_the_language(command, results, usual):
    assert canary.usual(Suite("s", "command", "r", command=command, results=results)) == canary.USUAL[usual]


# -- on main, before anything starts
# --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("plain", "with_it", "says"),
    [
        (xml(a="pass"), xml(a="pass", **RIGHT), ""),
        (xml(a="fail"), xml(a="fail", **RIGHT), ""),
        (xml(a="pass", b="skip"), xml(a="pass", b="skip", **RIGHT), ""),
        (xml(a="pass", b="pass"), xml(a="pass", b="skip", **RIGHT), "1 others do not run"),
        (xml(a="pass"), xml(a="pass"), "where the command looks for tests?"),
        (xml(a="pass", b="pass"), xml(a="pass", **RIGHT), "1 others do not run"),
        (xml(a="pass"), xml(a="pass", good="pass", bad="pass"), "must fail was reported as passed"),
        (xml(a="pass"), None, "was not written"),
    ],
)
def test_what_is_wrong_with_a_canary_on_main_is_told_with_the_way_to_mend_it(plain, with_it, says):
    told = project.unseen(
        SUITE, CommandResult(0, collected=files(plain)), PLANTED, CommandResult(1, collected=files(with_it))
    )
    assert told == "" if not says else says in told


def test_without_names_the_canary_is_not_seen_and_the_option_is_told():
    suite = Suite("s", "command", "r", command="pytest", results="pytest", canary="tests/test_{name}.py")
    told = project.unseen(
        suite,
        CommandResult(0, "== 2 passed in 0.1s ==\n"),
        PLANTED,
        CommandResult(1, "== 1 failed, 3 passed in 0.1s ==\n"),
    )
    assert "-rA or -v" in told


def test_an_exit_status_that_the_canary_cannot_move_is_found_out_on_main():
    assert project.unseen(PLAIN, CommandResult(0), PLANTED, CommandResult(1)) == ""
    assert "still succeeds" in project.unseen(PLAIN, CommandResult(0), PLANTED, CommandResult(0))
    assert project.unseen(PLAIN, CommandResult(1), PLANTED, CommandResult(1)) == "", (
        "main's own tests fail: nothing is to be seen"
    )
    assert "took down" in project.unseen(PLAIN, CommandResult(0), PLANTED, None)
    assert "another path" in project.unseen(
        PLAIN, CommandResult(0), PLANTED, CommandResult(126, unplanted=True)
    )
