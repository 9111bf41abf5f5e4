"""Each way of tampering with the audit log, applied to a real chain; each must be named with its place."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_server.core.chain import (
    GENESIS,
    ChainEntry,
    Checkpoint,
    canonical,
    checkpoint_text,
    entry_hash,
    parse_checkpoint,
    verify,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
BODIES = st.lists(st.dictionaries(st.text(max_size=3), st.integers(), max_size=2), min_size=4, max_size=20)


def chained(bodies, first=1, prev=GENESIS):
    entries = []
    for seq, body in enumerate(bodies, first):
        prev = entry_hash(prev, seq, body)
        entries.append(ChainEntry(seq, body, prev))
    return entries


def signed_at(entries, size):
    return Checkpoint("harness/test", size, entries[size - 1].hash if size else GENESIS)


@st.composite
def log_and_place(draw):
    entries = chained(draw(BODIES))
    return entries, draw(st.integers(0, len(entries) - 2))


@given(BODIES)
def test_an_untouched_log_has_no_problem(bodies):
    entries = chained(bodies)
    assert verify(entries, [signed_at(entries, n) for n in range(len(entries) + 1)]) == []


@given(log_and_place())
def test_an_edit_is_named(drawn):
    entries, at = drawn
    entries[at] = ChainEntry(at + 1, {"forged": 1}, entries[at].hash)
    assert verify(entries) == [
        f"seq {at + 1}: edited: its hash does not follow from its content and the hash of seq {at}"
    ]


@given(log_and_place())
def test_an_edit_with_its_hash_made_anew_breaks_the_next_link(drawn):
    entries, at = drawn
    prev = entries[at - 1].hash if at else GENESIS
    entries[at] = ChainEntry(at + 1, {"forged": 1}, entry_hash(prev, at + 1, {"forged": 1}))
    (problem,) = verify(entries)
    assert problem.startswith(f"seq {at + 2}: edited") and f"the hash of seq {at + 1}" in problem


@given(log_and_place())
def test_a_deletion_is_named(drawn):
    entries, at = drawn
    del entries[at]
    assert verify(entries) == [f"seq {at + 1}: deleted"]


@given(log_and_place())
def test_a_deletion_hidden_by_new_numbers_is_seen(drawn):
    entries, at = drawn
    del entries[at]
    renumbered = [ChainEntry(seq, e.body, e.hash) for seq, e in enumerate(entries, 1)]
    assert any(problem.startswith(f"seq {at + 1}") for problem in verify(renumbered))


@given(log_and_place())
def test_entries_out_of_order_are_named(drawn):
    entries, at = drawn
    entries[at], entries[at + 1] = entries[at + 1], entries[at]
    assert verify(entries) == [f"seq {at + 1}: reordered: it stands after seq {at + 2}"]


@given(log_and_place())
def test_entries_that_traded_numbers_are_seen(drawn):
    entries, at = drawn
    a, b = entries[at], entries[at + 1]
    entries[at], entries[at + 1] = ChainEntry(a.seq, b.body, b.hash), ChainEntry(b.seq, a.body, a.hash)
    assert any(
        problem.startswith(f"seq {at + 1} to ") and "reordered" in problem for problem in verify(entries)
    )


@given(log_and_place())
def test_an_insertion_is_named(drawn):
    entries, at = drawn
    entries.insert(at + 1, ChainEntry(at + 1, {"forged": 1}, "f" * 64))
    assert verify(entries) == [f"seq {at + 1}: inserted: two different entries carry this number"]


@given(log_and_place())
def test_an_entry_twice_is_named(drawn):
    entries, at = drawn
    entries.insert(at + 1, entries[at])
    assert verify(entries) == [f"seq {at + 1}: inserted: it occurs twice"]


@given(log_and_place())
def test_an_insertion_hidden_by_new_numbers_is_seen(drawn):
    entries, at = drawn
    entries.insert(at, ChainEntry(0, {"forged": 1}, "f" * 64))
    renumbered = [ChainEntry(seq, e.body, e.hash) for seq, e in enumerate(entries, 1)]
    assert any(problem.startswith(f"seq {at + 1}") for problem in verify(renumbered))


@given(log_and_place())
def test_a_chain_rewritten_in_full_contradicts_the_checkpoint(drawn):
    entries, at = drawn
    last = len(entries)
    checkpoints = [signed_at(entries, at), signed_at(entries, last)]
    bodies = [e.body for e in entries]
    bodies[at] = {"forged": 1}
    assert verify(chained(bodies)) == []  # the chain alone cannot tell: this is what checkpoints are for
    (problem,) = verify(chained(bodies), checkpoints)
    assert problem.startswith(f"seq {at + 1} to {last}: rewritten")


@given(log_and_place())
def test_a_tail_cut_below_a_checkpoint_is_named(drawn):
    entries, at = drawn
    last = len(entries)
    checkpoint = signed_at(entries, last)
    cut = entries[: at + 1]
    assert verify(cut, [checkpoint]) == [
        f"seq {at + 2} to {last}: truncated below checkpoint {last}: the log ends at seq {at + 1}"
    ]
    assert verify(cut, [signed_at(entries, at + 1)]) == []  # above the last checkpoint a cut cannot be seen


def test_an_empty_log_under_a_checkpoint_is_truncated():
    assert "truncated below checkpoint 3" in verify([], [Checkpoint("o", 3, "a" * 64)])[0]
    assert verify([], []) == []


def test_a_gap_with_one_of_its_entries_further_on_is_told_apart():
    e = chained([{"n": n} for n in range(8)])
    assert verify([e[0], e[1], e[6], e[3], e[7]]) == [
        "seq 4: reordered: it stands after seq 7",
        "seq 3: deleted",
        "seq 5 to 6: deleted (2 entries)",
    ]


def test_a_number_below_one_is_an_insertion():
    assert verify([ChainEntry(0, {}, "x"), *chained([{}])]) == ["seq 0: inserted: numbers begin at 1"]
    assert verify([ChainEntry(-3, {}, "x"), *chained([{}])])


def test_a_body_that_is_no_json_value_is_an_edit_not_a_crash():
    assert "edited" in verify([ChainEntry(1, {"x": float("nan")}, "a" * 64)])[0]


@given(JSON)
def test_canonical_bytes_read_back_as_the_same_value(value):
    raw = canonical(value)
    assert json.loads(raw.decode("utf-8")) == value
    assert canonical(json.loads(raw)) == raw


@given(st.dictionaries(st.text(max_size=4), st.integers(), max_size=6))
def test_canonical_bytes_do_not_depend_on_the_order_of_keys(value):
    assert canonical(value) == canonical(dict(reversed(value.items())))


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb", "\\ud800"])
def test_a_lone_surrogate_survives(text):
    assert json.loads(canonical([text]).decode("utf-8")) == [text]


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_what_json_cannot_hold_is_an_error(number):
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical({"x": number})


@given(st.integers(0, 10**17), st.binary(min_size=32, max_size=32))
def test_a_checkpoint_reads_back(size, root):
    checkpoint = Checkpoint("harness/run one", size, root.hex())
    assert parse_checkpoint(checkpoint_text(checkpoint)) == checkpoint


@pytest.mark.parametrize(
    "text",
    [
        "",
        "o\n1\n",
        "o\n01\n" + "a" * 64 + "\n",
        "o\n1\n" + "A" * 64 + "\n",
        "o\n1\n" + "a" * 64,
        "o\n-1\n" + "a" * 64 + "\n",
    ],
)
def test_any_other_text_is_no_checkpoint(text):
    with pytest.raises(ValueError, match="a checkpoint"):
        parse_checkpoint(text)
