"""Comparators: when two outputs are the same, and how a difference is told."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracle.judging import compare, json_values, numbers

ROWS = st.lists(st.text(alphabet='ab1|.-e {}[]",: ', max_size=8), max_size=6)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)
TOLERANCES = st.sampled_from([0.0, 1e-9, 0.01, 0.5])


@pytest.mark.parametrize("mode", compare.COMPARATORS)
@given(ROWS)
def test_an_output_equals_itself(mode, rows):
    text = "\n".join(rows)
    assert compare.difference(mode, text, text) is None


@pytest.mark.parametrize("mode", compare.COMPARATORS)
@given(ROWS, ROWS)
def test_who_is_asked_first_makes_no_difference(mode, one, other):
    one, other = "\n".join(one), "\n".join(other)
    assert (compare.difference(mode, one, other) is None) == (compare.difference(mode, other, one) is None)


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
        ("exact", "1\n", "1", "the last line has a line end, and none was expected"),
        ("exact", "1", "1\n", "the last line has no line end, and one was expected"),
        ("exact", "1\n", "1\n2\n", "line 2: the output ends, '2' was expected"),
        ("exact", "", "1\n", "line 1: the output ends, '1' was expected"),
        ("exact", "", "\n", "line 1: the output ends, '' was expected"),
        ("exact", "1\n\n", "1\n", "line 2: '' after the end of the expected output"),
        ("exact", "1 \n", "1\n", "line 1: '1 ' instead of '1'"),
        ("lines", "1 \r\n2\n\n\n", "1\n2", None),
        ("lines", "1\n", "1\n2\n", "line 2: the output ends, '2' was expected"),
        ("lines", "\n1\n", "1\n", "line 1: '' instead of '1'"),
        ("lines", "", "1\n", "line 1: the output ends, '1' was expected"),
        ("unordered", "2\n1\n", "1\n2\n", None),
        ("unordered", "1\n1\n", "1\n", "has extra 1 lines, the first '1'"),
        ("unordered", "1\n3\n", "1\n2\n", "has extra 1 lines, the first '3'; lacks 1 lines, the first '2'"),
        ("numbers", "a 1.0000000001\n", "a 1\n", None),
        ("numbers", "a 1.1\n", "a 1\n", "line 1: 'a 1.1' instead of 'a 1'"),
        ("numbers", "1.0\n", "1", "the last line has a line end, and none was expected"),
        ("numbers", "1\n2", "1", "line 2: '2' after the end of the expected output"),
        ("json", '{"b": 2, "a": 1}', '{"a":1.0,\n"b":2}\n', None),
        ("json", '{"rows":[[1,"x"]]}', '{"rows":[[1,"y"]]}', '$.rows[0][1]: "x" instead of "y"'),
        ("json", '{"a":1}', '{"a":1,"b":[]}', "$.b: nothing, an array of 0 was expected"),
        ("json", "[1, 2, 3]", "[1, 2]", "$[2]: 3 where nothing was expected"),
        ("json", '{"a b":true}', '{"a b":1}', '$["a b"]: true instead of 1'),
        ("json", "null", "0", "$: null instead of 0"),
        ("json", '{"a":1}\n{"a":2}\n', '{"a":1}\n{"a":3}\n', "value 2, $.a: 2 instead of 3"),
        ("json", "", "[]", "value 1, $: nothing, an array of 0 was expected"),
        ("json", "Error: no", "[]", "not JSON: line 1, column 1: Expecting value"),
        ("json", "[1]x", "[1]", "not JSON: line 1, column 4: more text right after a value"),
        ("json", "1 2", "12", "value 1, $: 1 instead of 12"),
    ],
)
def test_differences_in_words(mode, ours, theirs, said):
    assert compare.difference(mode, ours, theirs) == said


@pytest.mark.parametrize(
    ("said", "ours"),
    [
        ("line 2: '2' instead of '3'", "line 2: '2'"),
        ("line 2: '' after the end of the expected output", "line 2: ''"),
        ("line 1: the output ends, 'a, b' was expected", "line 1: the output ends"),
        (
            "has extra 1 lines, the first '3'; lacks 1 lines, the first '2'",
            "has extra 1 lines, the first '3'",
        ),
        ("lacks 1 lines, the first '2'", ""),
        ("$.b: nothing, 3 was expected", "$.b: nothing"),
        ("$[2]: 3 where nothing was expected", "$[2]: 3"),
        ("exit status 1 instead of 0", "exit status 1"),
        ("the last line has no line end, and one was expected", "the last line has no line end"),
        ("killed by signal 6", "killed by signal 6"),
    ],
)
def test_a_difference_without_what_was_expected(said, ours):
    assert compare.of_candidate(said) == ours


def test_a_long_line_is_shown_cut():
    assert len(compare.difference("exact", "x" * 10_000, "y" * 10_000)) < 400
    assert len(compare.difference("json", json.dumps(["x" * 10_000]), "[1]")) < 200


def test_an_unknown_mode_is_never_equal():
    with pytest.raises(KeyError):
        compare.difference("fuzzy", "1", "1")


# -- numbers
# --------------------------------------------------------------------------------------------------


@given(
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(allow_nan=False, allow_infinity=False),
    TOLERANCES,
)
def test_the_tolerance_has_no_side_and_is_relative_above_one(one, other, tolerance):
    same = numbers.alike(repr(one), repr(other), tolerance)
    assert same == numbers.alike(repr(other), repr(one), tolerance)
    if tolerance == 0:
        assert same == (one == other)
    elif abs(one - other) < 0.99 * tolerance * max(1, abs(one), abs(other)):
        assert same
    elif abs(one - other) > 1.01 * tolerance * max(1, abs(one), abs(other)):
        assert not same


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("0", "-0.0", True),
        ("1e-12", "2e-12", True),
        ("nan", "-NaN", True),
        ("nan", "0", False),
        ("inf", "Infinity", True),
        ("inf", "-inf", False),
        ("inf", "1e400", False),
        ("1e400", "1e401", False),
        ("1e400", "10e399", True),
        ("1e-400", "0", True),
        ("9007199254740993", "9007199254740992", True),
        ("5", "5.", True),
        (".5", "0.50", True),
        ("+1", "1", True),
        ("1e9999999999999999999999", "1e9999999999999999999999", True),
        ("1e9999999999999999999999", "1e9999999999999999999998", False),
        ("1" * 100_000, "1" * 100_000 + "1", False),
    ],
)
def test_numbers_that_doubles_cannot_hold(one, other, same):
    assert numbers.alike(one, other, 1e-9) is numbers.alike(other, one, 1e-9) is same


def test_a_tolerance_of_nothing_tells_large_whole_numbers_apart():
    assert not numbers.alike("9007199254740993", "9007199254740992", 0.0)
    assert numbers.alike("9007199254740993.0", "9007199254740993", 0.0)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("v12 0x1F 12km 1_000 a.5 tbl2", []),
        ("10.0.0.1 1.2.3 2024-01-31 1-2 --5 1e+5x 5e nan-3 Info", []),
        ("is 3.5. and (-5), x=-.5e-3; 50% [1,2]", ["3.5", "-5", "-.5e-3", "50", "1", "2"]),
        ("12:30 1/2 3 - 5 inf", ["12", "30", "1", "2", "3", "5", "inf"]),
        ("\u0661 x\u00b2 5\u00b2", []),
    ],
)
def test_only_free_standing_numbers_are_numbers(line, found):
    assert numbers.NUMBER.findall(line) == found


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("a1 2", "a1.0 2"),
        ("1  2", "1 2"),
        ("1,000", "1000"),
        ("x 1", "y 1"),
        ("1 2", "1"),
        ("1.2.3", "1.2.30"),
    ],
)
def test_all_but_numbers_is_exact(ours, theirs):
    assert compare.difference("numbers", ours, theirs, tolerance=0.9) is not None


def test_a_line_of_a_megabyte_is_read_in_no_time():
    for sign in ("9", "9.", "1e", "-", "nan"):
        compare.difference("numbers", sign * 300_000, sign * 300_000 + "1")


# -- JSON
# -----------------------------------------------------------------------------------------------------


@given(VALUES, st.sampled_from([None, 1, "\t"]), st.booleans(), st.randoms())
def test_json_equals_itself_however_it_is_written(value, indent, ascii, random):
    again = json.loads(json.dumps(value))
    if isinstance(again, dict):
        keys = list(again)
        random.shuffle(keys)
        again = {key: again[key] for key in keys}
    ours, theirs = json.dumps(again, indent=indent, ensure_ascii=ascii), json.dumps(value)
    assert compare.difference("json", ours, theirs, tolerance=0.0) is None


def plain(value):
    """What two JSON texts have in common when they mean the same: 1 is 1.0, true is not 1, NaN is itself."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return (type(value).__name__, value)
    return "nan" if isinstance(value, float) and math.isnan(value) else ("number", value)


@given(VALUES, VALUES)
def test_json_values_are_the_same_exactly_when_they_mean_the_same(one, other):
    said = compare.difference("json", json.dumps(one), json.dumps(other), tolerance=0.0)
    assert (said is None) == (plain(one) == plain(other))


@pytest.mark.parametrize(
    ("ours", "theirs", "same"),
    [
        ("1", "1.0", True),
        ("0.30000000000000004", "0.3", True),
        ("9007199254740993", "9007199254740992", False),
        ("9007199254740993", "9007199254740993.0", True),
        ("1" * 5_000, "1" * 5_000 + ".0", True),
        ("1e400", "Infinity", False),
        ("-0", "0", True),
        ("[NaN]", "[ NaN ]", True),
        ("[NaN]", "[null]", False),
        ('"1"', "1", False),
        ('"\\u0061"', '"a"', True),
        ('"a"', '"A"', False),
    ],
)
def test_values_of_json(ours, theirs, same):
    assert (compare.difference("json", ours, theirs) is None) is same
    assert (compare.difference("json", theirs, ours) is None) is same


def test_a_key_that_comes_twice_means_nothing():
    assert (
        compare.difference("json", '{"a":1,"a":1}', '{"a":1}')
        == 'not JSON: the key "a" comes twice in one object'
    )
    said = compare.difference("json", '{"a":1}', '{"a":1,"a":1}')
    assert "compared as text" in said and "comes twice" in said
    assert compare.difference("json", '{"a":1,"a":1}', '{"a":1,"a":1}') is None


def test_where_the_expected_output_is_no_json_only_the_same_text_will_do():
    assert compare.difference("json", "Error: no\n", "Error: no\n") is None
    said = compare.difference("json", "[]", "Error: no\n")
    assert said.startswith(
        "line 1: '[]' instead of 'Error: no' (compared as text, because the expected output is not JSON: line 1, column 1"
    )


def test_deep_nesting_breaks_nothing():
    deep = "[" * 200_000
    assert compare.difference("json", deep, "[]") == "not JSON: nested too deeply"
    assert "nested too deeply" in compare.difference("json", "[]", deep + "]" * 200_000)
    assert (
        json_values.first_difference(
            json_values.read("[" * 300 + "]" * 300), json_values.read("[" * 300 + "1" + "]" * 300), 0
        )
        is not None
    )
