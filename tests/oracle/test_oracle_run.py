"""A run over callables: what is asked of each side, what is lost, and what that makes of the verdict."""

import pytest

from oracle import batch, judge, run
from oracle.answer import Answer
from oracle.spec import Case, Suite
from oracle.verdict import Built

SUITE = Suite("s", "differential", "r", cases=("c/*.sql",), candidate="x", reference="y")
EXACT = judge.by_output("exact")
CASES = [Case(name, f"select '{name}';\n", f"c/{name}.sql", 1) for name in "abcde"]


class Side:
    """Answers each case with its input; `refuses` get no answer, `kills` take all that come after them along."""

    def __init__(self, *, refuses="", kills="", wrong=()):
        self.refuses, self.kills, self.wrong = refuses, kills, wrong
        self.batches = []

    def __call__(self, cases):
        self.batches.append("".join(case.id[0] for case in cases))
        answers = {}
        for case in cases:
            if case.id in self.kills:
                break
            if case.id not in self.refuses:
                answers[case.id] = Answer(case.input + "!" * any(word in case.input for word in self.wrong), 0)
        return answers


def differential(candidate, reference, cases=CASES, **more):
    return run.differential(cases, judge=EXACT, candidate=candidate, reference=reference, known=more.pop("known", {}), **more)


def test_equal_answers_pass_and_the_new_reference_answers_come_back():
    ran = differential(Side(), Side())
    assert (ran.verdict.status, ran.verdict.counts.compared) == ("passed", 5)
    assert set(ran.reference) == set("abcde")


def test_known_reference_answers_are_not_computed_again():
    reference = Side()
    ran = differential(Side(), reference, known={name: Answer(f"select '{name}';\n", 0) for name in "abd"})
    assert (ran.verdict.status, reference.batches, set(ran.reference)) == ("passed", ["ce"], {"c", "e"})
    reference = Side()
    ran = differential(Side(), reference, known={case.id: Answer(case.input, 0) for case in CASES})
    assert (ran.verdict.status, reference.batches, ran.reference) == ("passed", [], {})


def test_a_wrong_known_answer_is_believed_so_known_answers_are_really_compared():
    ran = differential(Side(), Side(), known={"a": Answer("other", 0)})
    assert ran.verdict.outcomes == {"a": "fail", "b": "pass", "c": "pass", "d": "pass", "e": "pass"}


def test_no_cases_start_nothing_and_are_broken():
    candidate, reference = Side(), Side()
    assert differential(candidate, reference, cases=[]).verdict.status == "broken"
    assert candidate.batches == reference.batches == []


def test_a_failed_build_starts_nothing_and_is_failed():
    candidate, reference = Side(), Side()
    ran = differential(candidate, reference, build=Built(1, "no"))
    assert (ran.verdict.status, candidate.batches, reference.batches) == ("failed", [], [])


def test_a_case_that_takes_its_executor_down_fails_alone_and_the_others_are_judged():
    candidate = Side(kills="bd")
    ran = differential(candidate, Side())
    assert ran.verdict.outcomes == {"a": "pass", "b": "fail", "c": "pass", "d": "fail", "e": "pass"}
    assert candidate.batches == ["abcde", "b", "cde", "d", "e"]


def test_more_such_cases_than_can_be_told_apart_make_it_broken():
    cases = [Case(f"{letter}{letter}", "x", "", 0) for letter in "abcdefgh"]
    ran = differential(Side(kills=[case.id for case in cases]), Side(), cases=cases)
    assert ran.verdict.status == "broken"


def test_a_reference_without_an_answer_is_broken_and_gives_nothing_to_remember_for_that_case():
    ran = differential(Side(), Side(refuses="c"))
    assert ran.verdict.status == "broken"
    assert "c/c.sql:1" in ran.verdict.reason
    assert set(ran.reference) == set("abde")


def test_an_unsound_reference_answer_is_never_remembered():
    ran = differential(Side(), lambda cases: {case.id: Answer(case.input, -11) for case in cases})
    assert (ran.verdict.status, ran.reference) == ("broken", {})


def test_failures_are_shrunk_to_what_still_differs():
    script = "".join(f"insert {number};\n" for number in range(12))
    case = Case("big", script, "c/big.sql", 1)
    candidate, reference = Side(wrong=("insert 7;",)), Side()
    ran = differential(candidate, reference, cases=[case])
    small = run.shrunk([case], ran.verdict, judge=EXACT, candidate=candidate, reference=reference, now=lambda: 0.0, budget_s=1)
    (failure,) = small.failures
    assert (failure["id"], failure["input"], failure["shrunk_from"]) == ("big", "insert 7;\n", len(script))
    assert small.outcomes == ran.verdict.outcomes


def test_an_input_on_which_the_reference_fails_is_no_smaller_example():
    case = Case("big", "insert 1;\ninsert 2;\ninsert 3;\n", "c/big.sql", 1)
    candidate = Side(wrong=("insert 2;",))

    def reference(cases):
        return {one.id: Answer(one.input, 0 if "insert 1;" in one.input else -11) for one in cases}

    ran = differential(candidate, reference, cases=[case])
    small = run.shrunk([case], ran.verdict, judge=EXACT, candidate=candidate, reference=reference, now=lambda: 0.0, budget_s=1)
    assert small.failures[0]["input"] == "insert 1;\ninsert 2;\n"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"plain \xc3\xa9\n", "plain é\n"),
        (b"\xff\\", "\\not-utf-8:\\xff\\\\"),
        (b"\\not-utf-8:\\xff", "\\not-utf-8:\\\\not-utf-8:\\\\xff"),
    ],
)
def test_different_bytes_never_become_the_same_text(data, text):
    assert batch.text(data) == text


@pytest.mark.parametrize(
    ("command", "shell"),
    [("/bin/cat -", False), ("cat", False), ("cat 'a b'", False), ("cat | cat", True), ("X=1 cat", True), ("no-such-program", True), ("cd", True)],
)
def test_a_shell_is_started_only_where_the_command_needs_one(command, shell):
    program, argv = batch.program(command, "/usr/bin:/bin")
    assert (program == "/bin/sh") is shell
    assert argv == (["/bin/sh", "-c", command] if shell else argv)
