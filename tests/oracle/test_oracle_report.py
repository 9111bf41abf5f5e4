"""What an agent is told: never more than asked for, counts first, the change against main, and failures to
look at.
"""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oracle.cases.spec import Case
from oracle.judging import causes, judge, report, side_by_side, verdict
from oracle.judging.answer import Answer
from oracle.judging.verdict import Built, CaseCounts, Verdict


def size(value):
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def decide(ours, theirs, cases=None, **more):
    """From outputs by case id; the input of a case is its name."""
    cases = cases or [Case(name, f"select {name};\n", f"c/{name}.sql", 1) for name in ours]
    answers = [
        {name: said if isinstance(said, Answer) else Answer(said, 0) for name, said in side.items()}
        for side in (ours, theirs)
    ]
    return verdict.decide(cases, *answers, judge=judge.by_output("exact"), **more)


# -- side by side
# ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ours", "theirs", "more", "text"),
    [
        ("1\n2\n", "1\n3\n", {}, "  yours | expected\n  1     | 1\n! 2     | 3"),
        ("", "1\n", {}, "  yours     | expected\n! (no line) | 1"),
        ("1 \n", "1\n", {}, "  yours | expected\n! 1·    | 1"),
        ("1", "1\n", {}, "  yours          | expected\n! 1\\ no line end | 1"),
        ("a\tb\n", "a b\n", {}, "  yours | expected\n! a\\tb  | a b"),
        (
            "1\n2\n3\n4\n5\n",
            "1\n2\n3\n4\n6\n",
            {},
            "  yours | expected\n  (from line 3)\n  3     | 3\n  4     | 4\n! 5     | 6",
        ),
        (
            "1\n2\n3\n4\n",
            "0\n2\n3\n4\n",
            {"lines": 2},
            "  yours | expected\n! 1     | 0\n  2     | 2\n  (2 more lines)",
        ),
        ("2\n", "3\n", {"from_line": 40}, "  yours | expected\n  (from line 40)\n! 2     | 3"),
        (
            "1\n",
            "1\n",
            {"titles": ("yours (exit 1)", "expected (exit 0)")},
            "  yours (exit 1) | expected (exit 0)\n  1              | 1",
        ),
    ],
)
def test_two_outputs_side_by_side(ours, theirs, more, text):
    assert side_by_side.text(ours, theirs, **more) == text


def test_long_lines_are_cut_to_the_same_stretch_around_what_differs():
    told = side_by_side.text("a" * 200 + "X" + "b" * 200 + "\n", "a" * 200 + "Y" + "b" * 200 + "\n")
    ours, theirs = told.splitlines()[1][2:].split(" | ")
    assert ours.index("X") == theirs.index("Y") and len(told.splitlines()[1]) < 120


# -- one verdict
# ----------------------------------------------------------------------------------------------


def test_counts_come_first_then_what_changed_then_failures():
    outputs = {"sel/a": "1\n", "sel/b": "1\n", "ins/a": "2\n", "ins/b": "1\n", "top": "1\n"}
    decided = decide(outputs, dict.fromkeys(outputs, "1\n"))
    told = report.brief(
        decided,
        on_main={"sel/a": "pass", "sel/b": "fail", "ins/a": "pass", "ins/b": "pass", "top": "pass"},
        chars=4_000,
    )
    assert list(told)[:2] == ["status", "counts"] and told["counts"] == {
        "cases": 5,
        "executed": 5,
        "compared": 5,
        "passed": 4,
        "failed": 1,
    }
    assert told["groups"] == {"ins": "1/2 (+0 -1)", "sel": "2/2 (+1 -0)", ".": "1/1"}
    assert told["against_main"] == {"newly_passing": 1, "newly_failing": 1, "newly_failing_cases": ["ins/a"]}
    assert told["causes"] == [
        {"id": decided.causes[0]["id"], "says": "line 1: '2' instead of '1'", "count": 1}
    ]
    assert told["failures"] == [{
        "id": "ins/a", "difference": "line 1: '2' instead of '1'", "input": "select ins/a;\n", "side_by_side": "  yours | expected\n! 2     | 1",
    }]  # fmt: skip


def test_where_main_is_not_measured_nothing_is_said_of_change():
    told = report.brief(decide({"g/a": "1"}, {"g/a": "1"}), on_main={}, chars=4_000)
    assert "against_main" not in told and told["groups"] == {"g": "1/1"}


def test_a_failure_tells_its_exit_status_the_last_line_of_its_error_and_that_it_was_shrunk():
    decided = decide({"a": Answer("", 3, error="Traceback\nKeyError: 'x'\n\n")}, {"a": "1\n"})
    shrunk = Verdict.from_json(
        decided.to_json() | {"failures": [dict(decided.failures[0]) | {"shrunk_from": 900}]}
    )
    (failure,) = report.brief(shrunk, on_main={}, chars=4_000)["failures"]
    assert (failure["error"], failure["shrunk_from"]) == ("KeyError: 'x'", 900)
    assert failure["side_by_side"].startswith("  yours (exit 3) | expected (exit 0)\n! (no line)")


def test_the_first_difference_is_shown_however_far_down_it_is():
    start = "".join(f"row {n}\n" for n in range(3_000))
    (failure,) = report.brief(
        decide({"a": start + "x\n"}, {"a": start + "y\n" + start}), on_main={}, chars=4_000
    )["failures"]
    assert (
        "! x " in failure["side_by_side"]
        and "| y" in failure["side_by_side"]
        and "(from line 2999)" in failure["side_by_side"]
    )


def test_half_a_line_at_the_cut_is_no_difference():
    long = "".join(f"{n} {'x' * 500}\n" for n in range(9))
    (failure,) = report.brief(decide({"a": "1\n" + long}, {"a": "23\n" + long}), on_main={}, chars=4_000)[
        "failures"
    ]
    assert failure["side_by_side"].count("!") == 1 and "no line end" not in failure["side_by_side"]
    assert failure["side_by_side"].splitlines()[-1].split() == ["(cut", "here)", "|", "(cut", "here)"]
    one_line = decide({"a": "x" * 9_000 + "\n"}, {"a": "x" * 8_999 + "\n"})
    (failure,) = report.brief(one_line, on_main={}, chars=4_000)["failures"]
    assert failure["side_by_side"].count("!") == 1


def test_a_failed_build_shows_the_end_of_what_it_said():
    decided = verdict.build_failed(
        [Case("a", "x", "", 0)], Built(2, "noise\n" * 900 + "engine.c:3: syntax error")
    )
    told = report.brief(decided, on_main={"a": "pass"}, chars=1_000)
    assert told["build"]["tail"].startswith("... ") and told["build"]["tail"].endswith(
        "engine.c:3: syntax error"
    )
    assert told["against_main"]["newly_failing_cases"] == ["a"] and size(told) <= 1_000


def test_a_test_of_the_projects_own_shows_its_message():
    decided = verdict.of_tests(
        {"tests/a.py::T::x": "fail", "tests/a.py::T::y": "pass"},
        {"tests/a.py::T::x": "assert 1 == 2\nwhere"},
        exit=1,
    )
    told = report.brief(decided, on_main={}, chars=4_000)
    assert told["groups"] == {"tests/a.py::T": "1/2"}
    assert told["failures"] == [
        {"id": "tests/a.py::T::x", "difference": "assert 1 == 2", "message": "assert 1 == 2\nwhere"}
    ]


def test_held_out_cases_are_counted_apart():
    cases = [Case("a", "x", "", 0), *(Case(f"held-out/{n}", "x", "", 0, hidden=True) for n in range(3))]
    said = {"a": "1", "held-out/0": "2", "held-out/1": "1", "held-out/2": "1"}
    told = report.brief(decide(said, dict.fromkeys(said, "1"), cases), on_main={}, chars=4_000)
    assert told["counts"] == {"cases": 1, "executed": 1, "compared": 1, "passed": 1, "failed": 0}
    assert told["held_out"] == {"cases": 3, "passed": 2} and told["failures"] == []


def test_many_groups_are_counted_and_the_changed_ones_are_there():
    outputs = {f"group-{n:03}/deep/er/case": "1" for n in range(500)}
    decided = decide(outputs | {"group-250/deep/er/case": "2"}, outputs)
    told = report.brief(decided, on_main=dict.fromkeys(outputs, "pass"), chars=2_000)
    assert list(told["groups"].items())[0] == ("group-250/deep/er", "0/1 (+0 -1)")
    left = 500 - len(told["groups"])
    assert told["more_groups"] == f"{left} more: {left}/{left}"


def test_causes_and_failures_beyond_the_shown_are_counted():
    outputs = {f"c{n}": f"{n}" for n in range(9)}
    told = report.brief(decide(outputs, dict.fromkeys(outputs, "x")), on_main={}, chars=4_000)
    assert (len(told["failures"]), len(told["causes"]), told["more_causes"]) == (3, report.CAUSES_SHOWN, 4)
    assert (
        len(
            report.brief(decide(outputs, dict.fromkeys(outputs, "x")), on_main={}, chars=4_000, failures=1)[
                "failures"
            ]
        )
        == 1
    )


def test_a_failure_that_does_not_fit_leaves_its_room_to_the_others():
    outputs = {"d" * 2_000 + "/a": "x", "b": "xx", "c": "xxx"}
    told = report.brief(decide(outputs, dict.fromkeys(outputs, "1\n")), on_main={}, chars=1_200)
    assert [failure["id"] for failure in told["failures"]] == ["b", "c"] and told["causes"]


# -- never too long
# -------------------------------------------------------------------------------------------

TEXT = st.text(max_size=60) | st.sampled_from(
    ["x" * 3_000, "line\n" * 900, '"\\\n' * 500, "\x00" * 400, "é☃" * 700]
)
NAMES = st.text(min_size=1, max_size=30) | st.sampled_from(["d" * 300 + "/x", "a/b/" + "c" * 900])
FAILURES = st.fixed_dictionaries(
    {
        "id": NAMES, "input": TEXT, "difference": TEXT,
        "candidate": st.fixed_dictionaries({"output": TEXT, "exit": st.integers(-9, 9)}, optional={"error": TEXT}),
        "reference": st.fixed_dictionaries({"output": TEXT, "exit": st.integers(0, 1)}),
    },
    optional={"shrunk_from": st.integers(0, 9**9), "from_line": st.integers(1, 9**9)},
)  # fmt: skip
CAUSES = st.fixed_dictionaries(
    {
        "id": st.just("0123abcd"),
        "says": st.text(max_size=causes.SAYS_CHARS_MAX),
        "count": st.integers(1, 99),
        "cases": st.just([]),
    }
)
VERDICTS = st.builds(
    Verdict,
    st.sampled_from(["passed", "failed", "broken"]), TEXT, st.builds(CaseCounts, *[st.integers(0, 10**7)] * 5),
    st.dictionaries(NAMES, st.sampled_from(["pass", "fail"]), max_size=40), st.lists(FAILURES, max_size=5), st.none() | st.builds(Built, st.integers(0, 2), TEXT),
    causes=st.lists(CAUSES, max_size=9), held_out=st.none() | st.fixed_dictionaries({"cases": st.integers(0, 9), "passed": st.integers(0, 9)}),
)  # fmt: skip


@given(
    VERDICTS,
    st.dictionaries(NAMES, st.sampled_from(["pass", "fail"]), max_size=10),
    st.integers(report.CHARS_MIN, 5_000),
)
@settings(max_examples=200, deadline=None)
def test_one_verdict_keeps_to_its_budget_and_says_its_status(told, on_main, chars):
    said = report.brief(told, on_main=on_main, chars=chars)
    assert size(said) <= chars and said["status"] == told.status
    if chars >= 400:
        assert said["counts"]


@given(
    st.dictionaries(st.text(alphabet="abcdef", min_size=1, max_size=40), VERDICTS, min_size=1, max_size=9),
    st.integers(200, 5_000),
)
@settings(max_examples=60, deadline=None)
def test_all_suites_together_keep_to_the_budget(verdicts, chars):
    said = report.suites(verdicts, on_main={}, chars=chars)
    assert size(said) <= chars
    assert (
        sum(len(one.get("failures", [])) for one in said.values() if isinstance(one, dict))
        <= report.FAILURES_MAX
    )


def test_however_many_suites_there_are_the_answer_stays_small():
    bad = decide({f"g{n}/c": "1" for n in range(50)}, {f"g{n}/c": "2" for n in range(50)})
    good = decide({f"g{n}/c": "1" for n in range(50)}, {f"g{n}/c": "1" for n in range(50)})
    for count in (1, 2, 5, 20, 100, 1_000):
        said = report.suites(
            {f"suite-{n}": good if n % 3 else bad for n in range(count)}, on_main={}, chars=4_000
        )
        assert size(said) <= 4_000
        shown = [one for one in said.values() if isinstance(one, dict)]
        assert len(shown) + int(said.get("more", "0 more").split()[0]) == count
        assert [one["status"] for one in shown] == sorted(
            (one["status"] for one in shown), key=["failed", "passed"].index
        )
    two = report.suites({"good": good, "bad": bad}, on_main={}, chars=4_000)
    assert len(two["bad"]["failures"]) == 3 and two["good"]["counts"]["passed"] == 50


def test_three_failures_are_spread_over_the_suites_that_fail():
    bad = decide(dict.fromkeys("abcd", "1"), dict.fromkeys("abcd", "2"))
    for count, shown in ((1, [3]), (2, [2, 1]), (3, [1, 1, 1]), (5, [1, 1, 1, 0, 0])):
        said = report.suites({f"s{n}": bad for n in range(count)}, on_main={}, chars=4_000)
        assert [len(one["failures"]) for one in said.values()] == shown
