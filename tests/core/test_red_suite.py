"""What is red on main: a case is in it from the look that shows it failing there until one that shows it pass."""

import itertools

import pytest

from mcp_server.core.red_suite import Look, RedSuite, correct

FIRST, SECOND = "a" * 40, "b" * 40
OUTCOMES = ("pass", "fail", "skip", None)


def look(commit: str = SECOND, **outcomes: str) -> Look:
    return Look(outcomes, commit, 2_000, 7)


def test_a_case_that_passed_and_fails_on_main_is_red_since_the_look_that_showed_it():
    found = correct(None, {"a": "pass", "b": "pass", "c": "fail"}, look(a="fail", c="fail"), ())
    assert found.red == RedSuite(SECOND, ("a",), 2_000, 7)
    assert found.lost == ("a",) and found.record == {"a": "fail", "b": "pass", "c": "fail"}


def test_what_is_red_stays_so_since_its_first_day_whatever_else_turns_red():
    red = RedSuite(FIRST, ("a",), 1_000, 3)
    found = correct(red, {"a": "fail", "b": "pass"}, look(b="fail"), ())
    assert found.red == RedSuite(FIRST, ("a", "b"), 1_000, 7) and found.lost == ("b",)


def test_a_look_that_fails_what_is_red_already_says_nothing_new():
    red = RedSuite(FIRST, ("a",), 1_000, 3)
    found = correct(red, {"a": "fail"}, look(a="fail"), ())
    assert found.red is not None and found.red.cases == ("a",) and found.lost == found.mended == ()


def test_a_case_that_passes_again_is_mended_and_on_record_as_passing():
    red = RedSuite(FIRST, ("a", "b"), 1_000, 3)
    found = correct(red, {"a": "fail", "b": "fail"}, look(a="pass", b="fail"), ())
    assert found.mended == ("a",) and found.record == {"a": "pass", "b": "fail"}
    assert found.red is not None and (found.red.cases, found.red.commit) == (("b",), FIRST)


def test_cases_that_turn_red_as_the_last_red_ones_are_mended_are_red_since_now():
    red = RedSuite(FIRST, ("a",), 1_000, 3)
    found = correct(red, {"a": "fail", "b": "pass"}, look(a="pass", b="fail"), ())
    assert found.red == RedSuite(SECOND, ("b",), 2_000, 7)


def test_a_case_that_counts_for_nothing_today_changes_neither_record_nor_red():
    found = correct(None, {"a": "pass"}, look(a="fail"), {"a"})
    assert found.red is None and found.record == {"a": "pass"} and found.lost == ()


@pytest.mark.parametrize("was_red", [False, True])
def test_no_case_is_lost_without_being_red_or_red_without_failing_on_record(was_red: bool):
    for before, seen in itertools.product(OUTCOMES, OUTCOMES):
        record = {} if before is None else {"a": before}
        outcomes = {} if seen is None else {"a": seen}
        red = RedSuite(FIRST, ("a",), 1_000, 3) if was_red and before not in (None, "pass") else None
        found = correct(red, record, look(**outcomes), ())
        red_cases = found.red.cases if found.red else ()
        left_the_record = record.get("a") == "pass" and found.record.get("a") != "pass"
        assert not left_the_record or "a" in red_cases, (before, seen)
        assert "a" not in red_cases or found.record["a"] != "pass", (before, seen)
        assert (red is None or seen == "pass") or "a" in red_cases, (before, seen)


def test_what_was_kept_by_the_first_release_can_be_read():
    kept = {"commit": FIRST, "cases": ["a"], "count": 1}
    assert RedSuite.from_json(kept) == RedSuite(FIRST, ("a",))
    red = RedSuite(FIRST, ("a", "b"), 5, 6)
    assert RedSuite.from_json(red.to_json()) == red
