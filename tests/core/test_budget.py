"""Answers within a budget of characters, whatever is in them."""

from hypothesis import given
from hypothesis import strategies as st

from mcp_server.core.budget import cut, encode, fit

values = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | st.text(max_size=400),
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.text(max_size=5), inner, max_size=5),
    max_leaves=25,
)


@given(st.dictionaries(st.sampled_from("abcdef"), values), st.integers(200, 3_000))
def test_an_answer_is_never_longer_than_asked_and_unchanged_where_it_fits(value: dict, characters: int):
    found = fit(value, characters)
    assert len(encode(found)) <= characters
    if len(encode(value)) <= characters:
        assert found == value


def test_the_longest_text_gives_way_and_says_how_much_is_missing():
    found = fit({"brief": "x" * 5_000, "fence": 7, "notes": "y" * 300}, 2_000)
    assert found["fence"] == 7 and found["notes"] == "y" * 300
    shown = found["brief"].index(" ")
    assert found["brief"].endswith(f"({5_000 - shown} characters cut)")


def test_a_text_cut_twice_counts_both_cuts():
    assert cut(cut("x" * 1_000, 500), 100) == "x" * 100 + " ... (900 characters cut)"


def test_characters_that_json_writes_longer_are_counted_as_written():
    assert len(encode(fit({"text": '\n"' * 5_000}, 1_000))) <= 1_000


def test_a_long_list_of_short_things_is_shortened_and_that_is_told():
    found = fit({"cases": [f"case {n}" for n in range(5_000)]}, 1_000)
    assert found["cases"][0] == "case 0" and "cut" in found
