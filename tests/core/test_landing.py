"""What may land: the boundary on the merged diff, and the ratchet on the oracle's outcomes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_server.core import landing
from mcp_server.core.landing import NAMED_MAX, SuiteOutcomes, boundary, exempt, ratchet, some, unmet
from mcp_server.core.paths import covers
from mcp_server.core.refusal import Code
from oracle.judging.contradictions import Contradiction, ContradictionKind

LEASE, PROTECTED = ("a/**", "b/*.py"), ("oracle/**", "a/locked.py")
names = st.sampled_from(
    ["a/x.py", "a/deep/y.py", "a/locked.py", "b/z.py", "b/sub/z.py", "c/w.py", "oracle/case.sql"]
)
outcomes = st.dictionaries(st.sampled_from(["g/1", "g/2", "h/1", "h/2"]), st.sampled_from(["pass", "fail"]))
globs = st.lists(st.sampled_from(["g/*", "h/1", "none/*", "*"]), unique=True).map(tuple)


@given(st.lists(names))
def test_a_diff_passes_the_boundary_if_and_only_if_every_path_is_leased_and_none_protected(
    changed: list[str],
):
    found = boundary(changed, LEASE, PROTECTED, "a")
    assert (found is None) == all(covers(LEASE, path) and not covers(PROTECTED, path) for path in changed)
    if found is not None:
        assert found.code is (
            Code.PROTECTED_PATH if any(covers(PROTECTED, path) for path in changed) else Code.OUTSIDE_MODULE
        )
        assert found.happened and found.holds and found.next


def test_one_protected_path_outweighs_a_lease_that_covers_it():
    assert boundary(["a/locked.py"], LEASE, PROTECTED, "a").code is Code.PROTECTED_PATH


def test_a_refusal_names_a_few_paths_and_counts_the_rest():
    found = boundary([f"c/{n}.py" for n in range(50)], LEASE, PROTECTED, "a")
    assert "c/0.py" in found.happened and f"and {50 - NAMED_MAX} more" in found.happened


@given(outcomes, outcomes, globs)
def test_the_ratchet_lets_through_exactly_what_loses_nothing_and_meets_its_task(
    main: dict, candidate: dict, named: tuple
):
    found = ratchet([SuiteOutcomes("s", main, candidate, named)])
    lost = [case for case in main if main[case] == "pass" and candidate.get(case) != "pass"]
    assert (found is None) == (not lost and not unmet(SuiteOutcomes("s", main, candidate, named)))
    if found is not None:
        assert found.code is (Code.REGRESSION if lost else Code.ORACLE_FAILED)
        assert found.happened and found.holds and found.next


@given(
    outcomes,
    outcomes,
    st.frozensets(st.sampled_from(ContradictionKind)),
    st.frozensets(st.sampled_from(ContradictionKind)),
)
def test_a_run_lands_only_with_what_mains_own_run_says_against_itself_too(
    main: dict, candidate: dict, here: frozenset, there: frozenset
):
    against = tuple(Contradiction(kind, f"so {kind}") for kind in sorted(here))
    found = ratchet([SuiteOutcomes("s", main, candidate, contradictions=against, kinds_on_main=there)])
    excused = there - {ContradictionKind.CANARY}
    without = ratchet([SuiteOutcomes("s", main, candidate)])
    assert (found is None) == (without is None and here <= excused)
    if found is not None:
        assert found.code is (without.code if without else Code.CONTRADICTED)
        assert all((f"so {kind}" in found.happened) == (kind not in excused) for kind in here)


def test_a_case_that_passes_on_main_and_has_no_outcome_afterwards_is_lost():
    assert ratchet([SuiteOutcomes("s", {"g/1": "pass"}, {})]).code is Code.REGRESSION


def test_a_case_that_fails_on_main_may_go_on_failing_and_may_vanish():
    assert (
        ratchet(
            [SuiteOutcomes("s", {"g/1": "fail"}, {"g/1": "fail"}), SuiteOutcomes("t", {"h/1": "fail"}, {})]
        )
        is None
    )


def test_the_second_of_two_suites_refuses_as_well():
    found = ratchet(
        [
            SuiteOutcomes("s", {"g/1": "pass"}, {"g/1": "pass"}),
            SuiteOutcomes("t", {"h/1": "pass"}, {"h/1": "fail"}),
        ]
    )
    assert found.code is Code.REGRESSION and "of t " in found.happened


def test_a_named_case_that_does_not_exist_is_unmet():
    assert unmet(SuiteOutcomes("s", {}, {"g/1": "pass"}, ("gone/*",))) == {"gone/*"}
    assert ratchet([SuiteOutcomes("s", {}, {"g/1": "pass"}, ("gone/*",))]).code is Code.ORACLE_FAILED


def test_a_flaky_case_counts_for_nothing_up_to_and_including_its_day():
    flaky = {"g/1": "2030-01-31"}
    assert (
        exempt(flaky, "2030-01-30") == exempt(flaky, "2030-01-31") == {"g/1"}
        and exempt(flaky, "2030-02-01") == set()
    )


@given(outcomes, outcomes, globs, st.frozensets(st.sampled_from(["g/1", "g/2", "h/1", "h/2"])))
def test_the_ratchet_with_exempt_cases_is_the_ratchet_on_outcomes_in_which_these_pass(
    main: dict, candidate: dict, named: tuple, free: frozenset
):
    found = ratchet([SuiteOutcomes("s", main, candidate, named, exempt=free)])
    passing = {case: "pass" if case in free else outcome for case, outcome in candidate.items()}
    as_if = ratchet(
        [
            SuiteOutcomes(
                "s", {case: outcome for case, outcome in main.items() if case not in free}, passing, named
            )
        ]
    )
    assert found == as_if


def test_a_refusal_tells_of_hidden_cases_only_that_some_are_lost_and_nothing_where_others_are():
    hidden = frozenset({"held-out/1", "held-out/2"})
    main = {"g/1": "pass", "held-out/1": "pass", "held-out/2": "pass"}
    both = ratchet([SuiteOutcomes("s", main, {}, hidden=hidden)])
    seen = ratchet([SuiteOutcomes("s", {"g/1": "pass"}, {})])
    assert both == seen and "1 cases of s" in both.happened and "g/1" in both.happened
    one, two = (
        ratchet([SuiteOutcomes("s", main, {"g/1": "pass"} | kept, hidden=hidden)])
        for kept in ({}, {"held-out/1": "pass"})
    )
    assert one == two and one.code is Code.REGRESSION and "held-out cases of s" in one.happened
    assert "held-out/" not in str(one.to_json())


def test_no_glob_names_a_hidden_case():
    outcomes = {"g/1": "pass", "held-out/1": "fail"}
    assert unmet(SuiteOutcomes("s", {}, outcomes, ("*",), hidden=frozenset({"held-out/1"}))) == set()
    assert unmet(SuiteOutcomes("s", {}, outcomes, ("held-out/*",), hidden=frozenset({"held-out/1"}))) == {
        "held-out/*"
    }


def test_some_shows_all_that_fit():
    assert some(["a", "b"]) == "a, b" and some([]) == ""


def test_a_landed_commit_tells_each_change_that_it_brought_and_another_commit_none():
    one = {"Task": "T1", "Agent": "a", "Fence": "3", "Submission": "1"}
    two = {"Task": "T2", "Agent": "b", "Fence": "4", "Submission": "2"}
    trailers = "".join(f"{name}: {value}\n" for change in (one, two) for name, value in change.items())
    body = f"- T1 (a): x\n\n{trailers}Oracle-Verdict: words=3\nAudit-Checkpoint: 7 h\n"
    assert landing.changes(body) == [one, two]
    assert landing.changes(trailers) == [] and landing.changes("") == []


LOST = {"on_main": {"g/1": "pass", "held-out/1": "pass"}, "hidden": frozenset({"held-out/1"})}


def test_a_regression_says_how_the_first_lost_case_fails():
    found = ratchet([SuiteOutcomes("s", {"g/1": "pass"}, {"g/1": "fail"}, why={"g/1": "line 2: 3, not 4"})])
    assert found.code is Code.REGRESSION and found.happened.endswith(": g/1. g/1: line 2: 3, not 4")


def test_a_named_case_that_does_not_pass_says_how_it_fails():
    failing = SuiteOutcomes("s", {}, {"g/1": "fail"}, ("g/*",), why={"g/1": "boom"})
    found = ratchet([failing])
    assert found.code is Code.ORACLE_FAILED and found.happened.endswith("g/1: boom")


def test_a_run_that_could_not_be_read_is_told_as_that_and_not_as_a_regression_of_healthy_tests():
    problem = "out.xml is not XML: line 3"
    found = ratchet([SuiteOutcomes("unit", {"g/1": "pass", "g/2": "pass"}, {}, problem=problem)])
    assert found.code is Code.ORACLE_FAILED
    assert found.happened == "unit could not judge the merged commit: out.xml is not XML: line 3"
    assert "2 cases" in found.holds and "g/1" not in found.happened


def test_a_run_whose_time_was_up_is_told_by_time_whatever_else_is_known_of_it():
    found = ratchet(
        [SuiteOutcomes("unit", {"g/1": "pass"}, {}, timed_out_s=20, main_ms=300, problem="no summary")]
    )
    assert found.code is Code.TOO_SLOW
    assert found.happened == "unit timed out after 20 s on the merged commit; main takes 0.3 s"


def test_nothing_is_quoted_for_held_out_cases_alone():
    outcomes = {"g/1": "pass", "held-out/1": "fail"}
    more = {"why": {"held-out/1": "secret"}, "problem": "secret", "timed_out_s": 20.0}
    found = ratchet([SuiteOutcomes("s", on_candidate=outcomes, **LOST, **more)])
    assert found.code is Code.REGRESSION and "secret" not in str(found.to_json())


def test_a_refusal_stays_short_however_long_the_reason_is():
    long_ones = {"why": {"g/1": "x" * 9_000}, "problem": "y" * 9_000}
    for more in ({"why": long_ones["why"]}, {"problem": long_ones["problem"]}):
        found = ratchet([SuiteOutcomes("s", {"g/1": "pass"}, {"g/1": "fail"}, **more)])
        assert len(str(found.to_json())) < 1_800


@pytest.mark.parametrize("on_main", ["fail", "skip"])
def test_what_main_reports_without_passing_it_stays_reported_unless_the_task_removes_it(on_main: str):
    main, gone = {"t/a": "pass", "t/red": on_main}, frozenset({"t/red"})
    refusal = ratchet([SuiteOutcomes("s", main, {"t/a": "pass"}, gone=gone)])
    assert refusal.code is Code.REGRESSION and "t/red" in refusal.happened and "removes" in refusal.next
    assert ratchet([SuiteOutcomes("s", main, {"t/a": "pass"}, gone=gone, removes=("t/r*",))]) is None
    assert ratchet([SuiteOutcomes("s", main, {"t/a": "pass"}, gone=gone, exempt=gone)]) is None


def test_a_task_may_remove_what_passes_and_loses_nothing_else_by_that():
    main = {"t/a": "pass", "t/b": "pass", "t/c": "pass"}
    gone, candidate = frozenset({"t/a", "t/b"}), {"t/a": "fail", "t/b": "fail", "t/c": "pass"}
    assert ratchet([SuiteOutcomes("s", main, candidate, gone=gone, removes=("t/[ab]",))]) is None
    refusal = ratchet([SuiteOutcomes("s", main, candidate, gone=gone, removes=("t/a",))])
    assert "t/b" in refusal.happened and "t/a" not in refusal.happened
    broken = {**candidate, "t/c": "fail"}
    refusal = ratchet([SuiteOutcomes("s", main, broken, gone=gone, removes=("t/*",))])
    assert "t/c" in refusal.happened  # it is there, and fails: that is no removal
