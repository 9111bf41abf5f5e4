"""What is quoted of a command's output: its first error and its last lines, printable and bounded."""

import pytest

from oracle.cases.spec import Case, Suite
from oracle.judging import verdict
from oracle.judging.excerpt import LOG_CHARS_MAX, excerpt, log
from oracle.judging.verdict import Built
from oracle.suites.base import CommandResult
from oracle.suites.command import suite as project

NOISE = "".join(f"compiling part {n}\n" for n in range(50))
# As the tools print them.
SAID = {
    "python": (
        "Traceback (most recent call last):\n"
        '  File "/x/m.py", line 1, in <module>\n    import numpy\nModuleNotFoundError: No module named \'numpy\'\n',
        "No module named 'numpy'",
    ),
    "go": ("# example.com/app\n./calc.go:7:2: undefined: sum\nFAIL\texample.com/app [build failed]\n", "./calc.go:7:2"),
    "rust": (
        "error[E0425]: cannot find value `totl` in this scope\n --> src/lib.rs:3:5\n",
        "error[E0425]: cannot find value `totl` in this scope\n --> src/lib.rs:3:5",
    ),
    "c": ("engine.c: In function 'main':\nengine.c:4:3: error: expected ';' before '}' token\n", "engine.c:4:3: error"),
    "node": ("node:internal/modules:1\nError: Cannot find module 'left-pad'\n    at x\n", "Cannot find module 'left-pad'"),
    "sh": ("sh: 1: jest: not found\n", "jest: not found"),
    "make": ("make: *** No rule to make target 'test'.  Stop.\n", "No rule to make target"),
}  # fmt: skip


@pytest.mark.parametrize("tool", SAID)
def test_the_first_error_is_quoted_however_much_is_printed_after_it(tool: str):
    text, wanted = SAID[tool]
    after = NOISE if tool != "make" else ""
    quoted = excerpt(NOISE + text + after)
    assert wanted in quoted and len(quoted) <= 600
    assert quoted.endswith(("compiling part 49", "Stop."))


def test_errors_on_stderr_count_and_the_last_lines_are_there_without_any_error():
    assert excerpt("all well\n", "ValueError: 3\n") == "all well\nValueError: 3"
    assert excerpt("one\ntwo\n\n", "") == "one\ntwo" and excerpt("", " \n") == ""
    assert excerpt("".join(f"{n}\n" for n in range(9))) == "5\n6\n7\n8"


def test_what_is_sure_to_be_an_error_goes_before_what_may_be_one():
    text = "error counting is on\n" + NOISE + "ModuleNotFoundError: No module named 'left'\n" + NOISE
    assert excerpt(text).startswith("ModuleNotFoundError")


def test_nothing_that_is_printed_reaches_a_terminal_as_a_command():
    quoted = excerpt("\x1b[31merror: red\x1b[0m\x1b]8;;http://x\x07link\x1b]8;;\x07\x00\u202eright\n")
    assert quoted == "error: redlinkright"


@pytest.mark.parametrize("chars", [10, 80, 600])
def test_an_excerpt_is_within_its_room_whatever_was_printed(chars: int):
    for text in ("x" * 10_000, "error: " + "y" * 10_000 + "\n" + NOISE, NOISE * 100, "\n" * 5_000):
        assert len(excerpt(text, text, chars=chars)) <= chars


def test_a_log_keeps_beginning_and_end_of_an_output_that_is_too_long():
    kept = log("first\n" + "x" * 100_000, "last\n")
    assert kept.startswith("first\n") and kept.endswith("last")
    assert "characters are left out" in kept and len(kept) < LOG_CHARS_MAX + 100
    assert log("", "one\n", " ", "two\n") == "one\ntwo"


# -- where it is quoted ---------------------------------------------------------------------------------


@pytest.mark.parametrize("results", ["out.xml", "pytest", "go", "cargo"])
@pytest.mark.parametrize("tool", SAID)
def test_a_run_that_told_nothing_says_what_was_printed_instead(results: str, tool: str):
    text, wanted = SAID[tool]
    suite = Suite("unit", "command", "app", command="x", results=results, canary="none")
    ended = CommandResult(2, error=text)
    alone = project.judge(suite, ended)
    assert alone.status == verdict.BROKEN and wanted in alone.reason
    judged = project.judge(suite, ended, on_main=["tests/a.py::test_one"])
    assert judged.status == verdict.FAILED and wanted in judged.problem and wanted in judged.reason


@pytest.mark.parametrize("tool", ["go", "rust", "c"])
def test_a_build_that_fails_says_it_in_the_compilers_words(tool: str):
    text, wanted = SAID[tool]
    judged = verdict.build_failed([Case("one", "", "", 0)], Built(2, NOISE + text))
    assert wanted in judged.reason and judged.problem == judged.reason
    assert text.strip() in judged.log


def test_a_run_whose_tests_were_read_has_no_problem():
    suite = Suite("unit", "command", "app", command="x", results="tap", canary="none")
    judged = project.judge(suite, CommandResult(1, output="1..1\nnot ok 1 - adds\n"), on_main=["adds"])
    assert judged.status == verdict.FAILED and judged.problem == ""
