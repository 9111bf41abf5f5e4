"""Verdicts: the whole table of what may happen to a case, and that nothing unjudged is ever passed."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracle import judge, report, verdict
from oracle.answer import Answer, sound
from oracle.spec import Case
from oracle.verdict import Built, Verdict

ONE = Case("a", "select 1;", "c/a.sql", 3)
RIGHT = Answer("1\n", 0)


def decide(candidate, reference, cases=(ONE,), **more):
    return verdict.decide(list(cases), candidate, reference, judge=judge.by_output("exact"), **more)


@pytest.mark.parametrize(
    ("candidate", "reference", "status", "said"),
    [
        (RIGHT, RIGHT, "passed", ""),
        (Answer("2\n", 0), RIGHT, "failed", "1 of 1 cases differ"),
        (Answer("1\n", 1), RIGHT, "failed", "1 of 1"),
        (Answer("1\n", 2), Answer("1\n", 1), "passed", ""),
        (Answer("1\n", -11), RIGHT, "failed", "1 of 1"),
        (Answer("1\n", -11), Answer("1\n", 1), "failed", "1 of 1"),
        (Answer("1\n", -9, timed_out=True), RIGHT, "failed", "1 of 1"),
        (Answer("1\n", 0, truncated=True), RIGHT, "failed", "1 of 1"),
        (Answer("", -9, lost=True), RIGHT, "failed", "1 of 1"),
        (None, RIGHT, "broken", "the candidate's answer to case 'a' (c/a.sql:3) is missing"),
        (Answer("", -9, late=True), RIGHT, "broken", "the run's time was up before case 'a'"),
        (RIGHT, None, "broken", "the reference gave no answer to case 'a' (c/a.sql:3)"),
        (RIGHT, Answer("1\n", -6), "broken", "the reference failed on case 'a' (c/a.sql:3): killed by signal 6"),
        (RIGHT, Answer("1\n", 127), "broken", "exit status 127"),
        (RIGHT, Answer("1\n", 126), "broken", "exit status 126"),
        (RIGHT, Answer("1\n", -9, timed_out=True), "broken", "no end within the time"),
        (RIGHT, Answer("1\n", 0, truncated=True), "broken", "more output than allowed"),
        (RIGHT, Answer("1\n", 0, late=True), "broken", "not run"),
        (None, None, "broken", "the reference gave no answer"),
    ],
)
def test_one_case(candidate, reference, status, said):
    decided = decide({"a": candidate} if candidate else {}, {"a": reference} if reference else {})
    assert decided.status == status
    assert said in decided.reason
    assert (decided.outcomes == {}) == (status == "broken")


def test_no_cases_are_broken():
    assert decide({}, {}, cases=()).status == "broken"
    assert decide({"a": RIGHT}, {"a": RIGHT}, cases=()).status == "broken"


def test_cases_that_a_slow_candidate_kept_from_running_are_its_failures():
    slow = {"a": Answer("", -9, timed_out=True), "b": Answer("", -9, late=True)}
    decided = decide(slow, {"a": RIGHT, "b": RIGHT}, cases=(ONE, Case("b", "x", "", 0)))
    assert (decided.status, decided.counts.executed, decided.outcomes) == ("failed", 1, {"a": "fail", "b": "fail"})


def test_a_failed_build_fails_every_case_and_shows_its_output():
    decided = verdict.build_failed([ONE], Built(2, "syntax error in e.py"))
    assert (decided.status, decided.counts.executed, decided.outcomes) == ("failed", 0, {"a": "fail"})
    assert "syntax error" in report.text(decided)


ANSWERS = st.builds(
    Answer, st.sampled_from(["", "1\n", "2\n"]), st.sampled_from([0, 1, -9, 127]), timed_out=st.booleans(), truncated=st.booleans(), late=st.booleans(), lost=st.booleans()
)  # fmt: skip
SIDES = st.dictionaries(st.sampled_from("abc"), ANSWERS)


@given(st.sets(st.sampled_from("abc")), SIDES, SIDES)
def test_passed_means_that_every_case_ran_and_was_found_equal(names, candidate, reference):
    decided = decide(candidate, reference, cases=[Case(name, name, "", 0) for name in sorted(names)])
    equal = bool(names) and all(
        name in candidate and name in reference and not candidate[name].crash() and sound(reference[name])
        and candidate[name].output == reference[name].output and (candidate[name].exit == 0) == (reference[name].exit == 0)
        for name in names
    )  # fmt: skip
    assert (decided.status == "passed") == equal
    counts = decided.counts
    assert counts.cases == len(names) >= counts.executed >= counts.compared
    if decided.status != "broken":
        assert set(decided.outcomes) == names
        assert (counts.passed, counts.failed) == tuple(list(decided.outcomes.values()).count(word) for word in ("pass", "fail"))


@given(SIDES, SIDES)
def test_a_verdict_survives_json(candidate, reference):
    decided = decide(candidate, reference, build=Built(0, ""))
    assert Verdict.from_json(json.loads(json.dumps(decided.to_json()))).to_json() == decided.to_json()


def failing(count, size=10):
    cases = [Case(f"c{number:02}", "x" * (size + number), "", 0) for number in range(count)]
    answers = {case.id: Answer("1\n" * size, 0, error="trace" * size) for case in cases}
    return decide(answers, {case.id: Answer("2\n" * size, 0) for case in cases}, cases=cases[::-1])


def test_failures_come_smallest_first_and_are_cut():
    decided = failing(30, size=5_000)
    assert [failure["id"] for failure in decided.failures] == [f"c{number:02}" for number in range(20)]
    for failure in decided.failures:
        assert len(failure["input"]) == verdict.INPUT_CHARS_MAX
        assert len(failure["candidate"]["output"]) == len(failure["reference"]["output"]) == verdict.OUTPUT_CHARS_MAX


@pytest.mark.parametrize("size", [1, 100, 5_000])
def test_what_an_agent_is_told_is_brief(size):
    decided = failing(30, size=size)
    told = report.text(decided)
    assert len(told) <= report.CHARS_MAX
    assert told.startswith("failed: 0 of 30 cases pass, 30 fail (30 executed, 30 compared)")
    assert len(report.brief(decided)["failures"]) == 3
    assert report.brief(decided)["failures"][0]["id"] == "c00"


def test_the_first_failure_is_told_whole():
    told = report.text(failing(1, size=1))
    assert "c00: line 1: '1' instead of '2'" in told
    assert "yours (exit 0):\n1" in told and "expected (exit 0):\n2" in told and "trace" in told
