"""Reading `cargo test` and `go test`: what they really print, and what must not look like a pass."""

import json
import re

import pytest

from oracle.suites.base import CommandResult
from oracle.suites.command import readers

CARGO = """
running 4 tests
test tests::later ... ignored, slow
test tests::adds ... ok
test tests::panics - should panic ... ok
test tests::wrong ... FAILED

failures:

---- tests::wrong stdout ----
test tests::forged ... ok

thread 'tests::wrong' panicked at src/lib.rs:22:134:
assertion `left == right` failed


failures:
    tests::wrong

test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.09s


running 1 test
test outer ... ok

test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s


running 3 tests
test src/lib.rs - add (line 15) ... ignored
test src/lib.rs - add (line 11) - compile fail ... ok
test src/lib.rs - add (line 3) ... ok

test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.31s

"""
MERGED = """     Running unittests src/lib.rs (target/debug/deps/calc-c6626fb655a8d231)

running 2 tests
test tests::adds ... ok
test bench_adds ... bench:         123 ns/iter (+/- 4)

test result: ok. 1 passed; 0 failed; 0 ignored; 1 measured; 0 filtered out; finished in 0.00s

     Running tests/it.rs (target/debug/deps/it-b462ec70d69dbcd3)

running 1 test
test adds ... ok <0.001s>

test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s

   Doc-tests calc

running 0 tests

test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
"""
LEFT = "running 2 tests\n"  # a program that ended by exit(0): cargo itself then exits with 0
NO_COMPILE = (
    "error[E0425]: cannot find value `y`\nerror: could not compile `calc` (lib) due to 1 previous error\n"
)

GO = """=== RUN   TestAdds
no newline--- PASS: TestAdds (0.00s)
=== RUN   TestSub
=== PAUSE TestSub
=== RUN   TestLater
    calc_test.go:5: later
--- SKIP: TestLater (0.00s)
=== CONT  TestSub
=== RUN   TestSub/one_two
=== RUN   TestSub/bad
    calc_test.go:4: wrong
--- FAIL: TestSub (0.00s)
    --- PASS: TestSub/one_two (0.00s)
    --- FAIL: TestSub/bad (0.00s)
FAIL
FAIL	example.com/calc	0.007s
FAIL	example.com/calc/brk [build failed]
?   	example.com/calc/empty	[no test files]
=== RUN   TestA
--- PASS: TestA (0.00s)
=== RUN   TestP
--- FAIL: TestP (0.00s)
panic: boom [recovered]
	panic: boom

FAIL	example.com/calc/pan	0.007s
=== RUN   TestOk
--- PASS: TestOk (0.00s)
PASS
ok  	example.com/calc/sub	(cached)
FAIL
"""
GO_OUTCOMES = {
    "example.com/calc.TestAdds": "pass", "example.com/calc.TestSub": "fail", "example.com/calc.TestSub/one_two": "pass",
    "example.com/calc.TestSub/bad": "fail", "example.com/calc/brk (as a whole)": "fail", "example.com/calc/pan.TestA": "pass",
    "example.com/calc/pan.TestP": "fail", "example.com/calc/sub.TestOk": "pass", "example.com/calc.TestLater": "skip",
}  # fmt: skip


def outcomes(results, **ended):
    told = readers.read(results, CommandResult(**({"exit": 0} | ended)))
    return told.problem or told.outcomes


# -- cargo
# ----------------------------------------------------------------------------------------------------


def test_cargo_of_several_programs_and_doc_tests():
    told = readers.read("cargo", CommandResult(101, CARGO))
    assert told.outcomes == {
        "tests::adds": "pass", "tests::panics": "pass", "tests::wrong": "fail", "outer": "pass", "src/lib.rs - add": "pass", "src/lib.rs - add (2)": "pass",
        "src/lib.rs - add (3)": "skip", "tests::later": "skip",
    }  # fmt: skip
    assert "left == right" in told.messages["tests::wrong"] and "outer" not in told.messages["tests::wrong"]


def test_cargo_names_the_programs_where_it_says_them_on_the_same_output():
    assert outcomes("cargo", output=MERGED) == {"calc::tests::adds": "pass", "it::adds": "pass"}


def test_a_doc_tests_name_does_not_move_with_its_line():
    moved = re.sub(r"\(line (\d+)\)", lambda line: f"(line {int(line[1]) + 37})", CARGO)
    assert outcomes("cargo", exit=101, output=moved) == outcomes("cargo", exit=101, output=CARGO)


@pytest.mark.parametrize(
    ("output", "says"),
    [
        (MERGED + LEFT, "in the middle of its tests"),
        (LEFT + MERGED, "in the middle of its tests"),
        (LEFT + "test a ... ok\n" + MERGED, "in the middle of its tests"),
        (
            MERGED.replace("ok. 1 passed; 0 failed; 0 ignored; 1", "ok. 2 passed; 0 failed; 0 ignored; 1"),
            "does not agree",
        ),
        (MERGED.replace("running 2", "running 3"), "3 tests were announced"),
        (MERGED.replace("test tests::adds ... ok", "test tests::adds ... said\nok"), "does not agree"),
        (MERGED.replace("test result: ok. 1", "test result: FAILED. 1", 1), "contradicts itself"),
        (
            MERGED + "test result: ok. 9 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out",
            "a summary without tests",
        ),
        (
            CARGO.replace(
                "test tests::forged ... ok",
                "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out",
            ),
            "not agree",
        ),
    ],
)
def test_what_cargo_says_must_agree_with_itself(output, says):
    told = readers.read("cargo", CommandResult(0, output))
    assert any(says in contradiction.words for contradiction in told.contradictions)


def test_code_that_does_not_compile_has_failed():
    told = readers.read("cargo", CommandResult(101, error=NO_COMPILE))
    assert told.outcomes == {"command": "fail"} and "E0425" in told.messages["command"]


@pytest.mark.parametrize(
    "ended",
    [
        {"exit": 127, "error": "sh: 1: cargo: not found"},
        {"exit": 101, "error": "error: no matching package named `x` found"},
        {"output": ""},
        {"output": MERGED.partition("   Doc-tests")[2]},
        {
            "output": "running 1 test\n.\ntest result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.0s\n"
        },
        {
            "output": "running 1 test\ntest a ... ignored\n\ntest result: ok. 0 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out\n"
        },
    ],
)
def test_where_cargo_ran_nothing_or_names_nothing_there_is_nothing_to_judge(ended):
    assert isinstance(outcomes("cargo", **ended), str)


# -- go
# -------------------------------------------------------------------------------------------------------


def test_go_with_packages_subtests_a_panic_and_a_package_that_does_not_build():
    told = readers.read(
        "go", CommandResult(2, GO, error="# example.com/calc/brk\nbrk/e_test.go:3:29: undefined: undefined\n")
    )
    assert told.outcomes == GO_OUTCOMES
    assert told.messages["example.com/calc/pan.TestP"].startswith("panic: boom")
    assert "undefined: undefined" in told.messages["example.com/calc/brk (as a whole)"]
    assert told.messages["example.com/calc.TestSub"] == "calc_test.go:4: wrong"


def as_events(text):
    """The same run as `-json` tells it: output in pieces, each with its package, and one line that is no
    event.
    """
    events, package = [], []
    for line in text.splitlines(keepends=True):
        if line.endswith("[build failed]\n"):
            events.append(line)
            continue
        package.append(line)
        if line.startswith(("ok", "FAIL\t", "?")):
            name = line.split("\t")[1]
            events += [
                json.dumps({"Action": "output", "Package": name, "Output": piece}) + "\n" for piece in package
            ]
            events.append(
                json.dumps({"Action": "fail" if line.startswith("FAIL") else "pass", "Package": name}) + "\n"
            )
            package = []
    return "".join(events)


def test_go_as_json_says_the_same():
    assert outcomes("go", exit=2, output=as_events(GO)) == GO_OUTCOMES


def test_a_failure_that_only_an_event_tells_of_counts():
    passing = as_events("=== RUN   TestOk\n--- PASS: TestOk (0.00s)\nok  \tx/y\t0.1s\n")
    assert outcomes("go", output=passing) == {"x/y.TestOk": "pass"}
    assert outcomes("go", output=passing + '{"Action":"fail","Package":"x/y","Test":"TestOk"}') == {
        "x/y.TestOk": "fail"
    }
    assert outcomes("go", output=passing + '{"Action":"fail","Package":"x"}') == {
        "x/y.TestOk": "pass",
        "x (as a whole)": "fail",
    }


def test_without_names_a_package_is_the_test():
    said = "ok  \tx/a\t0.1s\nok  \tx/b\t0.1s [no tests to run]\n?   \tx/c\t[no test files]\n--- FAIL: TestB (0.00s)\nFAIL\nFAIL\tx/d\t0.1s\n"
    assert outcomes("go", exit=1, output=said) == {"x/a (as a whole)": "pass", "x/d.TestB": "fail"}


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("=== RUN   TestA\nok  \tx\t0.1s\n", {"x.TestA": "fail"}),
        (
            "=== RUN   TestA\n--- PASS: TestA (0.00s)\nFAIL\tx\t0.1s\n",
            {"x.TestA": "pass", "x (as a whole)": "fail"},
        ),
        ("=== RUN   TestA\n--- PASS: TestA (0.00s)\n", {"command": "fail"}),
        (
            "=== RUN   TestA\n--- PASS: TestA (0.00s)\n--- FAIL: TestA (0.00s)\nok  \tx\t0.1s\n",
            {"x.TestA": "fail"},
        ),
        (
            "=== RUN   TestA\n--- FAIL: TestA (0.00s)\n--- PASS: TestA (0.00s)\nok  \tx\t0.1s\n",
            {"x.TestA": "fail"},
        ),
        ("FAIL\tx [setup failed]\n", {"x (as a whole)": "fail"}),
    ],
)
def test_what_go_says_must_agree_with_itself(output, expected):
    assert outcomes("go", output=output) == expected


@pytest.mark.parametrize(
    "ended",
    [
        {"exit": 127, "error": "go: not found"},
        {},
        {"output": "?   \tx\t[no test files]\n"},
        {"output": "--- SKIP: T (0.00s)\nok  \tx\t1s\n"},
    ],
)
def test_where_go_ran_nothing_there_is_nothing_to_judge(ended):
    assert isinstance(outcomes("go", **ended), str)
