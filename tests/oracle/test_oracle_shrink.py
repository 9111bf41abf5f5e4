"""Delta debugging: smaller, still differing, within the budget."""

from hypothesis import given
from hypothesis import strategies as st

from oracle.judging import shrink


def ticking(step=0.0):
    now = [0.0]

    def clock():
        now[0] += step
        return now[0]

    return clock


PIECES = [f"{number};" for number in range(40)]


@given(st.sets(st.sampled_from(PIECES), min_size=1, max_size=4))
def test_what_the_difference_needs_is_found_and_nothing_else(needed):
    def differs(inputs):
        return [needed <= set(pieces) for pieces in inputs]

    assert set(shrink.shrink(PIECES, differs, now=ticking(), budget_s=1)) == needed


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_the_answer_still_differs_and_no_piece_of_it_can_go(pieces, random):
    verdicts = {tuple(pieces): True}

    def differs(inputs):
        return [
            verdicts.setdefault(tuple(chosen), random.random() < 0.3) if chosen else False
            for chosen in inputs
        ]

    small = shrink.shrink(pieces, differs, now=ticking(), budget_s=1)
    assert verdicts[tuple(small)]
    shorter = [small[:at] + small[at + 1 :] for at in range(len(small))]
    assert len(small) == 1 or not any(differs(shorter))


def test_a_single_piece_is_not_tried():
    assert shrink.shrink(["a"], lambda inputs: 1 / 0, now=ticking(), budget_s=1) == ["a"]


def test_when_the_time_is_up_the_best_so_far_is_the_answer():
    rounds = []

    def differs(inputs):
        rounds.append(len(inputs))
        return ["7;" in pieces for pieces in inputs]

    small = shrink.shrink(PIECES, differs, now=ticking(step=1.0), budget_s=2.5)
    assert "7;" in small and 1 < len(small) < len(PIECES)
    assert len(rounds) == 2


def test_no_budget_tries_nothing():
    assert shrink.shrink(PIECES, lambda inputs: 1 / 0, now=ticking(), budget_s=0) == PIECES
    assert shrink.shrink(PIECES, lambda inputs: 1 / 0, now=ticking(), budget_s=0, least=0) == PIECES


def test_where_all_pieces_may_go_none_is_tried_first():
    tried = []

    def differs(inputs):
        tried.extend(inputs)
        return [True for _ in inputs]

    assert shrink.shrink(PIECES, differs, now=ticking(), budget_s=1, least=0) == []
    assert tried == [[]]
