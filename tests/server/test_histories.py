"""Leases under real concurrency: whatever threads and clients do at once could have been done one call at a
time, by the rules.

HARNESS_HISTORIES=100000 records so many instead of the thousand that are taken each time.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import histories, lease_model
from .histories import Ground
from .lease_faults import FAULTS, RACES
from .linear import NEVER, Call, check

HISTORIES = int(os.environ.get("HARNESS_HISTORIES", "1000"))
LANDING_SHARE = 12  # one of so many has the real gate merge, test and land
FAULT_HISTORIES_MAX = 2_000  # the first few show most faults; which ones depends on how threads meet
PER_HISTORY_S = 0.5  # far more than one takes, on a busy machine

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600 + HISTORIES * PER_HISTORY_S)]


@pytest.fixture(autouse=True)
def _eager_threads() -> Iterator[None]:
    """Threads that take turns a hundred times as often meet in the middle of more calls."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(5e-5)
    yield
    sys.setswitchinterval(before)


def record(ground: Ground, seeds: range, **steps: int) -> dict[str, int]:
    """How often each kind of call was answered; a history that no order explains fails the test, with the
    order that came furthest.
    """
    seen: dict[str, int] = {}
    for seed in seeds:
        history, verdict = histories.run(ground, seed, **steps)
        assert verdict.ok, f"seed {seed}:\n{verdict}"
        for call in history.calls:
            told = call.answer[0] if isinstance(call.answer, tuple) and call.answer else call.answer
            name = f"{call.what} {told}" if call.is_known else "unread"
            seen[name] = seen.get(name, 0) + 1
    return seen


def test_every_history_of_claims_expiries_releases_pushes_and_deaths_could_be_one_call_after_the_other(
    tmp_path: Path,
):
    with histories.ground(tmp_path) as ground:
        seen = record(ground, range(HISTORIES - HISTORIES // LANDING_SHARE))
        assert ground.verify() == []
    wanted = {
        "claim leased",
        "claim held",
        "claim overlap",
        "claim no_task",
        "release released",
        "release held",
        "release not_leased",
    }
    wanted |= {
        "push sent",
        "push stale_fence",
        "push held",
        "push not_leased",
        "gate refused",
        "expire True",
        "end None",
        "unread",
    }
    assert wanted <= set(seen), f"nothing was tried of {wanted - set(seen)}"


def test_every_history_with_landings_could_be_one_call_after_the_other(tmp_path: Path):
    with histories.ground(tmp_path, with_suite=True) as ground:
        seen = record(ground, range(HISTORIES // LANDING_SHARE), agent_steps=5, other_steps=6)
        assert ground.verify() == []
    wanted = {"gate testing", "gate landing", "gate landed", "gate refused"}
    assert wanted <= set(seen), f"nothing was seen of {wanted - set(seen)}"


@pytest.mark.parametrize("fault", [*FAULTS, *RACES])
def test_a_fault_makes_histories_that_no_order_explains(tmp_path: Path, fault: str):
    deeds = (FAULTS | RACES)[fault]
    with histories.ground(tmp_path) as ground:
        for seed in range(FAULT_HISTORIES_MAX):
            _, verdict = histories.run(ground, seed, deeds)
            if not verdict.ok:
                return
    raise AssertionError(f"{FAULT_HISTORIES_MAX} histories with {fault} were all explained")


# -- the checker itself


def history(*calls: tuple) -> bool:
    """Whether these calls (what, args, answer, began, ended) have an order."""
    return check([Call(*call) for call in calls], lease_model.State(0, 0), lease_model.step).ok


CLAIMED = ("leased", "A1", 1, 60)


def test_calls_that_overlap_in_time_may_be_ordered_either_way():
    held = ("claim", ("two", "S2", "A1"), "held", 1, 4)
    assert history(held, ("claim", ("one", "S1", "A1"), CLAIMED, 2, 3))
    assert history(("claim", ("one", "S1", "A1"), CLAIMED, 1, 4), held[:3] + (2, 3))


def test_a_call_that_ended_before_another_began_came_first():
    assert not history(
        ("claim", ("two", "S2", "A1"), "held", 1, 2), ("claim", ("one", "S1", "A1"), CLAIMED, 3, 4)
    )


def test_two_winners_have_no_order():
    assert not history(
        ("claim", ("one", "S1", "A1"), CLAIMED, 1, 4), ("claim", ("two", "S2", "A1"), CLAIMED, 2, 3)
    )


def test_a_call_whose_answer_nobody_read_happened_at_any_later_time_or_never():
    unread = ("claim", ("one", "S1", "A1"), None, 3, NEVER)
    assert history(unread, ("claim", ("two", "S2", "A1"), "held", 5, 6))
    assert history(unread, ("claim", ("two", "S2", "A1"), CLAIMED, 5, 6))
    assert not history(unread, ("claim", ("two", "S2", "A1"), "held", 1, 2))


def test_the_clock_is_part_of_the_order():
    first = ("claim", ("one", "S1", "A1"), CLAIMED, 1, 2)
    second = ("claim", ("two", "S2", "A1"), ("leased", "A1", 2, 60), 4, 5)
    assert not history(first, second)
    assert history(first, ("clock", (60_000,), None, 3, 6), second)
    assert not history(first, ("clock", (59_999,), None, 3, 6), second)
