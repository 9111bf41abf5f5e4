"""One test has one name: what tools really print of tests that are easily taken for one another."""

from dataclasses import replace

import pytest

from oracle.cases.spec import Suite
from oracle.suites.base import CommandResult
from oracle.suites.command import readers
from oracle.suites.command import suite as project

from .results import files

ESC = "\x1b"
TAP = """TAP version 13
# Subtest: issue \\#12: order kept
ok 1 - issue \\#12: order kept
  ---
  duration_ms: 0.770639
  ...
# Subtest: issue \\#13: known bug
not ok 2 - issue \\#13: known bug
  ---
  error: |-
    ok 1 - in a diagnostic
  ...
ok 3 - later # SKIP no time
1..3
"""
NESTED = """TAP version 13
# Subtest: sums
    # Subtest: adds
    ok 1 - adds
    # Subtest: carries
        # Subtest: twice
        not ok 1 - twice
        1..1
    not ok 2 - carries
    1..2
not ok 1 - sums
# Subtest: more sums
    ok 1 - adds
    1..1
ok 2 - more sums
1..2
"""
CARGO = """
running 2 tests
test tests::works ... ok
test tests::slow ... ignored, slow

test result: ok. 1 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.10s


running 1 test
test tests::works ... FAILED

failures:

---- tests::works stdout ----
b is wrong

failures:
    tests::works

test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.08s


running 3 tests
test a/src/lib.rs - add (line 14) - compile ... ok
test a/src/lib.rs - add (line 2) ... FAILED
test a/src/lib.rs - add (line 8) ... ignored

test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.36s
"""
PROGRAMS = """     Running unittests src/lib.rs (target/debug/deps/a-0b1bd4bb5b1f2a33)
     Running unittests src/lib.rs (target/debug/deps/b-1c2ce5cc6c2a3b44)
   Doc-tests a
"""


def outcomes(results: str, output: str = "", **more: object) -> dict[str, str]:
    report = readers.read(results, CommandResult(1, output, **more))
    assert report.problem == ""
    return report.outcomes


def test_an_escaped_sign_does_not_end_the_name_of_a_tap_test():
    assert outcomes("tap", TAP) == {
        "issue #12: order kept": "pass",
        "issue #13: known bug": "fail",
        "later": "skip",
    }


def test_subtests_of_tap_are_cases_below_the_name_of_their_parent():
    assert outcomes("tap", NESTED) == {
        "sums": "fail",
        "sums > adds": "pass",
        "sums > carries": "fail",
        "sums > carries > twice": "fail",
        "more sums": "pass",
        "more sums > adds": "pass",
    }


def test_a_parent_whose_subtests_did_not_keep_their_plan_has_failed():
    broken = NESTED.replace("    ok 1 - adds\n    1..1\n", "    ok 1 - adds\n    1..2\n")
    assert outcomes("tap", broken)["more sums"] == "fail"


def test_tests_of_one_name_in_two_crates_are_two_cases():
    numbered = outcomes("cargo", CARGO)
    assert (numbered["tests::works"], numbered["tests::works (2)"]) == ("pass", "fail")
    by_crate = outcomes("cargo", CARGO, error=PROGRAMS)
    assert (by_crate["a::tests::works"], by_crate["b::tests::works"]) == ("pass", "fail")


def test_doc_tests_of_one_item_are_numbered_by_their_lines_whichever_ends_first():
    doc = {name: outcome for name, outcome in outcomes("cargo", CARGO).items() if " - add" in name}
    assert doc == {
        "a/src/lib.rs - add": "fail",
        "a/src/lib.rs - add (2)": "skip",
        "a/src/lib.rs - add (3)": "pass",
    }


@pytest.mark.parametrize("results", ["cargo", "tap"])
def test_colours_are_no_part_of_a_name(results: str):
    plain = CARGO if results == "cargo" else TAP
    coloured = plain.replace("ok", f"{ESC}[32mok{ESC}(B{ESC}[m".replace(f"{ESC}(B", ""))
    assert outcomes(results, coloured) == outcomes(results, plain)


def test_what_stands_in_brackets_is_part_of_a_pytest_name():
    output = (
        "PASSED test_calc.py::test_calc[3 - 1]\n"
        "FAILED test_calc.py::test_calc[3 - 0x1] - ValueError: invalid literal - '0x1'\n"
        "=== 1 failed, 1 passed in 0.03s ===\n"
    )
    assert outcomes("pytest", output) == {
        "test_calc.py::test_calc[3 - 1]": "pass",
        "test_calc.py::test_calc[3 - 0x1]": "fail",
    }


def test_blanks_at_line_ends_and_colours_are_no_part_of_a_pytest_name():
    output = (
        f"[gw0] [ 50%] {ESC}[32mPASSED{ESC}[0m tests/a dir/test_a.py::test_x \n"
        f"[gw1] [100%] {ESC}[32mPASSED{ESC}[0m tests/a dir/test_a.py::test_y \n"
        f"{ESC}[32m============ {ESC}[32m{ESC}[1m2 passed{ESC}[0m{ESC}[32m in 1.00s{ESC}[0m ====\n"
    )
    names = ("tests/a dir/test_a.py::test_x", "tests/a dir/test_a.py::test_y")
    report = readers.read("pytest", CommandResult(0, output))
    assert report.outcomes == dict.fromkeys(names, "pass")


def test_a_subtest_that_fails_fails_its_test():
    output = (
        "PASSED test_s.py::T::test_f\nPASSED test_s.py::T::test_g\n"
        "SUBFAILED(i=2) test_s.py::T::test_f - AssertionError: 2 not less than 2\n"
        "================ 1 failed, 2 passed, 5 subtests passed in 4.62s ================\n"
    )
    assert outcomes("pytest", output) == {"test_s.py::T::test_f": "fail", "test_s.py::T::test_g": "pass"}


def test_two_quiet_options_are_told_with_what_pytest_did_print():
    report = readers.read("pytest", CommandResult(0, "...                 [100%]\n"))
    assert "[100%]" in report.problem
    assert "two -q" in report.problem


def test_a_document_in_the_output_of_a_test_is_no_document_type():
    xml = (
        '<testsuite tests="2"><testcase classname="c" name="keeps"><system-out><![CDATA[<!DOCTYPE html>'
        '<!ENTITY x "y">]]></system-out></testcase><testcase classname="c" name="draws"/></testsuite>'
    )
    assert outcomes("out.xml", collected=files(xml)) == {"c::keeps": "pass", "c::draws": "pass"}


def test_a_character_that_xml_cannot_hold_spoils_no_other_test():
    xml = (
        '<testsuite tests="2" failures="1"><testcase classname="c" name="keeps"/><testcase classname="c" '
        f'name="draws"><failure message="x">got {ESC}[31mred{ESC}[0m \x00 &#27; &#x0; &#65;</failure></testcase></testsuite>'
    )
    report = readers.read("out.xml", CommandResult(1, collected=files(xml)))
    assert report.outcomes == {"c::keeps": "pass", "c::draws": "fail"}
    assert report.messages["c::draws"].endswith("\ufffd \ufffd \ufffd A")


def test_tests_of_one_name_in_two_files_or_suites_are_two_cases():
    in_files = '<testsuite><testcase file="a.js" name="works"/><testcase file="b.js" name="works"><failure/></testcase></testsuite>'
    assert outcomes("out.xml", collected=files(in_files)) == {"a.js::works": "pass", "b.js::works": "fail"}
    in_suites = (
        '<testsuites><testsuite name="page"><testsuite name="head"><testcase name="works"/></testsuite>'
        '<testsuite name="foot"><testcase name="works"><failure/></testcase></testsuite></testsuite></testsuites>'
    )
    assert outcomes("out.xml", collected=files(in_suites)) == {
        "page > head > works": "pass",
        "page > foot > works": "fail",
    }
    alike = '<testsuite><testcase name="works"/><testcase name="works"><failure/></testcase></testsuite>'
    assert outcomes("out.xml", collected=files(alike)) == {"works": "pass", "works (2)": "fail"}


SUITE = Suite("unit", "command", "app", command="x", results="tap")


def test_a_test_more_of_a_name_that_several_have_is_no_pass():
    """The new one could stand in for one that has failed: main's first and second are nobody's any more."""
    now = "ok 1 - works\nnot ok 2 - works\nok 3 - works\n1..3\n"
    decided = project.judge(SUITE, CommandResult(1, now), on_main=["works", "works (2)"])
    assert set(decided.outcomes.values()) == {"fail"}
    alone = project.judge(replace(SUITE), CommandResult(0, "ok 1 - works\n1..1\n"), on_main=["works"])
    assert alone.status == "passed"
    fewer = project.judge(SUITE, CommandResult(0, "ok 1 - works\n1..1\n"), on_main=["works", "works (2)"])
    assert fewer.missing == ("works (2)",)


def test_a_second_test_of_a_name_is_no_pass_and_new_names_are():
    now = "ok 1 - works\nok 2 - works\n1..2\n"
    assert project.judge(SUITE, CommandResult(0, now), on_main=["works"]).status == "failed"
    assert project.judge(SUITE, CommandResult(0, now), on_main=["other"]).outcomes["works"] == "pass"
