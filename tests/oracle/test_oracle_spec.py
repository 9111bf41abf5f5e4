"""Suites and path globs."""

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracle import globs
from oracle.cases.spec import BadSpec, Suite
from oracle.suites import kinds

SUITE = Suite(
    "sql",
    "differential",
    "engine",
    cases=("cases/**/*.sql",),
    candidate="python3 -m e",
    reference="sqlite3",
    env={"A": "1"},
)


def test_a_suite_survives_json():
    assert Suite.from_json(json.loads(json.dumps(SUITE.to_json()))) == SUITE


# sha256 of suites as an earlier release knew them: what old runs remember goes by these keys.
OLD_KEYS = [
    (SUITE, "f0b82a2ac834852a4f1cdc466019868f07fd96773a3f5285b2c1a4f79c2177ff"),
    (
        Suite("slt", "sqllogictest", "engine", cases=("slt/**",), candidate="./engine", engine="sqlite"),
        "37d3a1c386c4d47faff2844f951a211ef8913eff68ab68797f52d8e6f3b160b3",
    ),
    (
        Suite("unit", "command", "app", command="make test", results="pytest", canary="tests/test_{name}.py"),
        "80210441c44efae288e066cf3fdd1d69a4f399b0a4a20c6289987eb7028d3d4a",
    ),
]


@pytest.mark.parametrize(("suite", "key"), OLD_KEYS, ids=lambda value: getattr(value, "kind", ""))
def test_a_suite_that_has_not_changed_keeps_the_key_under_which_old_runs_remember_it(suite, key):
    assert suite.key() == key


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Suite)])
def test_every_field_changes_the_key(name):
    value = getattr(SUITE, name)
    other = {"env": {"A": "2"}, "flaky": {"a": "2027-01-01"}}.get(
        name, (*value, "x") if isinstance(value, tuple) else 3.5 if isinstance(value, float) else f"{value}x"
    )
    assert dataclasses.replace(SUITE, **{name: other}).key() != SUITE.key()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"casess": ["x"]}, "unknown suite field 'casess'"),
        ({"cases": "x"}, "'cases' must be a list of strings"),
        ({"env": {"A": 1}}, "'env' must be a table of strings"),
        ({"case_timeout_s": True}, "'case_timeout_s' must be a number"),
        ({"name": None}, "'name' must be a string"),
    ],
)
def test_a_suite_that_cannot_be_read_names_the_field(change, said):
    with pytest.raises(BadSpec, match=said):
        Suite.from_json(SUITE.to_json() | change)


def test_a_missing_field_is_named():
    with pytest.raises(BadSpec, match="'repo' is missing"):
        Suite.from_json({"name": "a", "kind": "command"})


def test_every_problem_of_a_suite_is_told_at_once():
    assert len(kinds.problems(Suite("a", "differential", "r", compare="fuzzy", case_timeout_s=0))) == 5
    assert kinds.problems(Suite("a", "command", "r")) == ["a command suite needs command"]
    assert kinds.problems(SUITE) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"compare": "command"},
            ['compare = "command" needs comparator: the command that says whether two outputs are the same'],
        ),
        ({"compare": "command", "comparator": "c", "reference_reads": ("ref/**",)}, []),
        ({"comparator": "c"}, ['comparator is used only with compare = "command"']),
        ({"tolerance": -1.0}, ["tolerance is relative: at least 0 and below 1"]),
        ({"tolerance": float("nan")}, ["tolerance is relative: at least 0 and below 1"]),
        ({"tolerance": 0.0, "compare": "numbers"}, []),
        (
            {"reference": None, "kind": "sqllogictest", "reference_reads": ("x",)},
            ["reference_reads are the files of a reference or a comparator, and there is neither"],
        ),
    ],
)
def test_what_belongs_to_a_comparison_has_to_fit_together(change, said):
    assert kinds.problems(dataclasses.replace(SUITE, **change)) == said


@pytest.mark.parametrize(
    ("glob", "path", "fits"),
    [
        ("a/**/*.sql", "a/x.sql", True),
        ("a/**/*.sql", "a/b/c/x.sql", True),
        ("a/**/*.sql", "ab/x.sql", False),
        ("a/*.sql", "a/b/x.sql", False),
        ("a/**", "a/b/c", True),
        ("a/**", "a", False),
        ("**", "anything/at/all", True),
        ("a?c", "a/c", False),
        ("[!a]b", "cb", True),
        ("[!a]b", "/b", False),
        ("a.b", "axb", False),
        ("[", "[", True),
    ],
)
def test_globs(glob, path, fits):
    assert globs.matches(glob, path) is fits


@given(st.text(alphabet="ab/.", min_size=1, max_size=12))
def test_a_path_without_wildcards_matches_itself_alone(path):
    assert globs.matches(path, path)
    assert not globs.matches(path, path + "x")


@pytest.mark.parametrize(
    ("glob", "prefix"),
    [("oracle/cases/**/*.sql", "oracle/cases/"), ("*.sql", ""), ("a/b.sql", "a/"), ("a/b*/c.sql", "a/")],
)
def test_the_fixed_prefix_of_a_glob(glob, prefix):
    assert globs.fixed_prefix(glob) == prefix
