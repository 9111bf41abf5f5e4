"""The train: a pure planner, driven against every kind of truth that a sequence of changes may have."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_server.core import train
from mcp_server.core.train import PrefixOutcome, TrainPlan, Waiting

RUNNING, PASSED, FAILED, BROKEN = (
    PrefixOutcome.RUNNING,
    PrefixOutcome.PASSED,
    PrefixOutcome.FAILED,
    PrefixOutcome.BROKEN,
)
ROUNDS_MAX = 2_000


class Track:
    """A train on its track: `good` says of the changes on main, in order, whether they hold together."""

    def __init__(
        self,
        items: list[int],
        good: Callable[[list[int]], bool],
        *,
        slots: int,
        step: int,
        data: st.DataObject,
        broken: int = 0,
    ):
        self.items, self.good, self.slots, self.step, self.data, self.broken = (
            items,
            good,
            slots,
            step,
            data,
            broken,
        )
        self.main: list[int] = []
        self.refused: list[int] = []
        self.given_back: list[int] = []
        self.known: dict[tuple[int, ...], PrefixOutcome] = {}  # by all that is in the tree
        self.runs = 0

    def outcomes(self) -> dict[int, PrefixOutcome]:
        told = ((k, self.known.get((*self.main, *self.items[:k]))) for k in range(1, len(self.items) + 1))
        return {k: outcome for k, outcome in told if outcome is not None}

    def go(self) -> None:
        for _ in range(ROUNDS_MAX):
            if not self.items:
                return
            outcomes = self.outcomes()
            plan = train.plan(len(self.items), outcomes, slots=self.slots, step=self.step)
            if plan.land:
                assert outcomes[plan.land] is PASSED, "an untested prefix lands"
                self.main, self.items, self.step = (
                    [*self.main, *self.items[: plan.land]],
                    self.items[plan.land :],
                    train.grown(self.step),
                )
                assert self.good(self.main), "main is red"
            elif plan.head is not None:
                head, self.items = self.items[0], self.items[1:]
                assert plan.head is BROKEN or not self.good([*self.main, head]), "an innocent is refused"
                (self.given_back if plan.head is BROKEN else self.refused).append(head)
                self.step = train.halved(self.step)
            else:
                self.run(plan)
        raise AssertionError("it never ends")

    def run(self, plan: TrainPlan) -> None:
        """Asks for what is wanted, and ends one of the runs under way."""
        assert plan.test, "nothing moves and nothing is tested"
        assert len(plan.test) <= max(1, self.slots), "more runs than there are slots"
        trees = [(*self.main, *self.items[:k]) for k in plan.test]
        for tree in trees:
            if self.known.get(tree) in (None, BROKEN):
                self.known[tree], self.runs = RUNNING, self.runs + 1
        done = self.data.draw(st.sampled_from([tree for tree in trees if self.known[tree] is RUNNING]))
        if self.broken and self.data.draw(st.booleans()):
            self.broken -= 1
            self.known[done] = BROKEN
        else:
            self.known[done] = PASSED if self.good(list(done)) else FAILED


lengths, slots_, steps = st.integers(1, 12), st.integers(0, 8), st.integers(1, train.STEP_MAX)


@settings(deadline=None)
@given(st.data(), lengths, slots_, steps, st.sets(st.integers(0, 11)), st.integers(0, 6))
def test_the_bad_are_refused_and_the_good_land_whatever_order_runs_end_in(
    data, length, slots, step, bad, broken
):
    track = Track(
        list(range(length)),
        lambda main: not bad & set(main),
        slots=slots,
        step=step,
        data=data,
        broken=broken,
    )
    track.go()
    assert sorted(track.main + track.refused + track.given_back) == list(range(length)), (
        "each is landed, refused or given back, once"
    )
    assert set(track.refused) <= bad and track.main == sorted(track.main)
    if not broken:
        assert track.refused == sorted(bad & set(range(length)))
        assert track.runs <= (length + len(track.refused)) * (max(1, slots) + 4), "runs are bounded"


@settings(deadline=None)
@given(st.data(), lengths, slots_, steps, st.sets(st.tuples(st.integers(0, 11), st.integers(0, 11))))
def test_of_two_that_break_only_together_the_one_behind_is_refused(data, length, slots, step, pairs):
    pairs = {(min(pair), max(pair)) for pair in pairs if pair[0] != pair[1]}
    track = Track(
        list(range(length)),
        lambda main: not any(a in main and b in main for a, b in pairs),
        slots=slots,
        step=step,
        data=data,
    )
    track.go()
    assert sorted(track.main + track.refused) == list(range(length)) and track.main == sorted(track.main)
    assert all(any((a, one) in pairs for a in track.main) for one in track.refused), (
        "each was refuted by what is on main"
    )


@settings(deadline=None)
@given(st.data(), lengths, slots_, steps, st.sets(st.frozensets(st.integers(0, 11), min_size=1, max_size=3)))
def test_even_where_a_later_change_mends_what_an_earlier_one_breaks_only_the_tested_lands_and_it_ends(
    data, length, slots, step, red
):
    Track(
        list(range(length)), lambda main: frozenset(main) not in red, slots=slots, step=step, data=data
    ).go()


def test_without_failures_a_run_clears_a_batch():
    assert train.plan(10, {}, slots=3, step=4) == TrainPlan(test=(4, 8, 10))
    assert train.plan(10, {}, slots=1, step=4) == TrainPlan(test=(4,))
    assert train.plan(3, {}, slots=4, step=4) == TrainPlan(test=(3,))
    assert train.plan(10, {8: PASSED, 4: FAILED}, slots=3, step=4) == TrainPlan(land=8)


def test_a_failure_is_traced_by_prefixes_side_by_side():
    assert train.plan(10, {8: FAILED}, slots=3, step=4) == TrainPlan(test=(2, 4, 6))
    assert train.plan(10, {8: FAILED, 4: FAILED, 6: RUNNING}, slots=3, step=4) == TrainPlan(test=(1, 2, 3))
    assert train.plan(10, {1: FAILED}, slots=3, step=4) == TrainPlan(head=FAILED)


def test_a_broken_run_is_run_again_and_blames_nobody():
    assert train.plan(6, {6: BROKEN}, slots=2, step=6) == TrainPlan(test=(1, 6))
    assert train.plan(6, {6: BROKEN, 1: BROKEN}, slots=2, step=6) == TrainPlan(head=BROKEN)


def test_runs_under_way_are_kept_and_those_behind_a_failure_are_not_wanted():
    assert train.plan(9, {2: RUNNING, 6: RUNNING}, slots=3, step=3) == TrainPlan(test=(2, 6, 9))
    assert train.plan(9, {2: RUNNING, 4: FAILED, 6: RUNNING}, slots=2, step=3) == TrainPlan(test=(1, 2))


@given(
    st.lists(st.integers(0, 20), unique=True),
    st.lists(st.integers(0, 20), unique=True),
    st.dictionaries(st.integers(0, 20), st.integers(0, 5)),
)
def test_the_sequence_is_by_age_but_for_runs_under_way_and_those_that_lost_their_place(ids, under_way, lost):
    waiting = [Waiting(id, lost.get(id, 0)) for id in ids]
    ordered = train.order(waiting, under_way)
    first = sorted(one.id for one in waiting if one.lost >= train.LOST_MAX)
    kept = [id for id in under_way if id in ids and id not in first]
    assert ordered == [*first, *kept, *sorted(set(ids) - set(first) - set(kept))]


@settings(deadline=None)
@given(st.data(), st.integers(1, 4), st.integers(1, 8))
def test_no_stream_of_younger_ones_keeps_an_older_one_waiting(data, slots, step):
    """Younger ones come without end, each round as many as a hostile order likes; the oldest lands after no
    more than all those that were under way when it came."""
    ids, under_way, number = [0], data.draw(st.permutations(range(100, 100 + slots * step))), 200
    ids += under_way
    for _ in range(len(under_way) + 2):
        ordered = train.order([Waiting(id) for id in ids], under_way)
        if ordered[0] == 0:
            return
        landed = ordered[: data.draw(st.integers(1, step))]
        ids = [id for id in ids if id not in landed]
        if 0 in landed:
            return
        under_way = [id for id in ordered if id in ids and id in under_way]
        fresh = data.draw(st.integers(0, 5))
        ids, number = [*ids, *range(number, number + fresh)], number + fresh
    raise AssertionError("it waits for ever")


@pytest.mark.parametrize(
    ("step", "more", "less"), [(1, 2, 1), (4, 5, 2), (train.STEP_MAX, train.STEP_MAX, train.STEP_MAX // 2)]
)
def test_a_batch_grows_by_one_and_is_halved(step: int, more: int, less: int):
    assert (train.grown(step), train.halved(step)) == (more, less)
