"""When a repository is cared for, and which refs have served their time."""

import pytest

from mcp_server.core import upkeep
from mcp_server.core.upkeep import Counts, InUse, Ref

NOW_MS, KEEP_MS = 1_000_000, 1_000


@pytest.mark.parametrize(
    ("counts", "due"),
    [
        (Counts(0, 0, 0), False),
        (Counts(upkeep.LOOSE_MAX, upkeep.PACKS_MAX, upkeep.LOOSE_REFS_MAX), False),
        (Counts(upkeep.LOOSE_MAX + 1, 0, 0), True),
        (Counts(0, upkeep.PACKS_MAX + 1, 0), True),
        (Counts(0, 0, upkeep.LOOSE_REFS_MAX + 1), True),
    ],
)
def test_care_is_due_once_any_count_is_over_its_limit(counts: Counts, due: bool):
    assert upkeep.is_due(counts) is due


def is_finished(name: str, *, moved_ms: int = 0, commit: str = "c", in_use: InUse = InUse()) -> bool:
    return upkeep.finished([Ref(name, commit, moved_ms)], in_use, NOW_MS, KEEP_MS) != []


@pytest.mark.parametrize("name", ["refs/agents/one/S1", "refs/agents/one/deep/er", "refs/salvage/T1/3", "refs/landed/T1/3/1"])
def test_a_ref_goes_by_its_age_and_not_before_its_time(name: str):
    assert is_finished(name, moved_ms=NOW_MS - KEEP_MS - 1)
    assert not is_finished(name, moved_ms=NOW_MS - KEEP_MS)
    assert not is_finished(name, moved_ms=NOW_MS + 1), "the clock has jumped back"


@pytest.mark.parametrize("in_use", [InUse(refs=frozenset({"refs/agents/one/S1"})), InUse(commits=frozenset({"c"}))])
def test_what_is_still_named_stays_however_old(in_use: InUse):
    assert not is_finished("refs/agents/one/S1", in_use=in_use)


@pytest.mark.parametrize("name", ["refs/heads/main", "refs/kept/202601", "refs/import/main", "refs/tags/x", "refs/agentsx/y"])
def test_every_other_ref_stays_for_ever(name: str):
    assert not is_finished(name)


def test_a_candidate_goes_once_its_submission_is_settled():
    assert is_finished("refs/candidates/7", moved_ms=NOW_MS)
    assert not is_finished("refs/candidates/7", in_use=InUse(submissions=frozenset({7})))
    assert is_finished("refs/candidates/x", moved_ms=NOW_MS)
