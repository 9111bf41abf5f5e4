"""Owns the answers to .slt records: what an engine said -> values as the format writes them -> right or not.

Rule: what stands in the file and what each engine said goes the same way, and is written, sorted and hashed
alike.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from oracle.cases.spec import JSON, SHELL, Case, Suite
from oracle.cases.sql import ended
from oracle.judging import compare
from oracle.judging.answer import Answer
from oracle.judging.judge import Judge, JudgeFailed, Pair, named
from oracle.judging.run import There
from oracle.suites.base import SessionRecord
from oracle.suites.sqllogictest.records import Expected, md5
from oracle.suites.sqllogictest.values import NULL, printable, rendered

# Exit statuses of an answer; MISFIT: rows that do not have the columns of the record's types.
OK, ERROR, MISFIT = 0, 1, 2
# Files whose candidate took the executor down, each seen to do so alone; the rest is then not tried.
LOST_FILES_MAX = 5
SAID_CHARS_MAX = 120

Row = Sequence[str | None]


def sessions(suite: Suite, cases: Iterable[Case]) -> list[list[SessionRecord]]:
    """Return the records of each file, in its order: what one process of the engine is asked."""
    return [
        [_record(case, suite.protocol) for case in sorted(file, key=lambda case: case.line)]
        for file in _by_file(cases).values()
    ]


def _record(case: Case, protocol: str) -> SessionRecord:
    statement = case.input.rstrip("\n")
    if protocol == SHELL:
        statement = ended(statement) or case.input
    return SessionRecord(case.id, statement, Expected.of(case.expect).kind == "count")


def whole_files(there: There, everything: Sequence[Case]) -> There:
    """Return what asks `there` for whole files whatever is asked for, and once more, alone, for a file that
    was left without an answer.

    A record of such a file that is left without one again took its executor down.
    """
    main = _by_file(everything)

    def whole(cases: Sequence[Case]) -> Mapping[str, Answer]:
        # Trials of shrinking are files of their own.
        files = {name: main.get(name, some) for name, some in _by_file(cases).items()}
        asked = [case for file in files.values() for case in file]
        answers = dict(there(asked))
        lost_files = 0
        while missing := [case for case in asked if case.id not in answers]:
            if lost_files < LOST_FILES_MAX:
                first, *rest = (files[name] for name in _by_file(missing))
                answers |= there(first)
                missing = [case for case in first if case.id not in answers]
                lost_files += bool(missing)
                answers |= there([case for file in rest for case in file]) if rest else {}
            answers |= dict.fromkeys((case.id for case in missing), Answer("", -9, lost=True))
        return answers

    return whole


def whole_files_of(cases: Sequence[Case], chosen: Collection[str]) -> list[str]:
    """Return the ids of all records in the files of the chosen ones.

    The records of a file are asked of one process, so that each finds what those before it have made.
    """
    asked = set(chosen)
    files = {case.file for case in cases if case.id in asked}
    return [case.id for case in cases if case.file in files]


def records_before(cases: Iterable[Case]) -> dict[str, str]:
    """Return by id a hash of the record and all records before it, given whole files of cases."""
    hashes: dict[str, Any] = {}
    inputs: dict[str, str] = {}
    for case in sorted(cases, key=lambda case: (case.file, case.line)):
        file_hash = hashes.setdefault(case.file, hashlib.sha256())
        file_hash.update(repr((case.input, case.expect)).encode())
        inputs[case.id] = file_hash.hexdigest()
    return inputs


def _by_file(cases: Iterable[Case]) -> dict[str, list[Case]]:
    files: dict[str, list[Case]] = {}
    for case in cases:
        files.setdefault(case.file, []).append(case)
    return files


# -- what an engine said --


def answer(suite: Suite, case: Case, output: Answer) -> Answer:
    """Return what the box heard (`output`) as an answer in the file's terms.

    It has values, one a line, sorted; or it is an error, or a misfit.
    """
    expected = Expected.of(case.expect)
    if output.crash() is not None:
        return replace(output, output=printable(output.output, original=False, keep="\n"))
    try:
        rows = _rows(suite, expected, output)
    except _EngineError as error:
        return Answer("", ERROR, str(error))
    except _NotOfProtocol as wrong:
        line = repr(str(wrong)[:SAID_CHARS_MAX])
        return Answer("", OK, output.error, stopped=f"this is no answer of the protocol: {line}")
    if expected.kind in ("ok", "error"):
        return Answer("", OK)
    types = expected.types or "I"
    misfit = next((row for row in rows if len(row) != len(types)), None)
    if misfit is not None:
        text = printable("".join(map(_with_tabs, rows)), original=False, keep="\t\n")
        return Answer(text, MISFIT, _misfit(suite, len(misfit), len(types)))
    original = _is_original(suite, expected)
    values = [
        rendered(kind, value, original=original)
        for row in rows
        for kind, value in zip(types, row, strict=True)
    ]
    return Answer("".join(f"{value}\n" for value in expected.in_order(values)), OK)


class _NotOfProtocol(Exception):
    """What the engine said, where it should have said something else."""


class _EngineError(Exception):
    """The engine answered with an error, in these words."""


def _rows(suite: Suite, expected: Expected, output: Answer) -> list[Row]:
    """Return the rows that an engine printed; raise _EngineError or _NotOfProtocol where it printed none."""
    if suite.protocol == JSON:
        return _json_rows(expected, output.output)
    return _shell_rows(suite, expected, output)


def _shell_rows(suite: Suite, expected: Expected, output: Answer) -> list[Row]:
    """Return the rows, one a line; a shell writes its errors to stderr."""
    if output.error.strip():
        raise _EngineError(output.error)
    lines = output.output.split("\n")[:-1]
    split = [[line] if expected.types == "T" else line.split(suite.separator) for line in lines]
    return [[None if value == suite.null else value for value in row] for row in split]


def _json_rows(expected: Expected, line: str) -> list[Row]:
    """Return the rows in an answer of the JSON protocol; a count is a row of one value."""
    try:
        answer = json.loads(line, parse_float=str, parse_constant=str, parse_int=str)
    except (ValueError, RecursionError) as wrong:
        raise _NotOfProtocol(line) from wrong
    match answer:
        case {"error": str(error)}:
            raise _EngineError(error or "an error without words")
        case {"count": str(count)} if expected.kind != "query":
            return [[count]]
        case {"rows": list(rows)} if expected.kind != "count" and all(isinstance(row, list) for row in rows):
            return [[_json_value(line, value) for value in row] for row in rows]
    raise _NotOfProtocol(line)


def _with_tabs(row: Row) -> str:
    return "\t".join(NULL if value is None else value for value in row) + "\n"


def _json_value(line: str, value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(int(value))
    raise _NotOfProtocol(line)


def _misfit(suite: Suite, columns: int, types: int) -> str:
    hint = ""
    if suite.protocol == SHELL and columns > types > 1:
        hint = f"; or does a value hold the separator {suite.separator!r}?"
    return f"a row of {columns} columns, where the record's types say {types}{hint}"


def _is_original(suite: Suite, expected: Expected) -> bool:
    """Return True if results are written as SQLite's own runner writes them: its files are ASCII."""
    return suite.reference is None and all(value.isascii() for value in expected.values)


# -- right or wrong --


def file_expectations(suite: Suite, cases: Sequence[Case]) -> dict[str, Answer]:
    """Return what the files expect, where those judge; nothing where a reference does."""
    return {} if suite.reference else expectations(suite, cases)


def expectations(suite: Suite, cases: Iterable[Case]) -> dict[str, Answer]:
    """Return what the files expect, as answers to compare with; a hash stands there as the file has it."""
    return {case.id: _expectation(suite, Expected.of(case.expect)) for case in cases}


def _expectation(suite: Suite, expected: Expected) -> Answer:
    if expected.kind == "error":
        return Answer("", ERROR, "\n".join(expected.values))
    if expected.hashed:
        return Answer("{} values hashing to {}\n".format(*expected.hashed), OK)
    original = _is_original(suite, expected)
    values = [printable(value, original=original) for value in expected.values]
    return Answer("".join(f"{value}\n" for value in expected.in_order(values)), OK)


def judge(suite: Suite, _: There | None = None) -> Judge:
    """Return the judge by the files, or by the reference where the suite has one.

    The reference then has to agree with itself under each label.
    """

    def differences(pairs: Sequence[Pair]) -> list[str | None]:
        if suite.reference:
            _check_consistency(pairs)
        return [
            _difference(pair, Expected.of(pair.case.expect), by_file=not suite.reference) for pair in pairs
        ]

    return differences


def _check_consistency(pairs: Sequence[Pair]) -> None:
    """Raise JudgeFailed where the reference's answers show that it is the file that is wrong."""
    labels: dict[tuple[str, str], Pair] = {}
    for pair in pairs:
        label = Expected.of(pair.case.expect).label
        if pair.reference.exit == MISFIT:
            why = "" if pair.case.hidden else f": {pair.reference.error}"
            raise JudgeFailed(f"the reference's answer to {named(pair.case)} does not fit the file{why}")
        if label and pair.reference.exit == OK:
            first = labels.setdefault((pair.case.file, label), pair)
            if first.reference.output != pair.reference.output:
                raise JudgeFailed(
                    f"the reference answers {named(pair.case)} otherwise than {named(first.case)}, "
                    "and both have the same label"
                )


def _difference(pair: Pair, expected: Expected, *, by_file: bool) -> str | None:
    ours, theirs = pair.candidate, pair.reference
    if how := ours.crash():
        return how
    if theirs.exit != OK:
        if ours.exit != ERROR:
            return "no error, where one is expected"
        return _other_error(ours.error, expected) if by_file else None
    if ours.exit != OK:
        if ours.exit == ERROR:
            return "an error, where none is expected"
        return "the rows do not have the columns of the record's types"
    if by_file and expected.hashed:
        return _other_hash(ours.output.split("\n")[:-1], *expected.hashed)
    return compare.difference("exact", ours.output, theirs.output)


def _other_error(error: str, expected: Expected) -> str | None:
    if expected.says is None or expected.says.search(error):
        return None
    return (
        f"another error than {expected.says.pattern[:SAID_CHARS_MAX]!r}: {error.strip()[:SAID_CHARS_MAX]!r}"
    )


def _other_hash(values: Sequence[str], count: int, digest: str) -> str | None:
    if len(values) != count:
        return f"{len(values)} values instead of {count}"
    found = md5(values)
    return f"{count} values hashing to {found} instead of {digest}" if found != digest else None
