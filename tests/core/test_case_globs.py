"""What an entry of `cases` names: a glob of one suite, in the words of fnmatch."""

from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_server.core.case_globs import chosen, entry, hits, of_suite, qualified, split, suites_in

ids = st.text("ab/*?[]!:-\n", min_size=1, max_size=8)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("select/*", (None, "select/*")),
        ("slt:*", ("slt", "*")),
        ("slt:a:b", ("slt", "a:b")),
        ("tests/test_a.py::test_b", (None, "tests/test_a.py::test_b")),
        ("test_a::test_b", (None, "test_a::test_b")),
        ("slt:", (None, "slt:")),
        (":x", (None, ":x")),
        ("two words: x", (None, "two words: x")),
    ],
)
def test_a_suite_stands_before_a_single_colon(text: str, said: tuple):
    assert split(text) == said


def test_an_entry_without_a_suite_means_the_default_and_every_suite_where_there_is_none():
    entries = ("a/*", "slt:b/*", "sql:c")
    assert of_suite(entries, "slt", "sql") == ("b/*",)
    assert of_suite(entries, "sql", "sql") == ("a/*", "c")
    assert of_suite(entries, "sql", None) == ("a/*", "c") and of_suite(entries, "slt", None) == ("a/*", "b/*")
    assert suites_in(entries) == ["slt", "sql"]


@given(st.lists(ids, unique=True), st.lists(ids))
def test_a_glob_reads_as_fnmatch_does(names: list[str], globs: list[str]):
    assert chosen(globs, names) == {name for name in names if any(fnmatchcase(name, glob) for glob in globs)}


@given(st.lists(ids, min_size=1, unique=True))
def test_the_entry_of_a_case_names_that_case_alone(names: list[str]):
    suite, glob = split(entry("slt", names[0]))
    assert suite == "slt" and hits(glob, names) == {names[0]}


@given(st.lists(ids, min_size=1, unique=True), st.lists(ids))
def test_an_entry_means_the_same_once_its_suite_is_written_before_it(names: list[str], globs: list[str]):
    written = qualified(globs, "sql")
    for suite in ("sql", "slt"):
        assert chosen(of_suite(written, suite, None), names) == chosen(of_suite(globs, suite, "sql"), names)
    assert qualified(globs, None) == tuple(globs)
