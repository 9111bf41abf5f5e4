"""Owns when two JSON texts hold the same values, and the path of the first that differs.

Rule: what is not JSON, or means different things to different readers (a key twice), equals nothing but its
own text.
"""

import json
from collections.abc import Iterable
from itertools import zip_longest
from typing import Any

from oracle.judging import numbers

SHOWN_CHARS = 60  # of one value in a difference
BLANK = " \t\n\r"
MISSING = object()


class NotJson(ValueError):
    """The text cannot be compared value by value; the message says where it goes wrong."""


class Number(str):
    """A number as it is written: a double would not hold it."""

    def same(self, other: "Number", tolerance: float) -> bool:
        """Return True if the two are the same within the tolerance.

        Whole numbers are counts and keys, so they are compared exactly; a fraction or an exponent makes it
        a measure.
        """
        return numbers.alike(self, other, 0.0 if self.whole() and other.whole() else tolerance)

    def whole(self) -> bool:
        """Return True if the number is written without a fraction and an exponent."""
        return self.removeprefix("-").isdigit()


def read(text: str) -> list[Any]:
    """Return the values of a text that holds one, or several with white space between them, as engines print
    one for each statement.

    NaN and Infinity, which JSON has not but many writers write, are numbers. Raise NotJson.
    """
    found: list[Any] = []
    at = _skip(text, 0)
    try:
        while at < len(text):
            value, end = DECODER.raw_decode(text, at)
            found.append(value)
            at = _skip(text, end)
            if at == end < len(text):
                raise NotJson(f"{_place(text, at)}: more text right after a value")
    except json.JSONDecodeError as error:
        raise NotJson(f"line {error.lineno}, column {error.colno}: {error.msg}") from error
    except RecursionError as error:
        raise NotJson("nested too deeply") from error
    return found


def first_difference(ours: list[Any], theirs: list[Any], tolerance: float) -> str | None:
    """Return where two lists of values differ first, in the order of `theirs`, and how; None where they do
    not.
    """
    is_single = len(ours) == len(theirs) == 1
    todo: list[tuple[tuple[Any, ...], Any, Any]] = [((at,), a, b) for at, a, b in _children(ours, theirs)][
        ::-1
    ]
    # Not recursive: how deep a candidate nests is its own choice.
    while todo:
        path, a, b = todo.pop()
        if type(a) is type(b) and type(a) in (dict, list):
            todo += [((*path, key), c, d) for key, c, d in _children(a, b)][::-1]
        elif not _same(a, b, tolerance):
            return f"{_written(path, is_single=is_single)}: {_difference(a, b)}"
    return None


def _children(ours: Any, theirs: Any) -> Iterable[tuple[Any, Any, Any]]:
    if isinstance(ours, list):
        return [(at, a, b) for at, (a, b) in enumerate(zip_longest(ours, theirs, fillvalue=MISSING))]
    keys = dict.fromkeys([*theirs, *ours])
    return [(key, ours.get(key, MISSING), theirs.get(key, MISSING)) for key in keys]


def _same(a: Any, b: Any, tolerance: float) -> bool:
    if type(a) is not type(b):  # so that true is not 1
        return False
    return a.same(b, tolerance) if isinstance(a, Number) else a == b


def _difference(a: Any, b: Any) -> str:
    if a is MISSING:
        return f"nothing, {_quoted(b)} was expected"
    if b is MISSING:
        return f"{_quoted(a)} where nothing was expected"
    return f"{_quoted(a)} instead of {_quoted(b)}"


def _quoted(value: Any) -> str:
    if isinstance(value, dict):
        return f"an object of {len(value)}"
    if isinstance(value, list):
        return f"an array of {len(value)}"
    text = str(value) if isinstance(value, Number) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN_CHARS else text[:SHOWN_CHARS] + "..."


def _written(path: tuple[Any, ...], *, is_single: bool) -> str:
    steps = "".join(_step(key) for key in path[1:])
    return f"${steps}" if is_single else f"value {path[0] + 1}, ${steps}"


def _step(key: str | int) -> str:
    if isinstance(key, int):
        return f"[{key}]"
    return f".{key}" if key.isidentifier() and len(key) <= SHOWN_CHARS else f"[{_quoted(key)}]"


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in BLANK:
        at += 1
    return at


def _place(text: str, at: int) -> str:
    return f"line {text.count(chr(10), 0, at) + 1}, column {at - text.rfind(chr(10), 0, at)}"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise NotJson(f"the key {_quoted(key)} comes twice in one object")
        found[key] = value
    return found


DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=Number, parse_int=Number, parse_constant=Number
)
