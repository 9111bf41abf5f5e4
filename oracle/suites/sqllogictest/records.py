"""Owns the .slt format of SQLite's sqllogictest: records in, each with what its file expects of the answer.

Source: "Test-Script Format" in about.wiki and src/sqllogictest.c of https://www.sqlite.org/sqllogictest.
Records are parted by blank lines; a line that begins with `#` is no line at all; a carriage return at a
line's end is left out. From later runners (sqllogictest-rs, DuckDB) come `statement count N`, a message after
`statement error` (a regular expression on its line, or a text after `----`) and rows written as one line with
tabs. Everything else is a problem, never a guess. A hash is recognised by its form, so `hash-threshold` has
nothing left to say but whether it is a number.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from oracle.cases import sections, sql
from oracle.cases.spec import SHELL, Suite

RECORDS = ("statement", "query", "skipif", "onlyif", "halt", "hash-threshold")
CONDITIONS = ("skipif", "onlyif")
SORTS = ("nosort", "rowsort", "valuesort")
TYPES = "TIR"
RESULTS = "----"
BLANKS = " \t\v\f\r"  # as C's isspace(); Python's own idea of white space is wider
WORD = re.compile(f"[^{BLANKS}]+")
HASH = re.compile(r"([0-9]{1,9}) values hashing to ([0-9a-f]{32})")
NUMBER = re.compile(r"[0-9]{1,9}")

Line = tuple[int, str]


class BadRecord(ValueError):
    """A record that cannot be read: the line and what is wrong there."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line, self.message = line, message


@dataclass(frozen=True)
class Expected:
    """What a record expects. `kind` is ok, error, count or query; `hashed` is the count and the md5 instead
    of `values`.
    """

    kind: str
    types: str = ""
    sort: str = "nosort"
    label: str = ""
    values: tuple[str, ...] = ()
    hashed: tuple[int, str] | None = None
    says: re.Pattern[str] | None = None
    header: str = field(default="", compare=False)

    @classmethod
    def of(cls, text: str) -> "Expected":
        """Return what `text` wrote."""
        header, *rest = text.split("\n")
        return _expected((1, header), [(at, line) for at, line in enumerate(rest[1:], start=3)])

    def text(self) -> str:
        """Return the record without its SQL, in the format's own words, one value a line."""
        if self.hashed:
            results = ["{} values hashing to {}".format(*self.hashed)]
        else:
            results = list(self.values)
        return "\n".join([self.header, RESULTS, *results]) if results else self.header

    def in_order(self, values: Sequence[str]) -> list[str]:
        """Return values of rows, one after another, as the sort mode wants them: compared byte by byte, as
        strcmp does.
        """
        width = {"rowsort": len(self.types), "valuesort": 1}.get(self.sort, 0)
        if not width:
            return list(values)
        rows = [values[at : at + width] for at in range(0, len(values), width)]
        return [
            value for row in sorted(rows, key=lambda row: [value.encode() for value in row]) for value in row
        ]

    def digest(self) -> str:
        """Return the md5 of the values, from the file or computed."""
        return self.hashed[1] if self.hashed else md5(self.in_order(self.values))


def md5(values: Sequence[str]) -> str:
    """Return the hash that the format has: of each value with a line end."""
    return hashlib.md5("".join(f"{value}\n" for value in values).encode(), usedforsecurity=False).hexdigest()


def sections_of(suite: Suite, _: str, text: str) -> Iterator[sections.Section]:
    """Return the records in a file: each file of the suite is read as .slt, whatever its suffix."""
    return read(text, suite)


def read(text: str, suite: Suite) -> Iterator[sections.Section]:
    """Yield a section for each record that runs and expects something, named by its line, or its problem."""
    labels: dict[str, tuple[int, str]] = {}
    found = False
    for lines in _paragraphs(text):
        found = True
        try:
            lines, runs = _conditions(lines, suite.engine)
            if _words(lines[0][1])[0] == "halt":
                if runs:
                    return
                continue
            if record := _record(lines, suite, labels, runs=runs):
                yield record
        except BadRecord as bad:
            yield sections.Section("", "", bad.line, bad.message)
    if not found:
        yield sections.Section("", "", 1, "the file has no record")


def _paragraphs(text: str) -> Iterator[list[Line]]:
    """Yield lines with their numbers, parted at blank ones, without comments."""
    lines: list[Line] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip(BLANKS):
            if lines:
                yield lines
            lines = []
        elif not line.startswith("#"):
            lines.append((number, line.removesuffix("\r")))
    if lines:
        yield lines


def _conditions(lines: list[Line], engine: str | None) -> tuple[list[Line], bool]:
    """Return the record without its conditions, and whether all of them hold; engines are named in either
    case.
    """
    runs = True
    for at, (number, line) in enumerate(lines):
        word, *rest = _words(line)
        if word not in CONDITIONS:
            return lines[at:], runs
        if len(rest) != 1:
            raise BadRecord(number, f"`{word}` needs the name of one engine")
        if not engine:
            raise BadRecord(
                number,
                f"`{word} {rest[0]}` needs to know what the candidate is called: "
                'set engine = "..." in the suite',
            )
        runs = runs and (rest[0].lower() == engine.lower()) == (word == "onlyif")
    raise BadRecord(
        lines[-1][0],
        f"no record follows `{_words(lines[-1][1])[0]}`; it stands on the line before its record",
    )


def _record(
    lines: list[Line], suite: Suite, labels: dict[str, tuple[int, str]], *, runs: bool
) -> sections.Section | None:
    (number, header), *body = lines
    word = _words(header)[0]
    if word == "hash-threshold":
        _check_threshold(lines)
        return None
    if word not in RECORDS:
        raise BadRecord(
            number,
            f"unknown record `{word[:40]}`: it can be {', '.join(RECORDS)}; "
            "what other runners add to them is not read here",
        )
    at = next((at for at, (_, line) in enumerate(body) if line.rstrip(BLANKS) == RESULTS), len(body))
    expected = _expected(lines[0], body[at + 1 :])
    if at < len(body) and expected.kind in ("ok", "count"):
        raise BadRecord(body[at][0], f"a `statement {expected.kind}` has no results")
    _check_label(expected, number, labels, suite)
    if not runs:
        return None
    return sections.Section(f"{number:05}", _sql(number, body[:at], suite), number, expect=expected.text())


def _check_threshold(lines: list[Line]) -> None:
    (number, header), *rest = lines
    words = _words(header)[1:]
    if len(words) != 1 or not NUMBER.fullmatch(words[0]):
        raise BadRecord(number, "`hash-threshold` needs a number of values; 0 means never to hash")
    if rest:
        raise BadRecord(rest[0][0], "a blank line must stand after `hash-threshold`")


def _expected(head: Line, results: list[Line]) -> Expected:
    number, header = head
    words = _words(header)
    if words[0] == "query":
        return _query(number, words, results)
    match words[1:]:
        case ["ok"]:
            return Expected("ok", header="statement ok")
        case ["error", *_]:
            return _error(number, header, results)
        case ["count", count] if NUMBER.fullmatch(count):
            return Expected("count", values=(str(int(count)),), header=f"statement count {int(count)}")
        case ["count", *_]:
            raise BadRecord(number, "`statement count` needs a number of rows")
        case ["ok", *rest]:
            raise BadRecord(number, f"nothing may stand after `statement ok`: {' '.join(rest)[:40]!r}")
    raise BadRecord(number, f"a statement is ok, error or count, not {' '.join(words[1:])[:40]!r}")


def _error(number: int, header: str, results: list[Line]) -> Expected:
    inline = next(islice(WORD.finditer(header), 2, None), None)
    pattern = header[inline.start() :].rstrip(BLANKS) if inline and not inline[0].startswith("#") else ""
    if pattern and results:
        raise BadRecord(results[0][0], "the message stands on the line of `statement error` already")
    header = f"statement error {pattern}".rstrip()
    lines = tuple(line for _, line in results)
    try:
        says = re.compile(pattern or re.escape("\n".join(lines)), re.MULTILINE)
    except (re.error, OverflowError, RecursionError) as error:
        raise BadRecord(number, f"the message is not a regular expression: {error}") from error
    return Expected("error", values=lines, says=says if pattern or lines else None, header=header)


def _query(number: int, words: list[str], results: list[Line]) -> Expected:
    types, sort, label, *more = [*words[1:], *("", "", "")[len(words[1:]) :]]
    if not types:
        raise BadRecord(number, "`query` needs the types of its columns, such as `query IT`")
    if strange := next((letter for letter in types if letter not in TYPES), None):
        raise BadRecord(
            number,
            f"{strange!r} is no type of a column: {types[:40]!r} may have T (text), I (integer) and R (real)",
        )
    if sort and sort not in SORTS:
        raise BadRecord(number, f"{sort[:40]!r} is no sort mode: it can be {', '.join(SORTS)}")
    if more:
        raise BadRecord(number, f"nothing may stand after the label: {' '.join(more)[:40]!r}")
    header = " ".join(filter(None, ("query", types, sort, label)))
    hashed = HASH.fullmatch(results[0][1]) if len(results) == 1 else None
    if hashed and int(hashed[1]) % len(types) == 0:
        return Expected(
            "query", types, sort or SORTS[0], label, hashed=(int(hashed[1]), hashed[2]), header=header
        )
    if hashed:
        raise BadRecord(results[0][0], f"{hashed[1]} values make no rows of {len(types)}")
    return Expected("query", types, sort or SORTS[0], label, _values(results, len(types)), header=header)


def _values(results: list[Line], width: int) -> tuple[str, ...]:
    """Return the values: one a line, or a row a line where lines have tabs."""
    if not any("\t" in line for _, line in results):
        if len(results) % width:
            raise BadRecord(results[-1][0], f"{len(results)} values make no rows of {width}")
        return tuple(line for _, line in results)
    rows = [(number, line.split("\t")) for number, line in results]
    if wrong := next(((number, row) for number, row in rows if len(row) != width), None):
        raise BadRecord(wrong[0], f"a row of {len(wrong[1])} values, where the types say {width}")
    return tuple(value for _, row in rows for value in row)


def _check_label(expected: Expected, number: int, labels: dict[str, tuple[int, str]], suite: Suite) -> None:
    """Raise BadRecord unless queries of one label have the same results, also those that are skipped.

    With a reference, results do not count.
    """
    if not expected.label or suite.reference:
        return
    first, digest = labels.setdefault(expected.label, (number, expected.digest()))
    if digest != expected.digest():
        raise BadRecord(number, f"label {expected.label[:40]!r} has other results than at line {first}")


def _sql(number: int, lines: list[Line], suite: Suite) -> str:
    text = "\n".join(line for _, line in lines)
    if not text:
        raise BadRecord(number, "the record has no SQL")
    if "\0" in text:
        raise BadRecord(number, "the SQL has a NUL character")
    if sql.ended(text) is None and (suite.protocol == SHELL or suite.reference):
        raise BadRecord(
            number,
            "the SQL does not end (a quote, a comment or a trigger's body is left open): "
            "a shell would wait for more",
        )
    return text + "\n"


def _words(line: str) -> list[str]:
    """Return the words of a header, without a comment at its end."""
    words = WORD.findall(line)
    return words[: next((at for at, word in enumerate(words) if at and word.startswith("#")), len(words))]
