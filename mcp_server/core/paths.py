"""Path globs: what they match, and whether two of them meet.

Rule: a path is repo-relative with `/` between non-empty segments; in a glob `**` as a whole segment stands
for zero or more segments, `*` for any run of characters within one segment, `?` for one character, and
nothing else is special. Every function here runs in time polynomial in its input, because agents write globs
too (a regex would backtrack).
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

GLOB_CHARS_MAX = (
    400  # `overlap` walks at most the product of two globs: 160,000 states, some 0.2 s at the very worst
)
ANY_DEPTH = "**"
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


def overlap(glob_a: str, glob_b: str) -> bool:
    """Exact: whether some path is matched by both. A walk over pairs of positions, as for two automata."""
    a, b = _segments(glob_a), _segments(glob_b)
    todo, seen = [(0, 0)], {(0, 0)}
    while todo:
        i, j = todo.pop()
        if i == len(a) and j == len(b):
            return True
        steps = []
        if i < len(a) and a[i] == ANY_DEPTH:
            steps.append((i + 1, j))  # stands for nothing more
        if j < len(b) and b[j] == ANY_DEPTH:
            steps.append((i, j + 1))
        if i < len(a) and j < len(b) and _segments_meet(_as_segment(a[i]), _as_segment(b[j])):
            steps.append((i + (a[i] != ANY_DEPTH), j + (b[j] != ANY_DEPTH)))  # one segment read by both
        todo += [step for step in steps if step not in seen]
        seen.update(steps)
    return False


def overlap_any(globs_a: Iterable[str], globs_b: Iterable[str]) -> tuple[str, str] | None:
    """The first pair that overlaps, to be named in a refusal."""
    second = tuple(globs_b)
    return next(((a, b) for a in globs_a for b in second if overlap(a, b)), None)


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
    return frozenset(segment for segment in _segments(glob) if not set("*?") & set(segment))


def _segment_matches(pattern: str, name: str) -> bool:
    return _fits(pattern, name, "*", lambda p, c: p in ("?", c))


def _as_segment(segment: str) -> str:
    return "*" if segment == ANY_DEPTH else segment


@lru_cache(maxsize=4096)
def _segments_meet(a: str, b: str) -> bool:
    """Whether some legal name (neither empty, '.' nor '..') is matched by both segment patterns."""
    # third part of a state: how many characters were read, all of them dots; `other` = a name like any other
    other = 3
    todo, seen = [(0, 0, 0)], {(0, 0, 0)}
    while todo:
        i, j, dots = todo.pop()
        if i == len(a) and j == len(b) and dots == other:
            return True
        steps = []
        if i < len(a) and a[i] == "*":
            steps.append((i + 1, j, dots))
        if j < len(b) and b[j] == "*":
            steps.append((i, j + 1, dots))
        if i < len(a) and j < len(b) and (a[i] in "*?" or b[j] in "*?" or a[i] == b[j]):
            is_dot = "." in (
                a[i],
                b[j],
            )  # two wildcards may read anything: something other than a dot serves best
            steps.append((i + (a[i] != "*"), j + (b[j] != "*"), min(dots + 1, other) if is_dot else other))
        todo += [step for step in steps if step not in seen]
        seen.update(steps)
    return False


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
