"""Not run is not passed: what each tool says of a test that it skipped, and what becomes of it."""

from dataclasses import replace

import pytest

from mcp_server.core import landing
from oracle.cases.spec import Suite
from oracle.judging import report, verdict
from oracle.judging.verdict import CaseCounts, Verdict
from oracle.suites.base import CommandResult
from oracle.suites.command import canary, readers
from oracle.suites.command import suite as project

from .results import files

SUITE = Suite("unit", "command", "app", command="x", results="tap")
TAP = """TAP version 13
ok 1 - adds
ok 2 - parses # SKIP no parser yet
not ok 3 - prints # TODO by Friday
ok 4 - sings # TODO
1..4
"""
PYTEST = """test_m.py::test_a PASSED                                     [ 16%]
test_m.py::test_s SKIPPED (no time)                          [ 33%]
test_m.py::test_x XFAIL (known)                              [ 50%]
test_m.py::test_p XPASS (mended?)                            [ 66%]
=========================== short test summary info ============================
PASSED test_m.py::test_a
SKIPPED [1] test_m.py:7: no time
XFAIL test_m.py::test_x - known
XPASS test_m.py::test_p - mended?
============= 1 passed, 1 skipped, 1 xfailed, 1 xpassed in 0.02s =============
"""
GO = """=== RUN   TestLater
    calc_test.go:5: no network
--- SKIP: TestLater (0.00s)
=== RUN   TestNow
--- PASS: TestNow (0.00s)
PASS
ok  \texample.com/calc\t0.007s
"""
CARGO = """running 2 tests
test tests::later ... ignored, needs a clock
test tests::now ... ok

test result: ok. 1 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.09s
"""


def read(results: str, output: str = "", exit: int = 0, xml: str | None = None) -> readers.TestReport:
    told = readers.read(results, CommandResult(exit, output, collected=files(xml)))
    assert told.problem == ""
    return told


def test_tap_skips_what_is_skipped_or_still_to_be_done():
    told = read("tap", TAP)
    assert told.outcomes == {"adds": "pass", "parses": "skip", "prints": "skip", "sings": "skip"}
    assert told.messages == {"parses": "SKIP no parser yet", "prints": "TODO by Friday", "sings": "TODO"}


def test_a_failing_subtest_of_what_is_to_be_done_is_skipped_with_it():
    output = "    not ok 1 - carries\n    ok 2 - adds\n    1..2\nnot ok 1 - sums # TODO\n1..1\n"
    told = readers.read("tap", CommandResult(0, output))
    assert told.outcomes == {"sums": "skip", "sums > carries": "skip", "sums > adds": "pass"}


def test_pytest_says_why_a_test_was_skipped_and_that_a_failure_was_expected():
    told = read("pytest", PYTEST)
    by_name = {"test_a": "pass", "test_s": "skip", "test_x": "skip", "test_p": "pass"}
    assert told.outcomes == {f"test_m.py::{name}": outcome for name, outcome in by_name.items()}
    assert (told.messages["test_m.py::test_s"], told.messages["test_m.py::test_x"]) == ("no time", "known")
    assert told.remarks == ["passed though marked as failing: test_m.py::test_p"]


def test_skipped_tests_that_pytest_does_not_name_are_counted_and_their_reasons_told_of_those_that_are_lost():
    output = (
        "PASSED test_m.py::test_a\nSKIPPED [1] test_m.py:7: no time\n=== 1 passed, 1 skipped in 0.02s ===\n"
    )
    assert "1 tests were skipped that the output does not name" in read("pytest", output).remarks[0]
    on_main = ["test_m.py::test_a", "test_m.py::test_s"]
    decided = project.judge(replace(SUITE, results="pytest"), CommandResult(0, output), on_main=on_main)
    [failure] = decided.failures
    assert failure["id"] == "test_m.py::test_s"
    assert "test_m.py:7: no time" in failure["candidate"]["output"]


@pytest.mark.parametrize(
    ("results", "output", "name", "reason"),
    [
        ("go", GO, "example.com/calc.TestLater", "calc_test.go:5: no network"),
        ("cargo", CARGO, "tests::later", "needs a clock"),
    ],
)
def test_go_and_cargo_say_why_they_skip(results: str, output: str, name: str, reason: str):
    told = read(results, output)
    assert (told.outcomes[name], told.messages[name]) == ("skip", reason)
    assert sorted(told.outcomes.values()) == ["pass", "skip"]


@pytest.mark.parametrize(
    "said",
    [
        '<testcase name="t"><skipped/></testcase>',
        '<testcase name="t"><skipped type="pytest.skip" message="why">at line 3</skipped></testcase>',
        '<testcase name="t"><skipped type="pytest.xfail" message="why"/></testcase>',
        '<testcase name="t" status="notrun" result="suppressed"/>',
        '<testcase name="t" status="disabled"/>',
        '<testcase name="t" status="run" result="skipped"/>',
        '<testcase name="t"><skipped type="todo" message="why"/><failure>not yet</failure></testcase>',
    ],
)
def test_every_spelling_of_junit_for_what_did_not_run_is_a_skip(said: str):
    xml = f'<testsuite><testcase name="other"/>{said}</testsuite>'
    told = read("out.xml", xml=xml)
    assert told.outcomes == {"other": "pass", "t": "skip"}
    assert told.messages.get("t", "why").startswith("why")


def test_a_test_that_was_skipped_and_then_broke_has_failed():
    xml = '<testsuite><testcase name="t"><skipped/><error>in its teardown</error></testcase></testsuite>'
    assert read("out.xml", exit=1, xml=xml).outcomes == {"t": "fail"}


def test_a_pass_by_retry_is_a_pass_and_told():
    xml = (
        '<testsuite><testcase name="t"><flakyFailure message="once">at 3</flakyFailure></testcase>'
        '<testcase name="u"><failure>no</failure><rerunFailure>no</rerunFailure></testcase></testsuite>'
    )
    told = read("out.xml", exit=1, xml=xml)
    assert (told.outcomes, told.remarks) == ({"t": "pass", "u": "fail"}, ["passed only when tried again: t"])
    output = "RERUN test_m.py::test_f\nPASSED test_m.py::test_f\n=== 1 passed, 1 rerun in 0.02s ===\n"
    assert read("pytest", output).remarks == ["passed only when tried again: test_m.py::test_f"]


def test_an_unexpected_pass_is_told_though_the_xml_of_pytest_does_not_tell_it():
    xml = '<testsuite><testcase classname="m" name="test_p"/></testsuite>'
    told = read("out.xml", "XPASS test_m.py::test_p - mended?\n=== 1 xpassed in 0.02s ===\n", xml=xml)
    assert told.remarks == ["passed though marked as failing: test_m.py::test_p"]


@pytest.mark.parametrize("results", ["tap", "out.xml"])
def test_a_run_that_skips_everything_says_so_and_why(results: str):
    xml = '<testsuite><testcase name="t"><skipped message="no time"/></testcase></testsuite>'
    ended = CommandResult(0, "ok 1 - t # SKIP no time\n1..1\n", collected=files(xml))
    decided = project.judge(replace(SUITE, results=results), ended)
    assert decided.status == verdict.BROKEN
    assert "no test ran, and 1 were skipped" in decided.reason and "no time" in decided.reason


def test_a_skip_where_main_skips_too_is_neither_a_pass_nor_a_failure():
    decided = project.judge(SUITE, CommandResult(0, TAP), on_main=["adds"])
    assert (decided.status, decided.missing, decided.failures) == ("passed", (), [])
    assert decided.counts == CaseCounts(4, 1, 1, 1, 0, 3)


def test_a_skip_of_what_main_runs_is_a_loss_that_is_told_as_one():
    decided = project.judge(SUITE, CommandResult(0, TAP), on_main=["adds", "parses"])
    assert (decided.status, decided.outcomes["parses"], decided.missing) == ("failed", "skip", ("parses",))
    assert decided.failing() == {"parses"}
    assert decided.reason == "skipped, and main runs them: parses"
    [failure] = decided.failures
    assert failure["difference"] == "main runs this test, and this run skipped it: SKIP no parser yet"
    assert Verdict.from_json(decided.to_json()) == replace(
        decided, failures=tuple(decided.failures), causes=tuple(decided.causes)
    )


def test_the_ratchet_refuses_a_skip_of_what_passes_on_main_and_of_what_the_task_names():
    lost = landing.SuiteOutcomes("unit", {"a": "pass"}, {"a": "skip"}, (), frozenset(), frozenset())
    refusal = landing.ratchet([lost])
    assert refusal is not None and "1 of them are skipped: a" in refusal.happened
    named = landing.SuiteOutcomes("unit", {"a": "fail"}, {"a": "skip"}, ("a",), frozenset(), frozenset())
    refusal = landing.ratchet([named])
    assert refusal is not None and refusal.code == "oracle_failed"
    neither = landing.SuiteOutcomes("unit", {"a": "skip"}, {"a": "skip"}, (), frozenset(), frozenset())
    assert landing.ratchet([neither]) is None


def test_an_agent_is_shown_how_many_are_skipped_and_which_it_lost_so():
    decided = project.judge(SUITE, CommandResult(0, TAP), on_main=["adds", "parses"])
    on_main = {"adds": "pass", "parses": "pass", "prints": "skip", "sings": "skip"}
    told = report.brief(decided, on_main=on_main, chars=4_000)
    assert (told["counts"]["skipped"], told["counts"]["failed"]) == (3, 0)
    assert (told["against_main"]["newly_skipped"], told["against_main"]["newly_failing_cases"]) == (
        1,
        ["parses"],
    )
    assert told["groups"] == {".": "1/4 (+0 -1), 3 skipped"}


def test_a_skipped_canary_did_not_run():
    suite = replace(SUITE, canary="tests/test_{name}.py")
    planted = canary.hatch(suite, "secret")
    assert planted is not None
    output = f"ok 1 - {planted.passes} # SKIP\nok 2 - {planted.fails} # SKIP\nok 3 - adds\n1..3\n"
    decided = project.judge(suite, CommandResult(0, output), planted=planted)
    assert decided.status == "failed" and "did not run" in decided.reason
