"""Owns how case files become cases: every problem at once, each naming file and line; a bad file never yields
a case.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from oracle import globs
from oracle.cases import plain, sections, sql
from oracle.cases.spec import Case

CASE_BYTES_MAX = 1 << 20  # an agent has to read a failing case; larger ones are data sets, not cases
FILE_BYTES_MAX = 16 << 20  # of many cases; the largest of SQLite's own sqllogictest files have 4 MB


class Format(Protocol):
    """A module that reads one format of case files."""

    def read(self, text: str) -> Iterable[sections.Section]:
        """Return the cases in a file."""

    def pieces(self, text: str) -> list[str]:
        """Return what shrinking may leave out one by one; joined they are the text again."""


FORMATS: Mapping[str, Format] = {".sql": sql}

SectionsOf = Callable[[str, str], Iterable[sections.Section]]
"""The cases in a file, from its path and its text."""


@dataclass(frozen=True)
class CaseProblem:
    file: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


class BadCases(ValueError):
    """Case files that cannot be read; `problems` has all of them."""

    def __init__(self, problems: list[CaseProblem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


def format_of(path: str) -> Format:
    """Return the format of the file; a format is a module with `read(text)` and `pieces(input)`."""
    return FORMATS.get(_suffix(path), plain)


def load(patterns: Iterable[str], files: Iterable[tuple[str, bytes]], sections_of: SectionsOf) -> list[Case]:
    """Return the cases of all files (path, content) that match a pattern, in the order of their ids.

    Raise BadCases with every problem.
    """
    patterns = tuple(patterns)
    found: dict[str, Case] = {}
    problems: list[CaseProblem] = []
    for path, content in files:
        pattern = next((glob for glob in patterns if globs.matches(glob, path)), None)
        if pattern is None:
            continue
        for read in _read(path, content, globs.fixed_prefix(pattern), sections_of):
            if isinstance(read, CaseProblem):
                problems.append(read)
            elif read.id in found:
                other = found[read.id]
                problems.append(
                    CaseProblem(path, read.line, f"case {read.id!r} is already in {other.file}:{other.line}")
                )
                break  # in one file of the same name there may be ten thousand of them
            else:
                found[read.id] = read
    if problems:
        raise BadCases(problems)
    return [found[name] for name in sorted(found)]


def _read(path: str, content: bytes, prefix: str, sections_of: SectionsOf) -> Iterator[Case | CaseProblem]:
    if len(content) > FILE_BYTES_MAX:
        yield CaseProblem(
            path,
            1,
            f"the file has {len(content):,} bytes; at most {FILE_BYTES_MAX:,} are read as cases: split it",
        )
        return
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        yield CaseProblem(path, line, f"not UTF-8: byte 0x{content[error.start]:02x} at offset {error.start}")
        return
    stem = path.removeprefix(prefix).removesuffix(_suffix(path))
    for section in sections_of(path, text):
        if section.problem:
            yield CaseProblem(path, section.line, section.problem)
        elif (size := len(section.text.encode())) > CASE_BYTES_MAX:
            yield CaseProblem(
                path, section.line, f"the case has {size:,} bytes; at most {CASE_BYTES_MAX:,} are allowed"
            )
        else:
            name = f"{stem}/{section.name}" if section.name else stem
            yield Case(name, section.text, path, section.line, section.expect)


def _suffix(path: str) -> str:
    name = path.rpartition("/")[2]
    stem, dot, suffix = name.rpartition(".")
    return f".{suffix}" if dot and stem else ""
