"""Which cases an entry such as `select/*` or `slt:*` names: one rule for tasks, modules, claims, runs and the
gate.

Rule: `SUITE:GLOB` belongs to that suite, and a bare `GLOB` to the suite of whoever wrote it; a glob reads as
fnmatch does.
"""

import re
from collections.abc import Collection, Iterable
from fnmatch import translate

ENTRY = re.compile(r"([A-Za-z0-9][A-Za-z0-9_-]{0,39}):(?!:)(.+)", re.DOTALL)  # `a::b` is the name of a test
WILD = re.compile(r"[*?[]")
LEADING = re.compile(r"^:")
SPECIAL = re.compile(r"[*?[]|^:")


def split(entry: str) -> tuple[str | None, str]:
    """The suite that an entry names, or None, and its glob."""
    found = ENTRY.fullmatch(entry)
    return (found[1], found[2]) if found else (None, entry)


def suites_in(entries: Iterable[str]) -> list[str]:
    """The suites that are named, each once."""
    return list(dict.fromkeys(suite for suite, _ in map(split, entries) if suite is not None))


def of_suite(entries: Iterable[str], suite: str, default: str | None) -> tuple[str, ...]:
    """The globs that concern `suite`; an entry without a suite means `default`, and every suite where that is
    None.
    """
    return tuple(glob for named, glob in map(split, entries) if (named or default or suite) == suite)


def qualified(entries: Iterable[str], default: str | None) -> tuple[str, ...]:
    """The entries with `default` written before each that names no suite."""
    return tuple(
        f"{default}:{LEADING.sub('[:]', entry)}" if default and split(entry)[0] is None else entry
        for entry in entries
    )


def hits(glob: str, ids: Collection[str]) -> set[str]:
    if not WILD.search(glob):
        return {glob} if glob in ids else set()
    matches = re.compile(translate(glob)).match
    return {id for id in ids if matches(id)}


def chosen(globs: Iterable[str], ids: Collection[str]) -> set[str]:
    """The ids that any of the globs names."""
    found: set[str] = set()
    for glob in globs:
        found |= hits(glob, ids)
    return found


def entry(suite: str, id: str) -> str:
    """The entry that names exactly this case."""
    literal = SPECIAL.sub(r"[\g<0>]", id)
    return f"{suite}:{literal}"
