"""Reading a project's own test results: what ran, what failed, and what must not look like a pass."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracle.cases.spec import Suite
from oracle.judging.verdict import Built, Verdict
from oracle.suites.base import CommandResult
from oracle.suites.command import readers
from oracle.suites.command import suite as project

from .results import files

JUNIT = """<?xml version="1.0"?><testsuites><testsuite>
<testcase classname="t.a" name="one"/><testcase classname="t.a" name="two"><failure message="boom">at line 3</failure></testcase>
<testcase classname="t.a" name="three"><skipped/></testcase><testcase name="four"><error>gone</error></testcase></testsuite></testsuites>"""
PASSING = '<testsuite><testcase classname="t" name="one"/></testsuite>'
TAP = "TAP version 13\n1..3\nok 1 - adds\nnot ok 2 - subtracts\n  ---\n  at: 3\n  ...\nok 3 - later # SKIP no time\n"
PYTEST = (
    "..F\nFAILED tests/test_a.py::test_b - assert 1 == 2\n=== 1 failed, 2 passed, 1 skipped in 0.03s ===\n"
)


def ended_as(*, collected=None, **ended):
    return CommandResult(**({"exit": 0} | ended), collected=files(collected))


def outcomes(results, **ended):
    told = readers.read(results, ended_as(**ended))
    return told.problem or told.outcomes


def status(results, **ended):
    return project.judge(Suite("s", "command", "r", command="x", results=results), ended_as(**ended)).status


def test_junit():
    told = readers.read("out.xml", CommandResult(1, collected=files(JUNIT)))
    assert told.outcomes == {"t.a::one": "pass", "t.a::two": "fail", "t.a::three": "skip", "four": "fail"}
    assert told.messages == {"t.a::two": "boom\nat line 3", "four": "gone"}


def test_tap():
    assert outcomes("tap", exit=1, output=TAP) == {"adds": "pass", "subtracts": "fail", "later": "skip"}


def test_pytest_names_what_its_options_show():
    assert outcomes("pytest", exit=1, output=PYTEST) == {"tests/test_a.py::test_b": "fail", "command": "fail"}
    verbose = "tests/test_a.py::test_x[a b] PASSED   [ 50%]\nPASSED tests/test_a.py::test_y\n== 2 passed, 3 warnings in 1.00s ==\n"
    assert outcomes("pytest", output=verbose) == {
        "tests/test_a.py::test_x[a b]": "pass",
        "tests/test_a.py::test_y": "pass",
    }
    spread = "[gw0] [ 50%] PASSED tests/a.py::test_x \n[gw1] [100%] FAILED tests/a.py::test_y\nFAILED tests/a.py::test_y - no\n= 1 failed, 1 passed in 1.00s =\n"
    assert outcomes("pytest", exit=1, output=spread.replace("x \n", "x\n")) == {
        "tests/a.py::test_x": "pass",
        "tests/a.py::test_y": "fail",
    }


def test_a_file_that_cannot_be_collected_stands_for_its_tests():
    said = "ERROR tests/test_a.py - SyntaxError: no\nPASSED tests/test_b.py::test_b\n=== 1 passed, 1 error in 0.03s ===\n"
    assert outcomes("pytest", exit=1, output=said) == {
        "tests/test_a.py (as a whole)": "fail",
        "tests/test_b.py::test_b": "pass",
    }
    xml = '<testsuite errors="1"><testcase name="tests.test_a"><error message="collection failure">no</error></testcase></testsuite>'
    assert outcomes("out.xml", exit=2, collected=xml) == {"tests.test_a (as a whole)": "fail"}
    assert [
        name
        for name in ("command", "tests.test_a (as a whole)", "tests.test_a::one")
        if readers.is_test(name)
    ] == ["tests.test_a::one"]


def test_the_quiet_summary_of_pytest_is_read_too():
    assert outcomes("pytest", output="..  [100%]\n2 passed in 0.01s\n") == {"command": "pass"}


def test_exit_status_alone_is_one_case():
    assert outcomes(None, exit=0) == {"command": "pass"}
    assert outcomes(None, exit=3, output="no") == {"command": "fail"}
    assert outcomes(None, exit=-9) == {"command": "fail"}
    assert outcomes(None, exit=0, timed_out=True) == {"command": "fail"}


@pytest.mark.parametrize(
    ("results", "ended"),
    [
        ("out.xml", {"collected": None}),
        ("out.xml", {"collected": ""}),
        ("out.xml", {"collected": "<testsuite/>"}),
        ("out.xml", {"collected": "<testsuite><testcase name='a'><skipped/></testcase></testsuite>"}),
        ("out.xml", {"collected": PASSING[:-5]}),
        ("out.xml", {"collected": f'<!DOCTYPE x [<!ENTITY a "b">]>{PASSING}'}),
        ("tap", {"output": ""}),
        ("tap", {"output": "1..0 # SKIP all\n"}),
        ("tap", {"output": "1..1\nok 1 # SKIP\n"}),
        ("pytest", {"output": ""}),
        ("pytest", {"output": "no tests ran in 0.01s\n"}),
        ("pytest", {"output": "=== 3 skipped in 0.01s ===\n"}),
        ("pytest", {"output": "PASSED tests/a.py::test_a\n"}),
    ],
)
def test_when_nothing_ran_or_nothing_can_be_read_the_verdict_is_broken(results, ended):
    assert status(results, **ended) == "broken"
    assert status(results, exit=1, **ended) == "broken"


@pytest.mark.parametrize(
    ("results", "ended"),
    [
        ("out.xml", {"collected": PASSING, "exit": 1}),
        ("out.xml", {"collected": PASSING, "timed_out": True, "exit": -9}),
        (
            "out.xml",
            {
                "collected": PASSING.replace(
                    "/>", "/><testcase classname='t' name='one'><failure/></testcase>", 1
                )
            },
        ),
        ("tap", {"output": "1..2\nok 1\n"}),
        ("tap", {"output": "ok 1\n"}),
        ("tap", {"output": "1..1\nok 1\nBail out! no disk\n"}),
        ("tap", {"output": "1..1\nok 1\n", "exit": 2}),
        ("tap", {"output": "1..1\nok 1\n", "truncated": True}),
        ("pytest", {"output": "== 2 passed in 0.1s ==\n", "exit": 1}),
        ("pytest", {"output": "== 2 passed, 1 error in 0.1s ==\n"}),
        ("pytest", {"output": "PASSED a.py::test_a\n== 1 passed in 0.1s ==\n== 2 passed in 0.1s ==\n"}),
        ("out.xml", {"collected": PASSING.replace("<testsuite>", '<testsuite tests="2" failures="1">')}),
        ("tap", {"output": "1..1\nok 1\n", "exit": -9}),
    ],
)
def test_what_contradicts_itself_is_a_failure(results, ended):
    assert status(results, **ended) == "failed"


AGAINST_ITSELF = [
    ("time", "tap", {"output": "1..1\nok 1\n", "timed_out": True, "exit": -9}),
    ("output", "tap", {"output": "1..1\nok 1\n", "truncated": True}),
    ("signal", "tap", {"output": "1..1\nok 1\n", "exit": -6}),
    ("signal", "tap", {"output": "1..1\nok 1\n", "exit": 134}),
    ("exit", "tap", {"output": "1..1\nok 1\n", "exit": 3}),
    ("exit", "tap", {"output": "1..1\nok 1\n", "exit": 255}),
    ("success", "tap", {"output": "1..1\nnot ok 1\n"}),
    ("plan", "tap", {"output": "1..2\nok 1\n"}),
    ("bail out", "tap", {"output": "1..1\nok 1\nBail out! no disk\n"}),
    ("summaries", "pytest", {"output": "PASSED a.py::b\n== 2 passed in 0.1s ==\n== 1 passed in 1s ==\n"}),
    ("counts", "pytest", {"output": "PASSED a.py::b\nPASSED a.py::c\n== 1 passed in 0.1s ==\n"}),
    ("counts", "pytest", {"output": "PASSED a.py::b\n== 1 failed, 1 passed in 0.1s ==\n", "exit": 1}),
    ("unfinished", "go", {"output": "=== RUN   TestA\n--- PASS: TestA (0.00s)\n"}),
    ("exit", "go", {"output": "=== RUN   TestA\n--- PASS: TestA (0.00s)\nFAIL\tx\t0.1s\n", "exit": 1}),
    ("compile", "cargo", {"error": "error: could not compile `x`", "exit": 101}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "results", "ended"), AGAINST_ITSELF)
def test_what_a_run_says_against_itself_has_a_kind_and_is_none_of_its_tests(kind, results, ended):
    suite = Suite("s", "command", "r", command="x", results=results)
    decided = project.judge(suite, CommandResult(**({"exit": 0} | ended)))
    assert decided.status == "failed" and kind in [one.kind for one in decided.contradictions]
    assert all(one.words for one in decided.contradictions)
    assert "command" not in decided.outcomes or kind in ("compile", "counts", "unfinished")
    assert Verdict.from_json(decided.to_json()).contradictions == decided.contradictions


def test_a_run_that_names_no_test_that_passes_says_nothing_against_itself():
    quiet = CommandResult(1, "FAILED a.py::b - no\n== 1 failed, 2 passed in 0.1s ==\n")
    assert readers.read("pytest", quiet).contradictions == []


def test_results_that_cannot_be_read_and_a_build_that_fails_are_told_against_the_run():
    suite = Suite("s", "command", "r", command="x", results="out.xml")
    unread = project.judge(suite, CommandResult(1), on_main=["t::one"])
    unbuilt = project.judge(suite, None, build=Built(2, "no rule"), on_main=["t::one"])
    assert [one.kind for one in unread.contradictions] == ["results"]
    assert [(one.kind, "no rule" in one.words) for one in unbuilt.contradictions] == [("build", True)]


@pytest.mark.parametrize(
    ("results", "ended"),
    [
        ("out.xml", {"collected": PASSING}),
        ("tap", {"output": "ok 1\n1..1\n"}),
        ("pytest", {"output": "1 passed in 0.1s\n"}),
        (None, {}),
    ],
)
def test_what_ran_and_passed_is_passed(results, ended):
    assert status(results, **ended) == "passed"


def test_a_command_that_was_never_seen_to_end_is_broken():
    assert project.judge(Suite("s", "command", "r", command="x"), None).status == "broken"


def test_a_failed_build_is_failed_whatever_the_command_said():
    suite = Suite("s", "command", "r", command="x")
    assert project.judge(suite, CommandResult(0), build=Built(1, "no")).status == "failed"
    assert project.judge(suite, None, build=Built(1, "no")).status == "failed"


def test_failures_carry_their_message():
    decided = project.judge(
        Suite("s", "command", "r", command="x", results="out.xml"), CommandResult(1, collected=files(JUNIT))
    )
    assert sorted((failure["id"], failure["difference"]) for failure in decided.failures) == [
        ("four", "gone"),
        ("t.a::two", "boom"),
    ]
    assert (decided.counts.cases, decided.counts.passed, decided.counts.failed) == (4, 1, 2)


READERS = ["out.xml", "tap", "pytest", "cargo", "go", None]
LINES = [
    "running 2 tests",
    "test a ... ok",
    "test a ... FAILED",
    "test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out",
    "failures:",
]
LINES += [
    "=== RUN   TestA",
    "--- PASS: TestA (0.00s)",
    "    --- FAIL: TestA/b (0.00s)",
    "ok  \tx\t0.1s",
    "FAIL\tx [build failed]",
    "?   \tx\t[no test files]",
]
LINES += [
    '{"Action":"fail","Package":"x","Test":"TestA"}',
    '{"Action":"output","Package":"x","Output":"ok  \\tx\\t0.1s\\n"}',
    '{"Action":"pass"}',
    '{"Action":',
    "{}",
]
LINES += ["ok 1 - a", "not ok 2", "1..2", "PASSED a.py::b", "== 1 passed in 0.1s ==", "   Doc-tests x"]


@given(
    st.sampled_from(READERS),
    st.text() | st.lists(st.sampled_from(LINES)).map("\n".join),
    st.integers(-20, 255),
)
def test_no_output_makes_the_reader_stumble(results, text, exit):
    told = readers.read(results, CommandResult(exit, output=text, collected=files(text)))
    assert told.problem or told.outcomes
