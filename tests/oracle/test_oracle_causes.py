"""Causes: what fails alike is together, every failing case is somewhere, and it all stays small."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracle.cases.spec import Case
from oracle.judging import causes, judge, verdict
from oracle.judging.answer import Answer
from oracle.judging.causes import FailedCase

ENDS = "line 1: the output ends, '{}' was expected"


def alike(one, other):
    return len(causes.grouped([FailedCase("a", *one), FailedCase("b", *other)])) == 1


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (
            (ENDS.format(1), "NotImplementedError: JOIN\n"),
            (ENDS.format(2), "trace\n\nNotImplementedError: JOIN"),
            True,
        ),
        ((ENDS.format(1), "NotImplementedError: JOIN"), (ENDS.format(1), "NotImplementedError: VIEW"), False),
        (("line 2: 'x' instead of 'y'", ""), ("line 9: 'x' instead of 'z'", ""), True),
        (("line 2: 'x' instead of 'y'", ""), ("line 2: 'w' instead of 'y'", ""), False),
        (("killed by signal 6", ""), ("killed by signal 11", ""), False),
        (("$.rows[3].a: 1 instead of 2", ""), ("$.rows[7].a: 1 instead of 3", ""), True),
        (("$.rows[3].a: 1 instead of 2", ""), ("$.rows[3].b: 1 instead of 2", ""), False),
        (("value 2, $[1]: 1 instead of 2", ""), ("value 9, $[4]: 1 instead of 3", ""), True),
        ((ENDS.format(1), "error at line 12: near x"), (ENDS.format(1), "error at line 7: near x"), True),
        (
            (ENDS.format(1), "File /tmp/tmpa1b2c3/q.sql is bad"),
            (ENDS.format(1), "File /tmp/tmpz9y8x7/q.sql is bad"),
            True,
        ),
        (
            (ENDS.format(1), "<Node object at 0x7f01a2b3>"),
            (ENDS.format(1), "<Node object at 0x55e0ffff>"),
            True,
        ),
        ((ENDS.format(1), "engine.py:12: bad"), (ENDS.format(1), "engine.py:34:5: bad"), True),
        ((ENDS.format(1), "no such column: a1"), (ENDS.format(1), "no such column: a2"), False),
    ],
)
def test_what_makes_one_cause(one, other, same):
    assert alike(one, other) is same


def test_a_cause_says_what_its_cases_have_in_common():
    found = causes.grouped(
        [
            FailedCase("b", ENDS.format(1), "trace\nKeyError: 'join'"),
            FailedCase("a", ENDS.format(2), "KeyError: 'join'"),
            FailedCase("c", "killed by signal 9", ""),
        ]
    )
    assert [(cause["says"], cause["count"], cause["cases"]) for cause in found] == [
        ("KeyError: 'join'; the output ends", 2, ["a", "b"]), ("killed by signal 9", 1, ["c"])
    ]  # fmt: skip
    (one,) = causes.grouped(
        [FailedCase("a", "line 2: 'x' instead of 'y'", ""), FailedCase("b", "line 2: 'x' instead of 'y'", "")]
    )
    (other,) = causes.grouped(
        [FailedCase("a", "line 2: 'x' instead of 'y'", ""), FailedCase("b", "line 3: 'x' instead of 'z'", "")]
    )
    assert (one["says"], other["says"]) == ("line 2: 'x' instead of 'y'", "'x'")
    again = causes.grouped([FailedCase("z", ENDS.format(7), "KeyError: 'join'")])
    assert again[0]["id"] == found[0]["id"], "the name of a cause is the same in every run"


FAILED = st.builds(FailedCase, st.uuids().map(str), st.text(max_size=30), st.text(max_size=30))


@given(st.lists(FAILED, max_size=120, unique_by=lambda one: one.case))
def test_every_failing_case_is_in_one_cause_and_what_we_make_is_well_formed(failed):
    found = causes.grouped(failed)
    assert sorted(case for cause in found for case in cause["cases"]) == sorted(one.case for one in failed)
    assert causes.problem(json.loads(json.dumps(found)), {one.case for one in failed}) is None
    counts = [cause["count"] for cause in found if cause["says"] != causes.OTHERS]
    assert counts == sorted(counts, reverse=True)


def test_five_thousand_failures_make_a_verdict_of_moderate_size():
    cases = [Case(f"group/{n:04}", "x" * 5_000, "c", n) for n in range(5_000)]
    ours = {case.id: Answer(f"{n}" * 3_000, 1, error=f"{n}" * 3_000) for n, case in enumerate(cases)}
    decided = verdict.decide(
        cases, ours, {case.id: Answer("y" * 3_000, 0) for case in cases}, judge=judge.by_output("exact")
    )
    assert (
        len(decided.causes) == causes.CAUSES_MAX and sum(cause["count"] for cause in decided.causes) == 5_000
    )
    assert decided.causes[-1]["says"] == causes.OTHERS
    assert len(json.dumps(list(decided.causes))) < 5_000 * 20 + causes.CAUSES_MAX * 300
    assert len(json.dumps(decided.to_json())) < 600_000


GOOD = {"id": "0123abcd", "says": "x", "count": 1, "cases": ["a"]}


@pytest.mark.parametrize(
    "wrong",
    [
        7, "abc", [7], [GOOD | {"more": 1}], [{"id": "0123abcd"}], [GOOD | {"id": "xyz"}], [GOOD | {"id": 7}], [GOOD | {"says": "x" * 200}],
        [GOOD | {"count": 2}], [GOOD | {"count": True}], [GOOD | {"cases": []}], [GOOD | {"cases": ["b"]}], [GOOD | {"cases": [["a"]]}],
        [GOOD | {"cases": "a"}], [GOOD, GOOD],
    ],
    ids=str,
)  # fmt: skip
def test_what_somebody_else_calls_causes_is_checked(wrong):
    assert causes.problem([GOOD], {"a"}) is None
    assert causes.problem(wrong, {"a"}) is not None


def test_too_many_causes_are_too_many():
    many = [
        {"id": f"{n:08x}", "says": "", "count": 1, "cases": [str(n)]} for n in range(causes.CAUSES_MAX + 1)
    ]
    assert causes.problem(many, {str(n) for n in range(100)}) == f"at most {causes.CAUSES_MAX} causes"
