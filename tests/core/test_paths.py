"""Globs against a matcher that tries everything, and the names that open `.git` on somebody's disk."""

import itertools
import sys
from collections.abc import Callable
from functools import cache, lru_cache

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mcp_server.core import paths

CHARS = "ab."
NAMES = [
    "".join(t) for n in (1, 2, 3) for t in itertools.product(CHARS, repeat=n) if "".join(t) not in (".", "..")
]
SEGMENT = st.text(alphabet="ab.*?", min_size=1, max_size=3).filter(
    lambda s: s not in (".", "..", "**") and "**" not in s
)
GLOB = st.lists(st.one_of(SEGMENT, st.just("**")), min_size=1, max_size=3).map("/".join)
PATH = st.lists(st.sampled_from(NAMES), min_size=1, max_size=4).map("/".join)


def char_match(pattern: str, name: str) -> bool:
    """The plainest possible reading, by recursion."""
    if not pattern:
        return not name
    if pattern[0] == "*":
        return char_match(pattern[1:], name) or (bool(name) and char_match(pattern, name[1:]))
    return bool(name) and pattern[0] in ("?", name[0]) and char_match(pattern[1:], name[1:])


def brute_match(glob: tuple[str, ...], path: tuple[str, ...]) -> bool:
    if not glob:
        return not path
    if glob[0] == "**":
        return brute_match(glob[1:], path) or (bool(path) and brute_match(glob, path[1:]))
    return bool(path) and char_match(glob[0], path[0]) and brute_match(glob[1:], path[1:])


def brute(glob: str, path: str) -> bool:
    return brute_match(tuple(glob.split("/")), tuple(path.split("/")))


# Two globs of 2 segments of 2 characters share a path, if any, with at most 4 segments of at most 4
# characters;
# the small domain below is complete for the small globs drawn beside it.
SMALL_SEGMENT = st.text(alphabet="a.*?", min_size=1, max_size=2).filter(lambda s: s not in (".", "..", "**"))
SMALL_GLOB = st.lists(st.one_of(SMALL_SEGMENT, st.just("**")), min_size=1, max_size=2).map("/".join)
SMALL_NAMES = ["".join(t) for n in (1, 2, 3, 4) for t in itertools.product("az.", repeat=n)]
SMALL_NAMES = [name for name in SMALL_NAMES if name not in (".", "..")]


@lru_cache
def names_of(segment: str) -> frozenset[str]:
    return (
        frozenset(SMALL_NAMES)
        if segment == "**"
        else frozenset(n for n in SMALL_NAMES if char_match(segment, n))
    )


def brute_overlap(a: tuple[str, ...], b: tuple[str, ...]) -> bool:
    """By expansion: replace every `**` by 0 to 4 stars, then compare segment by segment over all names."""
    return any(
        len(x) == len(y) and x and all(names_of(s) & names_of(t) for s, t in zip(x, y))
        for x in expansions(a)
        for y in expansions(b)
    )


def expansions(glob: tuple[str, ...]) -> list[tuple[str, ...]]:
    choices = [[("**",) * n for n in range(5)] if s == "**" else [(s,)] for s in glob]
    return [tuple(itertools.chain(*parts)) for parts in itertools.product(*choices)]


@settings(max_examples=500)
@given(GLOB, PATH)
@example("a/**", "a")
@example("**", "a/b")
@example("*a*b*", "aab")
def test_matches_agrees_with_the_plain_reading(glob, path):
    assert paths.matches(glob, path) == brute(glob, path)


@settings(max_examples=500)
@given(SMALL_GLOB, SMALL_GLOB)
@example("?.", ".?")  # only '..' would fit both, and no file has that name
@example("?.*", ".?*")
@example("**/a", "a/**")
def test_overlap_is_exact(a, b):
    expected = brute_overlap(tuple(a.split("/")), tuple(b.split("/")))
    assert paths.overlap(a, b) == expected
    assert paths.overlap(b, a) == expected


@given(GLOB, GLOB, PATH)
def test_a_path_in_both_globs_means_that_they_overlap(a, b, path):
    if paths.matches(a, path) and paths.matches(b, path):
        assert paths.overlap(a, b)


@settings(max_examples=500)
@given(st.lists(GLOB, min_size=1, max_size=2), st.lists(GLOB, min_size=1, max_size=2), PATH)
def test_a_yes_of_within_is_always_right(inner, outer, path):
    if paths.within(inner, outer) and paths.covers(inner, path):
        assert paths.covers(outer, path)


@given(GLOB)
def test_every_glob_lies_within_itself_and_within_everything(glob):
    assert paths.within([glob], [glob])
    assert paths.within([glob], ["**"])


@pytest.mark.parametrize(
    ("inner", "outer", "answer"),
    [
        ("src/parser/lex.py", "src/parser/**", True),
        ("src/parser/**", "src/**", True),
        ("src/*/x?.py", "src/*/x*.py", True),
        ("a/**/*", "a/*/**", True),
        ("a/**", "a/*", False),
        ("src/**", "src/parser/**", False),
        ("a*", "a?", False),
        ("a/*b", "a/b*", False),
    ],
)
def test_within(inner, outer, answer):
    assert paths.within([inner], [outer]) is answer


def test_within_does_not_add_outer_globs_up():
    assert not paths.within(["a/*"], ["a/?", "a/??*"])


@pytest.mark.parametrize(
    "glob",
    [
        "",
        "/a",
        "a//b",
        "a/",
        "../a",
        "a/./b",
        "a**b",
        "a/b**",
        "a[0]",
        "{a,b}",
        "a\\b",
        "a\0b",
        "a\n",
        "x" * 401,
    ],
)
def test_a_bad_glob_is_named(glob):
    assert paths.validate(glob)


@given(GLOB)
def test_a_good_glob_is_accepted(glob):
    assert paths.validate(glob) is None


@pytest.mark.parametrize("path", ["", "/a", "a/../b", "..", "a//b", "a\0", "./a"])
def test_what_is_no_path_is_matched_by_nothing(path):
    assert not paths.matches("**", path)


def test_a_hostile_glob_is_judged_in_bounded_time():
    stars = "*a" * 199
    assert not paths.matches(stars, "a" * 4000 + "b")
    assert not paths.overlap(stars + "b", "a" * 300 + "c")
    assert paths.overlap("/".join(["**", "a"] * 60), "/".join(["a", "**"] * 60))


def test_overlap_any_names_the_pair():
    assert paths.overlap_any(["x/**", "src/**"], ["lib/**", "src/a.py"]) == ("src/**", "src/a.py")
    assert paths.overlap_any(["x/**"], ["y/**"]) is None
    assert paths.overlap_any([], ["y/**"]) is None


def test_overlap_any_takes_generators():
    assert paths.overlap_any((g for g in ["x", "y"]), (g for g in ["z", "y"])) == ("y", "y")


# -- what hostile globs cost


def lines_run(act: Callable[[], object]) -> int:
    """How many lines of Python an act is: a measure of its work that no busy machine changes."""
    count = 0

    def trace(_frame, event, _argument):
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        act()
    finally:
        sys.settrace(before)
    return count


def stars(number: int, size: int) -> str:
    """A glob that differs from every other one only at its end."""
    return ("*a" * size)[: size - 4] + f"{number:04}"


WORST = {
    "stars": [stars(number, 40) for number in range(50)],
    "a few long ones": [stars(number, 399) for number in range(5)],
    "deep": ["/".join(["**", *"?" * 36, f"a{number}", "*", "b"]) for number in range(5)],
    "many any-depths": ["/".join(["**", "?"] * 19 + [f"{number}*"]) for number in range(5)],
    "one star against none": [f"{'a' * 30}*{number}" for number in range(25)] + ["?" * 36 for _ in range(25)],
}


@pytest.mark.parametrize("one", WORST)
@pytest.mark.parametrize("other", WORST)
def test_two_tasks_at_the_limits_are_compared_in_few_steps(one: str, other: str):
    assert paths.price(WORST[one]) is None and not any(map(paths.validate, WORST[one] + WORST[other]))
    paths._segments_meet.cache_clear()
    # With another tail on each, so that all pairs are looked at.
    others = [f"{glob}x" for glob in WORST[other]]
    steps = lines_run(lambda: [paths.overlap(a, b) for a in WORST[one] for b in others])
    assert steps < 400_000


def test_what_agents_write_with_wildcards_has_a_price_and_names_have_none():
    assert paths.price([f"src/module-{number}/deep/er/file.py" for number in range(1_000)]) is None
    assert paths.price([f"src/m{number}/**" for number in range(50)]) is None
    assert "characters" in (paths.price([stars(number, 400) for number in range(6)]) or "")
    assert "segments" in (paths.price(["/".join("?" * 101)] * 2) or "")


def test_the_same_two_tasks_are_compared_once():
    a, b = tuple(WORST["stars"]), tuple(f"{glob}x" for glob in WORST["deep"])
    paths.overlap_any(a, b)
    assert lines_run(lambda: paths.overlap_any(list(a), list(b))) < 20


@settings(max_examples=150, deadline=None)
@given(*[st.lists(st.one_of(SEGMENT, st.just("**")), min_size=1, max_size=6).map("/".join)] * 2)
@example("?", ".*")
@example("??", "..*")
@example("**/a/**", "b/**/c")
def test_two_globs_overlap_if_a_walk_over_pairs_of_positions_says_so(a: str, b: str):
    assert paths.overlap(a, b) == paths.overlap(b, a) == walked(tuple(a.split("/")), tuple(b.split("/")))


def walked(a: tuple[str, ...], b: tuple[str, ...]) -> bool:
    """The product of both as automata: right, and quadratic."""
    todo, seen = [(0, 0)], {(0, 0)}
    while todo:
        i, j = todo.pop()
        if (i, j) == (len(a), len(b)):
            return True
        one, other = a[i] if i < len(a) else None, b[j] if j < len(b) else None
        steps = [(i + 1, j)] if one == "**" else []
        steps += [(i, j + 1)] if other == "**" else []
        if one and other and (one == "**" or other == "**" or any_name(one, other)):
            steps.append((i + (one != "**"), j + (other != "**")))
        todo += [step for step in steps if step not in seen]
        seen.update(steps)
    return False


@cache
def any_name(a: str, b: str) -> bool:
    """Segments of three characters at most meet, if at all, in a name of six."""
    names = ("".join(t) for n in range(1, 7) for t in itertools.product("abz.", repeat=n))
    return any(name not in (".", "..") and char_match(a, name) and char_match(b, name) for name in names)
