"""The planted wrong engines: each is caught by a sound oracle, and one that cannot fail is found out."""

import pytest

from oracle.cases.spec import Case, Suite
from oracle.judging import judge, verdict
from oracle.judging.answer import Answer
from oracle.judging.verdict import CaseCounts
from oracle.suites import differential, teeth
from oracle.suites.command import faults

CASES = [Case(f"c{number:03}", f"select {number};\n", "", 0) for number in range(120)]
REFERENCE = {case.id: Answer(case.input.split()[1].rstrip(";") + "\n", 0) for case in CASES}
PLANTED = [engine for engine in differential.ENGINES if isinstance(engine, teeth.WrongAnswers)]


def decide(answers, cases=CASES, reference=REFERENCE):
    return verdict.decide(cases, answers, reference, judge=judge.by_output("exact"))


@pytest.mark.parametrize("engine", PLANTED, ids=lambda engine: engine.name)
@pytest.mark.parametrize("count", [1, 2, 49, 120])
def test_an_engine_made_of_answers_is_wrong_but_answers_every_case(engine, count):
    decided = decide(engine.answers(CASES[:count], REFERENCE), cases=CASES[:count])
    assert decided.status == "failed"
    assert decided.counts.executed == count


def test_one_in_fifty_is_one_in_fifty():
    decided = decide(teeth.one_in_fifty_wrong(CASES, REFERENCE))
    assert [name for name, outcome in decided.outcomes.items() if outcome == "fail"] == [
        "c000",
        "c050",
        "c100",
    ]


@pytest.mark.parametrize("output", ["", "a\n", "9\n", "1|2.5\n", "x9y"])
@pytest.mark.parametrize("mode", ["exact", "lines", "unordered"])
def test_off_by_one_differs_under_every_comparator(output, mode):
    case = [Case("a", "x", "", 0)]
    wrong = {"a": teeth.off_by_one(Answer(output, 0))}
    assert (
        verdict.decide(case, wrong, {"a": Answer(output, 0)}, judge=judge.by_output(mode)).status == "failed"
    )


def test_the_five_engines_of_the_design_are_planted():
    assert [engine.name for engine in differential.ENGINES] == [
        "silent",
        "failing",
        "constant",
        "echo",
        "last-answer-repeated",
        "one-in-fifty-wrong",
    ]


def test_a_suite_whose_answers_are_all_the_same_has_no_teeth_against_repetition():
    same = {case.id: Answer("ok\n", 0) for case in CASES}
    rows = [
        teeth.noticed(engine.name, decide(engine.answers(CASES[1:], same), cases=CASES[1:], reference=same))
        for engine in PLANTED
    ]
    rows[0] = teeth.noticed("last-answer-repeated", decide(same, reference=same))
    concluded = teeth.conclude(rows, CaseCounts(), by_case=True)
    assert concluded.status == "failed"
    assert concluded.reason == "the suite does not notice: last-answer-repeated"
    assert concluded.to_json()["planted"] == rows


def row(status):
    return {"engine": "silent", "caught": status != "passed", "status": status}


@pytest.mark.parametrize(
    ("by_case", "rows", "status"),
    [
        (True, [row("failed")], "passed"),
        (True, [row("failed"), row("passed")], "failed"),
        (True, [row("failed"), row("broken")], "broken"),
        (True, [], "broken"),
        (False, [row("failed"), row("broken")], "passed"),
        (False, [row("passed")], "failed"),
        (False, [], "broken"),
    ],
)
def test_the_check_passes_only_if_everything_planted_was_caught(by_case, rows, status):
    assert teeth.conclude(rows, CaseCounts(), by_case=by_case).status == status


@pytest.mark.parametrize(
    ("suite", "planted"),
    [
        ({"command": "make test"}, ["emptied"]),
        ({"command": "x", "results": "tap"}, ["emptied", "nothing-runs"]),
        ({"command": "x", "canary": "t/test_{name}.py"}, ["emptied", "nothing-runs", "leaves-early"]),
        (
            {"command": "python3 -m pytest -rA", "results": "pytest", "canary": "none"},
            ["emptied", "nothing-runs", "nothing-selected"],
        ),
        (
            {"command": "go test -v ./...", "results": "go", "canary": "canary_{name}/c_test.go"},
            ["emptied", "nothing-runs", "nothing-selected"],
        ),
        (
            {"command": "pytest", "canary": "t/test_{name}.py", "results": "o.xml"},
            ["emptied", "nothing-runs", "nothing-selected", "leaves-early"],
        ),
    ],
)
def test_what_is_planted_is_what_the_suite_could_notice(suite, planted):
    """Where only the exit status counts and no canary moves it, a command that does nothing looks like one
    that passes.
    """
    assert [project.name for project in faults.projects(Suite("s", "command", "r", **suite))] == planted


def test_what_stands_in_a_source_that_leaves_early_and_in_an_emptied_one():
    suite = Suite("s", "command", "r", command="x", protect=("tests/**",))
    files = ["src/a.py", "src/b.c", "tests/test_a.py"]
    assert faults.HOLLOW.written(suite, files, ("src/**",)) == {"src/a.py": "", "src/b.c": ""}
    assert faults.LEAVES_EARLY.written(suite, files, ("src/**",)) == {"src/a.py": "import os\nos._exit(0)\n"}


def test_where_nothing_is_selected_the_suites_own_settings_stay():
    suite = Suite("s", "command", "r", command="python3 -m pytest", results="o.xml", env={"A": "b"})
    [changed] = [
        project.suite(suite) for project in faults.projects(suite) if project.name == "nothing-selected"
    ]
    assert (changed.command, changed.env["A"], "PYTEST_ADDOPTS" in changed.env) == (suite.command, "b", True)


def test_the_modules_sources_are_emptied_and_no_protected_file():
    suite = Suite("s", "command", "r", protect=("tests/**",))
    files = ["src/a.py", "src/b.py", "tests/test_a.py", "Makefile"]
    assert faults.emptied(suite, files, ("src/a*", "tests/**")) == ["src/a.py"]
    assert faults.emptied(suite, files, ()) == ["src/a.py", "src/b.py", "Makefile"]
