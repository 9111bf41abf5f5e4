"""Verdicts: the whole table of what may happen to a case, and that nothing unjudged is ever passed."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracle.cases.spec import Case
from oracle.judging import judge, verdict
from oracle.judging.answer import Answer, sound
from oracle.judging.verdict import Built, Verdict

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
        (
            RIGHT,
            Answer("1\n", -6),
            "broken",
            "the reference failed on case 'a' (c/a.sql:3): killed by signal 6",
        ),
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
    assert (decided.status, decided.counts.executed, decided.outcomes) == (
        "failed",
        1,
        {"a": "fail", "b": "fail"},
    )


def test_a_failed_build_fails_every_case_and_shows_its_output():
    decided = verdict.build_failed([ONE], Built(2, "syntax error in e.py"))
    assert (decided.status, decided.counts.executed, decided.outcomes) == ("failed", 0, {"a": "fail"})
    assert decided.build and decided.build.tail == "syntax error in e.py"


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
        assert (counts.passed, counts.failed) == tuple(
            list(decided.outcomes.values()).count(word) for word in ("pass", "fail")
        )


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
        assert (
            len(failure["candidate"]["output"])
            == len(failure["reference"]["output"])
            == verdict.OUTPUT_CHARS_MAX
        )


def test_failures_of_different_causes_come_first_the_most_frequent_cause_before_all():
    cases = [Case(f"c{number}", "x" * number, "", 0) for number in range(1, 7)]
    errors = dict(
        zip((case.id for case in cases), ["rare", "often", "often", "often", "seldom", "seldom"], strict=True)
    )
    answers = {case.id: Answer("", 1, error=errors[case.id]) for case in cases}
    decided = decide(answers, dict.fromkeys(errors, RIGHT), cases=cases)
    assert [failure["id"] for failure in decided.failures] == ["c2", "c5", "c1", "c3", "c4", "c6"]
    assert [(cause["says"], cause["cases"]) for cause in decided.causes] == [
        (f"{how}; line 1: the output ends, '1' was expected", names) for how, names in (("often", ["c2", "c3", "c4"]), ("seldom", ["c5", "c6"]), ("rare", ["c1"]))
    ]  # fmt: skip


@given(
    st.text(alphabet="ab\n", max_size=40),
    st.text(alphabet="ab\n", max_size=40),
    st.integers(0, 6_000),
    st.booleans(),
)
def test_what_is_shown_of_long_outputs_has_their_first_difference_in_it(ours, theirs, before, lines):
    start = ("x\n" if lines else "x") * before
    decided = decide({"a": Answer(start + ours, 0)}, {"a": Answer(start + theirs, 0)})
    if ours == theirs:
        return
    (failure,) = decided.failures
    shown = failure["candidate"]["output"], failure["reference"]["output"]
    assert shown[0] != shown[1] and max(map(len, shown)) <= verdict.OUTPUT_CHARS_MAX
    if failure.get("from_line", 1) > 1:
        assert (start + ours).split("\n", failure["from_line"] - 1)[-1].startswith(shown[0])


def test_the_messages_of_a_projects_tests_make_causes():
    messages = {
        "t1": "E: no module\nx.py:1: ImportError",
        "t2": "E: no module\nx.py:7: ImportError",
        "t3": "E: assert 1 == 2\nAssertionError",
    }
    decided = verdict.of_tests(dict.fromkeys(messages, "fail") | {"t4": "pass"}, messages, exit=1)
    assert [(cause["says"], cause["cases"]) for cause in decided.causes] == [
        ("x.py: ImportError; E: no module", ["t1", "t2"]),
        ("AssertionError; E: assert 1 == 2", ["t3"]),
    ]
    assert [failure["id"] for failure in decided.failures] == ["t1", "t3", "t2"]
    assert verdict.of_tests({"t4": "pass"}, {}, exit=0).causes == []


# -- held out
# -------------------------------------------------------------------------------------------------

HIDDEN = [Case(f"held-out/{n}", f"secret {n}", f"../hidden/{n}.sql", n, hidden=True) for n in range(4)]


def test_of_a_held_out_case_only_the_outcome_is_told():
    wrong = {case.id: Answer(f"secret answer {n}", 0, error="secret error") for n, case in enumerate(HIDDEN)}
    right = dict.fromkeys(wrong, RIGHT)
    decided = decide({"a": RIGHT, **wrong, HIDDEN[0].id: RIGHT}, {"a": RIGHT, **right}, cases=[ONE, *HIDDEN])
    assert (decided.status, decided.reason) == ("failed", "3 of 4 held-out cases fail")
    assert (decided.failures, decided.causes, decided.held_out) == ([], [], {"cases": 4, "passed": 1})
    assert decided.counts.cases == 5 and decided.outcomes == {
        "a": "pass",
        HIDDEN[0].id: "pass",
        **{case.id: "fail" for case in HIDDEN[1:]},
    }
    assert "secret" not in json.dumps(decided.to_json())
    both = decide({"a": Answer("2", 0), **wrong}, {"a": RIGHT, **right}, cases=[ONE, *HIDDEN])
    assert both.reason == "1 of 1 cases differ from what is expected; 4 of 4 held-out cases fail"


@pytest.mark.parametrize(("candidate", "reference"), [({}, {}), ({}, "right"), ("right", {})])
def test_a_held_out_case_that_breaks_the_verdict_is_not_named(candidate, reference):
    right = {case.id: RIGHT for case in HIDDEN}
    decided = decide(right if candidate else {}, right if reference else {}, cases=HIDDEN)
    assert decided.status == "broken" and decided.reason.endswith(
        "a held-out case is missing" if reference else "no answer to a held-out case"
    )
    assert "held-out/" not in json.dumps(decided.to_json()) and "hidden" not in decided.reason


def test_a_failed_build_fails_the_held_out_cases_too():
    assert verdict.build_failed([ONE, *HIDDEN], Built(1, "no")).held_out == {"cases": 4, "passed": 0}


def test_two_verdicts_become_one():
    visible = decide({"a": Answer("2", 0)}, {"a": RIGHT})
    hidden = decide({case.id: RIGHT for case in HIDDEN}, {case.id: RIGHT for case in HIDDEN}, cases=HIDDEN)
    both = verdict.with_held_out(visible, hidden)
    assert both == decide(
        {"a": Answer("2", 0)} | {case.id: RIGHT for case in HIDDEN},
        {"a": RIGHT} | {case.id: RIGHT for case in HIDDEN},
        cases=[ONE, *HIDDEN],
    )
    lost = verdict.with_held_out(visible, decide({}, {case.id: RIGHT for case in HIDDEN}, cases=HIDDEN))
    assert (lost.status, lost.outcomes, lost.failures, lost.counts.passed, lost.counts.failed) == (
        "broken",
        {},
        (),
        0,
        0,
    )
