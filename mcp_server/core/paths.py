"""Path globs: what they match, and whether two of them meet.

Rule: a path is repo-relative with `/` between non-empty segments; in a glob `**` as a whole segment stands
for zero or more segments, `*` for any run of characters within one segment, `?` for one character, and
nothing else is special. Every function here runs in time polynomial in its input, because agents write globs
too (a regex would backtrack); two globs are compared in time linear in each, and `price` says when an agent's
are too many for that.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import product

GLOB_CHARS_MAX = 400
# Of all globs with wildcards that one agent's task may have: each is compared with each of every live lease,
# on the event loop, so that two tasks at these limits cost some 10 ms.
PRICED_CHARS_MAX = 2_000
PRICED_SEGMENTS_MAX = 200
ANY_DEPTH = "**"
WILDCARDS = frozenset("*?")
NOT_WILDCARDS = (  # special in other glob dialects: refused, since reading them literally would surprise
    "[]{}\\"
)


def validate(glob: str) -> str | None:
    """What is wrong with a glob, as the end of a sentence, or None."""
    if not glob:
        return "is empty"
    if len(glob) > GLOB_CHARS_MAX:
        return f"is longer than {GLOB_CHARS_MAX} characters"
    if any(unicodedata.category(c) in ("Cc", "Cs") for c in glob):
        return "has a control character in it"
    if glob.startswith("/"):
        return "begins with '/': paths are relative to the repository"
    for char in NOT_WILDCARDS:
        if char in glob:
            return (
                f"has {char!r} in it: only '*', '?' and '**' are wildcards ('?' also stands for a literal"
                f" {char!r})"
            )
    faults = (_segment_fault(segment) for segment in glob.split("/"))
    return next((fault for fault in faults if fault is not None), None)


def _segment_fault(segment: str) -> str | None:
    """Return what is wrong with a glob that has this segment, as the end of a sentence, or None."""
    if segment == "":
        return "has an empty segment: write 'dir/**' for everything below dir"
    if segment in (".", ".."):
        return f"has a segment {segment!r}"
    if ANY_DEPTH in segment and segment != ANY_DEPTH:
        return f"has '**' inside the segment {segment!r}: '**' must stand alone between slashes"
    return None


def is_path(path: str) -> bool:
    """Whether git could hold a file under this name."""
    return bool(path) and "\0" not in path and not any(s in ("", ".", "..") for s in path.split("/"))


def matches(glob: str, path: str) -> bool:
    return is_path(path) and _fits(_segments(glob), path.split("/"), ANY_DEPTH, _segment_matches)


def covers(globs: Iterable[str], path: str) -> bool:
    names = frozenset(
        path.split("/")
    )  # most globs are told apart by a name that the path lacks, at a tenth of the price
    return any(_literals(glob) <= names and matches(glob, path) for glob in globs)


def price(globs: Iterable[str]) -> str | None:
    """Return what makes the globs of one task dear to compare, as the end of a sentence, or None."""
    wild = [glob for glob in globs if not WILDCARDS.isdisjoint(glob)]
    chars, segments = sum(map(len, wild)), sum(glob.count("/") + 1 for glob in wild)
    if chars > PRICED_CHARS_MAX:
        return f"have {chars} characters where they have wildcards, of at most {PRICED_CHARS_MAX}"
    if segments > PRICED_SEGMENTS_MAX:
        return f"have {segments} segments where they have wildcards, of at most {PRICED_SEGMENTS_MAX}"
    return None


def overlap(glob_a: str, glob_b: str) -> bool:
    """Exact: whether some path is matched by both.

    Where both have a `**`, only what stands before the first and after the last can keep them apart: a path
    that holds what stands between, of one and then of the other, is matched by both.
    """
    a, b = _segments(glob_a), _segments(glob_b)
    if ANY_DEPTH in a and ANY_DEPTH in b:
        return _begin_alike(a, b) and _begin_alike(a[::-1], b[::-1])
    if ANY_DEPTH not in a and ANY_DEPTH not in b:
        return len(a) == len(b) and all(map(_meet, a, b))
    return _reads_path(a, b) if ANY_DEPTH in a else _reads_path(b, a)


def overlap_any(globs_a: Iterable[str], globs_b: Iterable[str]) -> tuple[str, str] | None:
    """The first pair that overlaps, to be named in a refusal."""
    return _first_overlap(tuple(globs_a), tuple(globs_b))


@lru_cache(maxsize=4096)
def _first_overlap(globs_a: tuple[str, ...], globs_b: tuple[str, ...]) -> tuple[str, str] | None:
    return next(((a, b) for a in globs_a for b in globs_b if overlap(a, b)), None)


def within(inner_globs: Iterable[str], outer_globs: Iterable[str]) -> bool:
    """Whether every inner glob lies inside a single outer one. A yes is always right; a no may be too strict.

    It reads the inner glob as a word that the outer one must match, a wildcard being matched only by one as
    wide. So it does not see that several outer globs together would do ('a/**' within 'a/*' + 'a/*/**'), nor
    detours such as 'a*' within '*a*' + '*' spelled otherwise. Runs of wildcards are put in one order first:
    '**/*' and '*/**' are the same.
    """
    outer = tuple(outer_globs)
    return all(any(_inside(inner, glob) for glob in outer) for inner in inner_globs)


def _fits(pattern: Sequence[str], word: Sequence[str], star: str, one: Callable[[str, str], bool]) -> bool:
    """Wildcard match without recursion: on a mismatch the last star takes one more element. O(len * len)."""
    p = w = 0
    last_star = resume = -1
    while w < len(word):
        if p < len(pattern) and pattern[p] == star:
            last_star, resume, p = p, w, p + 1
        elif p < len(pattern) and one(pattern[p], word[w]):
            p, w = p + 1, w + 1
        elif last_star >= 0:
            resume += 1
            p, w = last_star + 1, resume
        else:
            return False
    return all(element == star for element in pattern[p:])


@lru_cache(maxsize=4096)
def _segments(glob: str) -> tuple[str, ...]:
    wrong = validate(glob)
    assert wrong is None, f"the glob {glob!r} {wrong}: it had to be validated where it came in"
    return tuple(glob.split("/"))


@lru_cache(maxsize=4096)
def _literals(glob: str) -> frozenset[str]:
    """The segments that are names: a path that matches has each of them."""
    return frozenset(segment for segment in _segments(glob) if WILDCARDS.isdisjoint(segment))


def _segment_matches(pattern: str, name: str) -> bool:
    return _fits(pattern, name, "*", lambda p, c: p in ("?", c))


def _begin_alike(a: Sequence[str], b: Sequence[str]) -> bool:
    """Return True if what stands before the first `**` of each is no contradiction."""
    for one, other in zip(a, b):
        if ANY_DEPTH in (one, other):
            return True
        if not _meet(one, other):
            return False
    return True


def _reads_path(pattern: Sequence[str], path: Sequence[str]) -> bool:
    """Return True if a pattern with `**` and one without share a path. Bit i of `at`: i segments are read."""
    at, everywhere = 1, (1 << len(path) + 1) - 1
    for segment in pattern:
        if segment == ANY_DEPTH:
            at = everywhere & -(at & -at)
        else:
            read = (i for i, other in enumerate(path) if at >> i & 1 and _meet(segment, other))
            at = sum(2 << i for i in read)
    return bool(at >> len(path))


def _meet(a: str, b: str) -> bool:
    """Return True if some legal name is matched by both segments."""
    if WILDCARDS.isdisjoint(a) and WILDCARDS.isdisjoint(b):
        return a == b
    return _segments_meet(a, b)


@lru_cache(maxsize=4096)
def _segments_meet(a: str, b: str) -> bool:
    """Whether some legal name (neither empty, '.' nor '..') is matched by both segment patterns.

    Two with a star meet as two globs with `**` do; the name is longer than two dots if it has to be.
    """
    if "*" in a and "*" in b:
        return _spell_alike(a, b) and _spell_alike(a[::-1], b[::-1])
    pattern, name = (a, b) if "*" in a else (b, a)
    if len(name) <= len(".."):
        return _meet_in_short(pattern, name)
    return _reads_name(pattern, name)


def _spell_alike(a: str, b: str) -> bool:
    """Return True if what stands before the first star of each is no contradiction."""
    for one, other in zip(a, b):
        if "*" in (one, other):
            return True
        if one != other and "?" not in (one, other):
            return False
    return True


def _reads_name(pattern: str, name: str) -> bool:
    """Return True if a pattern matches a name in which `?` is any character. Bit i of `at`: i are read."""
    where: dict[str, int] = {}
    for i, char in enumerate(name):
        where[char] = where.get(char, 0) | 1 << i
    at, everywhere = 1, (1 << len(name) + 1) - 1
    for char in pattern:
        if char == "*":
            at = everywhere & -(at & -at)
        elif char == "?":
            at = at << 1 & everywhere
        else:
            at = (at & (where.get(char, 0) | where.get("?", 0))) << 1
    return bool(at >> len(name))


def _meet_in_short(pattern: str, name: str) -> bool:
    """Try every name of the length of `name`, which is one or two: those of dots are none."""
    letters = set(pattern) - WILDCARDS
    if len(pattern) - pattern.count("*") > len(name):
        return False
    spelled = ("".join(chars) for chars in product(letters | set(name) | {"x"}, repeat=len(name)))
    return any(
        word not in (".", "..") and _segment_matches(pattern, word) and _segment_matches(name, word)
        for word in spelled
    )


def _inside(inner: str, outer: str) -> bool:
    def one(pattern: str, segment: str) -> bool:
        if segment == ANY_DEPTH:
            return False
        return _fits(
            _ordered(pattern), _ordered(segment), "*", lambda p, c: p == c or (p == "?" and c != "*")
        )

    return _fits(_ordered_segments(outer), _ordered_segments(inner), ANY_DEPTH, one)


def _ordered(segment: str) -> str:
    """A run of wildcards with its '?' first and at most one '*': '*?*' and '?*' read the same names."""
    return re.sub(r"[*?]+", lambda run: "?" * run[0].count("?") + "*" * ("*" in run[0]), segment)


def _ordered_segments(glob: str) -> list[str]:
    ordered: list[str] = []
    for segment in _segments(glob):
        if ordered and ordered[-1] == ANY_DEPTH and segment == ANY_DEPTH:
            continue
        if ordered and ordered[-1] == ANY_DEPTH and segment == "*":
            ordered.insert(len(ordered) - 1, segment)
        else:
            ordered.append(segment)
    return ordered
