"""A run over callables: what is asked of each side, what is lost, and what that makes of the verdict."""

import pytest

from oracle.cases.spec import Case, Suite
from oracle.inside import batch
from oracle.judging import judge, run
from oracle.judging.answer import Answer
from oracle.judging.verdict import Built
from oracle.suites.differential import Trial

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
                answers[case.id] = Answer(
                    case.input + "!" * any(word in case.input for word in self.wrong), 0
                )
        return answers


def differential(candidate, reference, cases=CASES, **more):
    return run.differential(
        cases,
        trials_of=Trial,
        judge=EXACT,
        candidate=candidate,
        reference=reference,
        cached=more.pop("cached", {}),
        **more,
    )


def test_equal_answers_pass_and_the_new_reference_answers_come_back():
    ran = differential(Side(), Side())
    assert (ran.verdict.status, ran.verdict.counts.compared) == ("passed", 5)
    assert set(ran.reference) == set("abcde")


def test_known_reference_answers_are_not_computed_again():
    reference = Side()
    ran = differential(Side(), reference, cached={name: Answer(f"select '{name}';\n", 0) for name in "abd"})
    assert (ran.verdict.status, reference.batches, set(ran.reference)) == ("passed", ["ce"], {"c", "e"})
    reference = Side()
    ran = differential(Side(), reference, cached={case.id: Answer(case.input, 0) for case in CASES})
    assert (ran.verdict.status, reference.batches, ran.reference) == ("passed", [], {})


def test_a_wrong_known_answer_is_believed_so_known_answers_are_really_compared():
    ran = differential(Side(), Side(), cached={"a": Answer("other", 0)})
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


AT_ONCE = run.Shrinking(lambda: 0.0, 1.0)


def test_failures_are_shrunk_to_what_still_differs():
    script = "".join(f"insert {number};\n" for number in range(12))
    case = Case("big", script, "c/big.sql", 1)
    ran = differential(Side(wrong=("insert 7;",)), Side(), cases=[case], shrinking=AT_ONCE)
    (failure,) = ran.verdict.failures
    assert (failure["id"], failure["input"], failure["shrunk_from"]) == ("big", "insert 7;\n", len(script))
    assert ran.verdict.outcomes == {"big": "fail"}


def test_a_smaller_input_that_fails_in_another_way_is_no_smaller_example():
    """Without its table the statement fails as well, but that is not what was to be shown."""

    def candidate(cases):
        return {
            case.id: Answer("1\n", 0) if "create" in case.input else Answer("", 1, error="no such table: t")
            for case in cases
        }

    case = Case("a", "create t;\nfill t;\nselect t;\n", "c/a.sql", 1)
    reference = lambda cases: {case.id: Answer("2\n", 0) for case in cases}  # noqa: E731
    ran = differential(candidate, reference, cases=[case], shrinking=AT_ONCE)
    assert ran.verdict.failures[0]["input"] == "create t;\n"


def test_the_time_that_one_failure_leaves_is_for_the_others():
    clock = [0.0]

    class Slow(Side):
        def __call__(self, cases):
            clock[0] += 1.0 * any("~" in case.id for case in cases)
            return super().__call__(cases)

    cases = [Case("a", "x;\n", "c/a.sql", 1), Case("b", "".join(f"x {n};\n" for n in range(8)), "c/b.sql", 1)]
    ran = differential(
        Slow(wrong=("x",)), Side(), cases=cases, shrinking=run.Shrinking(lambda: clock[0], 4.0)
    )
    assert [failure["input"].count("\n") for failure in ran.verdict.failures] == [1, 1], (
        "half of the time does for two rounds of three"
    )


def test_a_comparator_that_fails_on_a_trial_ends_no_run():
    def judge_of(pairs):
        if any("~" in pair.case.id for pair in pairs):
            raise judge.JudgeFailed("no")
        return EXACT(pairs)

    case = Case("a", "x 1;\nx 2;\n", "c/a.sql", 1)
    ran = run.differential(
        [case],
        trials_of=Trial,
        candidate=Side(wrong="x"),
        reference=Side(),
        cached={},
        judge=judge_of,
        shrinking=AT_ONCE,
    )
    assert (ran.verdict.status, ran.verdict.failures[0]["input"]) == ("failed", case.input)


HIDDEN = [
    Case(f"h{number}", f"secret {number};\n", "../hidden/x.sql", number, hidden=True) for number in range(3)
]


def test_held_out_cases_run_by_themselves_after_the_others_and_after_their_shrinking():
    asked = []

    class Candidate(Side):
        def __call__(self, cases):
            asked.append([case.id for case in cases])
            return super().__call__(cases)

    cases = [HIDDEN[0], Case("big", "x 1;\nx 2;\n", "c/big.sql", 1), *HIDDEN[1:]]
    ran = differential(Candidate(wrong=("x 2", "secret 1")), Side(), cases=cases, shrinking=AT_ONCE)
    assert asked[0] == ["big"] and asked[-1] == ["h0", "h1", "h2"] and len(asked) > 2
    assert all("h" not in name for batch in asked[:-1] for name in batch)
    told = ran.verdict
    assert told.outcomes == {"big": "fail", "h0": "pass", "h1": "fail", "h2": "pass"}
    assert (told.held_out, told.counts.cases, told.counts.failed) == ({"cases": 3, "passed": 2}, 4, 2)
    assert [failure["id"] for failure in told.failures] == ["big"]
    assert "secret" not in str(told.failures) + str(told.causes) + told.reason


def test_where_every_case_is_held_out_their_number_is_all_that_is_told():
    ran = differential(Side(wrong=("secret 1",)), Side(), cases=HIDDEN, shrinking=AT_ONCE)
    told = ran.verdict
    assert (told.status, told.failures, told.causes, told.held_out) == (
        "failed",
        [],
        [],
        {"cases": 3, "passed": 2},
    )
    assert told.reason == "1 of 3 held-out cases fail"


def test_what_breaks_the_visible_cases_breaks_it_all_and_no_hidden_one_runs():
    candidate = Side(refuses="a", kills="")
    ran = run.differential(
        [CASES[0], *HIDDEN],
        trials_of=Trial,
        candidate=candidate,
        reference=Side(refuses="a"),
        cached={},
        judge=EXACT,
    )
    assert (ran.verdict.status, ran.verdict.outcomes, ran.verdict.counts.cases) == ("broken", {}, 4)
    assert not any("h" in batch for batch in candidate.batches)


def test_an_input_on_which_the_reference_fails_is_no_smaller_example():
    case = Case("big", "insert 1;\ninsert 2;\ninsert 3;\n", "c/big.sql", 1)
    candidate = Side(wrong=("insert 2;",))

    def reference(cases):
        return {one.id: Answer(one.input, 0 if "insert 1;" in one.input else -11) for one in cases}

    ran = differential(candidate, reference, cases=[case], shrinking=AT_ONCE)
    assert ran.verdict.failures[0]["input"] == "insert 1;\ninsert 2;\n"


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
    [
        ("/bin/cat -", False),
        ("cat", False),
        ("cat 'a b'", False),
        ("cat | cat", True),
        ("X=1 cat", True),
        ("no-such-program", True),
        ("cd", True),
    ],
)
def test_a_shell_is_started_only_where_the_command_needs_one(command, shell):
    program, argv = batch.program(command, "/usr/bin:/bin")
    assert (program == "/bin/sh") is shell
    assert argv == (["/bin/sh", "-c", command] if shell else argv)
