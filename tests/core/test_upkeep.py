"""When a repository is cared for, and which refs have served their time."""

import pytest

from mcp_server.core import upkeep
from mcp_server.core.upkeep import Folded, InUse, ObjectCounts, Ref

NOW_MS, KEEP_MS = 1_000_000, 1_000


@pytest.mark.parametrize(
    ("counts", "due"),
    [
        (ObjectCounts(0, 0, 0), False),
        (ObjectCounts(upkeep.LOOSE_MAX, upkeep.PACKS_MAX, upkeep.LOOSE_REFS_MAX), False),
        (ObjectCounts(upkeep.LOOSE_MAX + 1, 0, 0), True),
        (ObjectCounts(0, upkeep.PACKS_MAX + 1, 0), True),
        (ObjectCounts(0, 0, upkeep.LOOSE_REFS_MAX + 1), True),
    ],
)
def test_care_is_due_once_any_count_is_over_its_limit(counts: ObjectCounts, due: bool):
    assert upkeep.is_due(counts) is due


def is_finished(name: str, *, moved_ms: int = 0, commit: str = "c", in_use: InUse = InUse()) -> bool:
    return upkeep.to_fold([Ref(name, commit, moved_ms)], in_use, NOW_MS, KEEP_MS) != []


@pytest.mark.parametrize(
    "name", ["refs/agents/one/S1", "refs/agents/one/deep/er", "refs/salvage/T1/3", "refs/landed/T1/3/1"]
)
def test_a_ref_goes_by_its_age_and_not_before_its_time(name: str):
    assert is_finished(name, moved_ms=NOW_MS - KEEP_MS - 1)
    assert not is_finished(name, moved_ms=NOW_MS - KEEP_MS)
    assert not is_finished(name, moved_ms=NOW_MS + 1), "the clock has jumped back"


@pytest.mark.parametrize(
    "in_use", [InUse(refs=frozenset({"refs/agents/one/S1"})), InUse(commits=frozenset({"c"}))]
)
def test_what_is_still_named_stays_however_old(in_use: InUse):
    assert not is_finished("refs/agents/one/S1", in_use=in_use)


@pytest.mark.parametrize(
    "name", ["refs/heads/main", "refs/kept/202601", "refs/import/main", "refs/tags/x", "refs/agentsx/y"]
)
def test_every_other_ref_stays_for_ever(name: str):
    assert not is_finished(name)


def test_a_candidate_goes_once_its_submission_is_settled():
    assert is_finished("refs/candidates/7", moved_ms=NOW_MS)
    assert not is_finished("refs/candidates/7", in_use=InUse(submissions=frozenset({7})))
    assert is_finished("refs/candidates/x", moved_ms=NOW_MS)


def many(count: int, *, prefix: str = "refs/landed/T") -> list[Ref]:
    """So many young ones, each younger than the one before."""
    return [Ref(f"{prefix}{number}", f"c{number}", NOW_MS + number) for number in range(count)]


def test_of_too_many_the_oldest_go_however_young_they_are():
    refs = many(upkeep.NAMES_MAX + 3)
    assert upkeep.to_fold(refs[3:], InUse(), NOW_MS, KEEP_MS) == []
    assert upkeep.to_fold(reversed(refs), InUse(), NOW_MS, KEEP_MS) == refs[:3]


def test_what_is_in_use_neither_goes_nor_counts_however_many_there_are():
    refs = many(upkeep.NAMES_MAX + 3, prefix="refs/salvage/T")
    in_use = InUse(refs=frozenset({refs[0].name}), commits=frozenset({refs[1].commit}))
    assert upkeep.to_fold(refs, in_use, NOW_MS, KEEP_MS) == [refs[2]]
    others = [Ref(f"refs/heads/{number}", "c", 0) for number in range(upkeep.NAMES_MAX)]
    assert upkeep.to_fold([*refs[3:], *others], InUse(), NOW_MS, KEEP_MS) == []


def test_a_round_folds_a_bounded_number_and_the_rounds_after_it_the_rest():
    refs, rounds = many(upkeep.NAMES_MAX + 2 * upkeep.FOLDED_MAX + 5), []
    while gone := upkeep.to_fold(refs, InUse(), NOW_MS, KEEP_MS):
        rounds.append(len(gone))
        refs = [ref for ref in refs if ref not in set(gone)]
    assert rounds == [upkeep.FOLDED_MAX, upkeep.FOLDED_MAX, 5] and len(refs) == upkeep.NAMES_MAX


@pytest.mark.parametrize(
    ("now", "time"),
    [
        (Folded(NOW_MS, 10), False),
        (Folded(NOW_MS, 10 + upkeep.GATHERED_MAX), False),
        (Folded(NOW_MS, 11 + upkeep.GATHERED_MAX), True),
        (Folded(NOW_MS + upkeep.FOLD_EVERY_MS - 1, 0), False),
        (Folded(NOW_MS + upkeep.FOLD_EVERY_MS, 0), True),
        (Folded(NOW_MS - 1, 0), True),
    ],
)
def test_it_is_time_to_fold_after_an_hour_or_after_many_new_names_or_where_the_clock_jumped_back(
    now: Folded, time: bool
):
    assert upkeep.is_time_to_fold(Folded(NOW_MS, 10), now) is time and upkeep.is_time_to_fold(None, now)
