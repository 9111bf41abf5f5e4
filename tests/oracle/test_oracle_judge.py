"""Judges: which one a suite gets, and that a comparator which cannot say breaks the verdict and never passes
one.
"""

import json

import pytest

from oracle.cases.spec import Case, Suite
from oracle.judging import judge, verdict
from oracle.judging.answer import Answer
from oracle.judging.judge import JudgeFailed, Pair

SUITE = Suite("s", "differential", "r", cases=("c/*.sql",), candidate="x", reference="y")
OURS, THEIRS = Answer("a 1.5\n", 0), Answer("a 1.6\n", 0)


def pair(name="a", candidate=OURS, reference=THEIRS, *, hidden=False):
    return Pair(Case(name, f"select {name};\n", f"c/{name}.sql", 3, hidden=hidden), candidate, reference)


def asking(answer):
    """A comparator that always answers so, and what it was asked."""
    asked = []

    def ask(cases):
        asked.append(cases)
        return {case.id: answer for case in cases} if answer else {}

    return judge.by_command(ask), asked


def test_the_tolerance_is_the_suites():
    for tolerance, said in ((0.1, [None]), (0.01, ["line 1: 'a 1.5' instead of 'a 1.6'"])):
        suite = Suite.from_json(SUITE.to_json() | {"compare": "numbers", "tolerance": tolerance})
        assert judge.of(suite, lambda cases: 1 / 0)([pair()]) == said
    exits = judge.by_output("numbers", tolerance=0.1)(
        [pair(candidate=Answer("a 1.5\n", 1)), pair(candidate=Answer("", -6))]
    )
    assert exits == ["exit status 1 instead of 0", "killed by signal 6"]


def test_a_comparator_is_asked_once_about_every_pair_that_is_not_the_same_bytes():
    told, asked = asking(Answer("rows differ\nmore", 1))
    suite = Suite.from_json(SUITE.to_json() | {"compare": "command", "comparator": "c"})
    pairs = [pair("a"), pair("b", candidate=THEIRS), pair("c", candidate=Answer("", -11)), pair("d")]
    assert told(pairs) == ["rows differ", None, "killed by signal 11", "rows differ"]
    ((first, second),) = asked
    assert (first.id, second.id) == ("a", "d")
    assert json.loads(first.input) == {
        "input": "select a;\n",
        "candidate": {"output": "a 1.5\n", "exit": 0},
        "reference": {"output": "a 1.6\n", "exit": 0},
    }
    assert judge.of(suite, lambda cases: {case.id: Answer("", 0) for case in cases})([pair("a")]) == [None]


def test_where_every_pair_is_equal_no_comparator_runs():
    told, asked = asking(None)
    assert (
        told([pair(candidate=THEIRS), pair("b", candidate=Answer("", -9))]) == [None, "killed by signal 9"]
        and asked == []
    )


def test_a_comparator_says_nothing_about_exit_statuses():
    told, _ = asking(Answer("", 0))
    assert (
        told([pair(candidate=Answer("x", 1)), pair(candidate=Answer("a 1.6\n", 1))])
        == ["exit status 1 instead of 0"] * 2
    )


def test_a_comparator_that_only_ends_with_one_says_that_they_differ():
    told, _ = asking(Answer("\n", 1))
    assert told([pair()]) == ["the comparator says that the outputs differ"]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, "the comparator gave no answer to case 'a' (c/a.sql:3)"),
        (
            Answer("", 127, error="sh: compare: not found\n"),
            "exit status 127 (the comparator is missing or cannot be run): sh: compare: not found",
        ),
        (Answer("", 126), "exit status 126 (the comparator is missing or cannot be run)"),
        (
            Answer("", 2, error="python3: can't open file 'c.py'"),
            "exit status 2: python3: can't open file 'c.py'",
        ),
        (Answer("", 1, error="Traceback\nValueError: no\n"), "exit status 1: ValueError: no"),
        (Answer("", -11), "killed by signal 11"),
        (Answer("same", 0, timed_out=True), "no end within the time of a case"),
        (Answer("x" * 99, 0, truncated=True), "more output than allowed"),
        (Answer("", 0, late=True), "not run: the time of the whole run was used up"),
        (Answer("", 0, lost=True), "it ended the process that runs the cases"),
        (Answer("differs, I think", 3), "exit status 3: differs, I think"),
    ],
)
def test_a_comparator_that_fails_breaks_the_verdict_and_is_named_with_its_case(answer, said):
    told, _ = asking(answer)
    with pytest.raises(JudgeFailed) as failed:
        told([pair()])
    assert said in str(failed.value) and "case 'a' (c/a.sql:3)" in str(failed.value)
    one = pair()
    decided = verdict.decide([one.case], {"a": one.candidate}, {"a": one.reference}, judge=told)
    assert (decided.status, decided.outcomes) == ("broken", {}) and said in decided.reason


def test_a_comparator_that_fails_on_a_held_out_case_gives_nothing_away():
    told, _ = asking(Answer("", 2, error="cannot read 'select a;'"))
    with pytest.raises(JudgeFailed, match=r"^the comparator failed on a held-out case: exit status 2$"):
        told([pair(hidden=True)])


def test_a_comparator_is_heard_in_brief():
    told, _ = asking(Answer("x" * 10_000, 1))
    assert len(told([pair()])[0]) == judge.SAID_CHARS_MAX
