"""Owns how one file holds several cases: a line `-- case: NAME` begins each; without one, the file is one
case.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

SEPARATOR = re.compile(r"--\s*case:(.*)")
# str.splitlines would also split at form feeds and the like inside a string.
LINE = re.compile(r"[^\n]*\n|[^\n]+")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class Section:
    """A named stretch of a file, or the problem that keeps it from being one; `line` is where a reader finds
    it.
    """

    name: str
    text: str
    line: int
    problem: str = ""
    expect: str = ""


def split(text: str) -> Iterator[Section]:
    """Yield the sections of a file, or the problems that keep a stretch of it from being one."""
    lines = LINE.findall(text)
    starts = [(at, match) for at, line in enumerate(lines) if (match := SEPARATOR.fullmatch(line.rstrip()))]
    if not starts:
        yield _filled(Section("", text, 1))
        return
    yield from _before_first(lines[: starts[0][0]])
    ends = [at for at, _ in starts[1:]] + [len(lines)]
    for (at, match), end in zip(starts, ends, strict=True):
        name = match[1].strip()
        if not NAME.fullmatch(name):
            yield Section(
                name, "", at + 1, f"case name {name!r} must be letters, digits, '.', '_' or '-' (at most 100)"
            )
        else:
            yield _filled(Section(name, "".join(lines[at + 1 : end]), at + 2))


def _before_first(lines: list[str]) -> Iterator[Section]:
    """Yield a problem for any text but comments: it would silently belong to no case."""
    for at, line in enumerate(lines):
        if line.strip() and not line.startswith("--"):
            yield Section("", "", at + 1, "text before the first `-- case: NAME` belongs to no case")
            return


def _filled(section: Section) -> Section:
    if section.text.strip():
        return section
    return Section(section.name, "", section.line, "the case is empty")
