"""What a test command says beside its tests: linters behind them, bounds of coverage, the rest of a script."""

import pytest

from mcp_server.core import landing
from oracle.cases.spec import Suite
from oracle.suites.base import CommandResult, PlainRun
from oracle.suites.command import canary, whole
from oracle.suites.command import suite as project

SUITE = Suite(
    "unit",
    "command",
    "r",
    command="pytest -rA && ruff check .",
    results="pytest",
    canary="tests/test_{name}.py",
)
PLANTED = canary.hatch(SUITE, "secret")
WHOLE = "command (as a whole)"


def shown(**tests: str) -> str:
    lines = [f"{outcome.upper()} t.py::{name}" for name, outcome in tests.items()]
    counts = [f"{list(tests.values()).count(word)} {word}" for word in ("failed", "passed")]
    return "\n".join([*lines, f"=== {', '.join(counts)} in 0.01s ==="])


def with_canaries(**tests: str) -> CommandResult:
    return CommandResult(1, shown(**tests, **{PLANTED.passes: "passed", PLANTED.fails: "failed"}))


def judged(plain: CommandResult | None, *, suite: Suite = SUITE, **tests: str):
    tests = tests or {"a": "passed"}
    return project.judge(
        suite, with_canaries(**tests), planted=PLANTED, plain=PlainRun(plain), on_main=["t.py::a", WHOLE]
    )


@pytest.mark.parametrize(
    "command",
    [
        "pytest",
        "pytest -q -rA",
        "python3 -m pytest -p no:cacheprovider -k 'a and not b'",
        ".venv/bin/python -B -X dev -m pytest -rA",
        "PYTHONPATH=src python3.12 -W error -m pytest",
        "go test -v ./...",
        "cargo test --workspace --no-fail-fast 2>&1",
        "cargo +nightly nextest run",
        "node --test-reporter=tap --test",
    ],
)
def test_the_bare_call_of_a_known_test_program_says_no_more_than_its_tests(command):
    assert whole.beside_tests(command) == ""


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("pytest -rA && ruff check .", "'&&'"),
        ("pytest -rA; mypy", "';'"),
        ("pytest -rA\nmypy", "'\\n'"),
        ("cargo test 2>&1 | tee log", "'|'"),
        ("pytest $(cat args)", "'$('"),
        ("make test", "make"),
        ("npm test", "npm"),
        ("sh ci.sh", "sh"),
        ("tox -e py", "tox"),
        ("coverage run -m pytest", "coverage"),
        ("python3 run_pytest.py", "python3"),
        ("python3 tests.py -m pytest", "python3"),
        ("cargo run", "cargo"),
        ("pytest --cov=app --cov-fail-under=80", "--cov=app"),
        ("node --test --test-coverage-lines=80", "--test-coverage-lines=80"),
        ("pytest 'open", "an open quote"),
        ("A=b", "no program"),
    ],
)
def test_what_stands_beside_the_tests_in_a_command_is_named(command, says):
    assert whole.beside_tests(command) == says


def test_a_bound_of_coverage_in_the_settings_is_seen_in_what_pytest_prints():
    bare = Suite("u", "command", "r", command="pytest -rA", results="pytest")
    ended = with_canaries(a="passed")
    assert not whole.says_more(bare, ended)
    bound = CommandResult(1, "FAIL Required test coverage of 80% not reached. Total: 12%\n" + ended.output)
    assert whole.says_more(bare, bound)


def test_results_without_names_are_the_exit_status_already():
    assert not whole.says_more(Suite("u", "command", "r", command="make test"), CommandResult(1))


def test_a_command_that_exits_with_0_passes_as_a_whole():
    decided = judged(CommandResult(0, shown(a="passed")))
    assert (decided.status, decided.outcomes) == ("passed", {"t.py::a": "pass", WHOLE: "pass"})


def test_a_linter_that_fails_behind_passing_tests_is_told_in_its_own_words_and_refused_where_main_passes():
    decided = judged(CommandResult(1, shown(a="passed") + "\napp.py:1: F401 unused\n"))
    assert decided.outcomes == {"t.py::a": "pass", WHOLE: "fail"}
    assert "the tests pass, and the command as a whole exits with 1" in decided.reason
    assert "app.py:1: F401 unused" in decided.reason
    main = {"t.py::a": "pass", WHOLE: "pass"}
    assert lost(main, decided.outcomes) == {WHOLE}
    assert lost(main | {WHOLE: "fail"}, decided.outcomes) == set(), "main's own linter fails as well"


def lost(on_main: dict, on_candidate: dict) -> set[str]:
    return landing.lost(landing.SuiteOutcomes("unit", on_main, on_candidate))


def test_a_test_that_passes_with_canaries_alone_has_failed():
    decided = judged(CommandResult(0, shown(b="passed")), a="passed", b="passed")
    assert decided.outcomes["t.py::a"] == "fail" and decided.outcomes["t.py::b"] == "pass"
    assert "passes with canaries and not without them" in str(decided.failures)


@pytest.mark.parametrize(
    ("plain", "says"),
    [
        (None, "took down the process"),
        (CommandResult(0, shown(a="passed"), timed_out=True), "no end"),
        (CommandResult(0, shown(a="passed"), truncated=True), "more than is allowed"),
        (CommandResult(-9, shown(a="passed")), "exits with -9"),
    ],
)
def test_a_run_without_canaries_that_comes_to_no_good_end_fails_as_a_whole(plain, says):
    decided = judged(plain)
    assert decided.outcomes[WHOLE] == "fail" and says in decided.reason


def test_where_a_test_fails_the_command_as_a_whole_is_not_asked_and_does_not_pass():
    decided = judged(with_canaries(a="failed"), a="failed")
    assert decided.outcomes == {"t.py::a": "fail", WHOLE: "skip"}
    assert decided.reason.startswith("1 of 2 tests fail")
    assert WHOLE in lost({"t.py::a": "pass", WHOLE: "pass"}, decided.outcomes)


def test_a_failure_of_flaky_cases_alone_is_tried_again_and_any_other_is_not():
    flaky = Suite("u", "command", "r", command="x", results="pytest", flaky={"t.py::a": "2999-01-01"})
    assert not whole.is_believed(flaky, CommandResult(1, shown(a="failed", b="passed")))
    assert whole.is_believed(flaky, CommandResult(1, shown(a="failed", b="failed")))
    assert whole.is_believed(flaky, CommandResult(1, shown(a="passed")))
    assert whole.is_believed(flaky, CommandResult(0, shown(a="passed")))
    assert not whole.is_explained(flaky, {"t.py::a": "fail"})
    assert whole.is_explained(flaky, {"t.py::b": "fail"})
