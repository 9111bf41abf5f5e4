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
    whole = (ended(case.input.rstrip("\n")) or case.input) if protocol == SHELL else case.input.rstrip("\n")
    return SessionRecord(case.id, whole, Expected.of(case.expect).kind == "count")


def whole_files(there: There, everything: Sequence[Case]) -> There:
    """Asks for whole files whatever is asked for, and once more, alone, for a file that was left without an
    answer.

    A record of such a file that is left without one again took its executor down.
    """
    main = _by_file(everything)

    def closed(cases: Sequence[Case]) -> Mapping[str, Answer]:
        files = {
            name: main.get(name, some) for name, some in _by_file(cases).items()
        }  # trials of shrinking are files of their own
        asked = [case for file in files.values() for case in file]
        answers = dict(there(asked))
        lost = 0
        while missing := [case for case in asked if case.id not in answers]:
            if lost < LOST_FILES_MAX:
                first, *rest = (files[name] for name in _by_file(missing))
                answers |= there(first)
                missing = [case for case in first if case.id not in answers]
                lost += bool(missing)
                answers |= there([case for file in rest for case in file]) if rest else {}
            answers |= dict.fromkeys((case.id for case in missing), Answer("", -9, lost=True))
        return answers

    return closed


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


# -- what an engine said
# ----------------------------------------------------------------------------------------


def answer(suite: Suite, case: Case, said: Answer) -> Answer:
    """What the box heard, as an answer in the file's terms: values one a line, sorted; or an error, or a
    misfit.
    """
    expected = Expected.of(case.expect)
    if said.crash() is not None:
        return replace(said, output=printable(said.output, original=False, keep="\n"))
    try:
        heard = (
            _heard_json(expected, said.output)
            if suite.protocol == JSON
            else _heard_shell(suite, expected, said)
        )
    except _NotOfProtocol as wrong:
        return Answer(
            "", OK, said.error, stopped=f"this is no answer of the protocol: {str(wrong)[:SAID_CHARS_MAX]!r}"
        )
    if isinstance(heard, str):
        return Answer("", ERROR, heard)
    if expected.kind in ("ok", "error"):
        return Answer("", OK)
    types = expected.types or "I"
    wrong = next((row for row in heard if len(row) != len(types)), None)
    if wrong is not None:
        shown = "".join("\t".join(NULL if value is None else value for value in row) + "\n" for row in heard)
        return Answer(
            printable(shown, original=False, keep="\t\n"), MISFIT, _misfit(suite, len(wrong), len(types))
        )
    original = _is_original(suite, expected)
    values = [
        rendered(kind, value, original=original)
        for row in heard
        for kind, value in zip(types, row, strict=True)
    ]
    return Answer("".join(f"{value}\n" for value in expected.in_order(values)), OK)


class _NotOfProtocol(Exception):
    """What the engine said, where it should have said something else."""


def _heard_shell(suite: Suite, expected: Expected, said: Answer) -> list[Row] | str:
    """Rows, or the text of an error: a shell writes those to stderr."""
    if said.error.strip():
        return said.error
    lines = said.output.split("\n")[:-1]
    split = [[line] if expected.types == "T" else line.split(suite.separator) for line in lines]
    return [[None if value == suite.null else value for value in row] for row in split]


def _heard_json(expected: Expected, line: str) -> list[Row] | str:
    try:
        told = json.loads(line, parse_float=str, parse_constant=str, parse_int=str)
    except (ValueError, RecursionError) as wrong:
        raise _NotOfProtocol(line) from wrong
    match told:
        case {"error": str(error)}:
            return error or "an error without words"
        case {"count": str(count)} if expected.kind != "query":
            return [[count]]
        case {"rows": list(rows)} if expected.kind != "count" and all(isinstance(row, list) for row in rows):
            return [[_json_value(line, value) for value in row] for row in rows]
    raise _NotOfProtocol(line)


def _json_value(line: str, value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(int(value))
    raise _NotOfProtocol(line)


def _misfit(suite: Suite, got: int, wanted: int) -> str:
    hint = (
        f"; or does a value hold the separator {suite.separator!r}?"
        if suite.protocol == SHELL and got > wanted > 1
        else ""
    )
    return f"a row of {got} columns, where the record's types say {wanted}{hint}"


def _is_original(suite: Suite, expected: Expected) -> bool:
    """Whether results are written as SQLite's own runner writes them: its files are ASCII."""
    return suite.reference is None and all(value.isascii() for value in expected.values)


# -- right or wrong
# ---------------------------------------------------------------------------------------------


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
    """Return the judge by the files, or by the reference where the suite has one; then it has to agree with itself
    under each label.
    """

    def judged(pairs: Sequence[Pair]) -> list[str | None]:
        if suite.reference:
            _consistent(pairs)
        return [
            _difference(pair, Expected.of(pair.case.expect), by_file=not suite.reference) for pair in pairs
        ]

    return judged


def _consistent(pairs: Sequence[Pair]) -> None:
    """Raises JudgeFailed where the reference's answers show that it is the file that is wrong."""
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
                    f"the reference answers {named(pair.case)} otherwise than {named(first.case)}, and both have the same label"
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
        return (
            "an error, where none is expected"
            if ours.exit == ERROR
            else "the rows do not have the columns of the record's types"
        )
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
