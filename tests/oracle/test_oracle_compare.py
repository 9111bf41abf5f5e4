"""Comparators: when two outputs are the same, and how a difference is told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracle import compare

ROWS = st.lists(st.text(alphabet="ab1| ", max_size=5), max_size=6)


@pytest.mark.parametrize("mode", compare.MODES)
@given(ROWS)
def test_an_output_equals_itself(mode, rows):
    text = "\n".join(rows)
    assert compare.difference(mode, text, text) is None


@given(st.text(max_size=20), st.text(max_size=20))
def test_exact_forgives_nothing(one, other):
    assert (compare.difference("exact", one, other) is None) == (one == other)


@given(ROWS, st.randoms())
def test_unordered_forgives_order_and_nothing_else(rows, random):
    shuffled = list(rows)
    random.shuffle(shuffled)
    text = "".join(f"{row}.\n" for row in rows)
    assert compare.difference("unordered", "".join(f"{row}.\n" for row in shuffled), text) is None
    assert compare.difference("unordered", text + "more\n", text) is not None
    if rows:
        assert compare.difference("unordered", text + f"{rows[0]}.\n", text) is not None


@pytest.mark.parametrize(
    ("mode", "ours", "theirs", "said"),
    [
        ("exact", "1\n2\n", "1\n3\n", "line 2: '2' instead of '3'"),
        ("exact", "1\n", "1", "line 2: '' after the end of the expected output"),
        ("exact", "1 \n", "1\n", "line 1: '1 ' instead of '1'"),
        ("lines", "1 \r\n2\n\n\n", "1\n2", None),
        ("lines", "1\n", "1\n2\n", "line 2: the output ends, '2' was expected"),
        ("lines", "\n1\n", "1\n", "line 1: '' instead of '1'"),
        ("lines", "", "1\n", "line 1: the output ends, '1' was expected"),
        ("unordered", "2\n1\n", "1\n2\n", None),
        ("unordered", "1\n1\n", "1\n", "has extra 1 lines, the first '1'"),
        ("unordered", "1\n3\n", "1\n2\n", "lacks 1 lines, the first '2'; has extra 1 lines, the first '3'"),
    ],
)
def test_differences_in_words(mode, ours, theirs, said):
    assert compare.difference(mode, ours, theirs) == said


def test_a_long_line_is_shown_cut():
    assert len(compare.difference("exact", "x" * 10_000, "y" * 10_000)) < 400


def test_an_unknown_mode_is_never_equal():
    with pytest.raises(KeyError):
        compare.difference("fuzzy", "1", "1")
