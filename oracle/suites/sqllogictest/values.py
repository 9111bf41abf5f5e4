"""Owns how a value stands in the results of a .slt record.

Source: sqliteQuery() in src/slt_sqlite.c of https://www.sqlite.org/sqllogictest, but for three things: an
integer has all its 64 bits; an error while rows are read is an error; and where a reference judges, or a file
has text that is not ASCII, text stays what it is: it becomes neither `@` nor, in a column of numbers, the
number that it begins with.
"""

import math
import re
from decimal import Decimal

NULL, EMPTY = "NULL", "(empty)"
INTEGER = re.compile(r"[+-]?[0-9]{1,300}")
REAL = re.compile(r"[+-]?(?:[0-9]{1,300}(?:\.[0-9]{0,300})?|\.[0-9]{1,300})(?:[eE][+-]?[0-9]{1,5})?")
INFINITE = re.compile(r"[+-]?Inf", re.IGNORECASE)
DIGITS = 16  # of a number in all, however large: the rest is 0
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
NOT_ASCII = re.compile(rb"[^ -~]")


def rendered(kind: str, value: str | None, *, original: bool) -> str:
    """Return one value as results have it; `kind` is T, I or R.

    `original`: as SQLite's own runner writes it.
    """
    if value is None:
        return NULL
    if kind == "T":
        return printable(value, original=original) or EMPTY
    if kind == "I" and INTEGER.fullmatch(value):
        return str(int(value))
    if REAL.fullmatch(value) or INFINITE.fullmatch(value):
        return _whole(float(value)) if kind == "I" else _real(float(value))
    if not original:
        return printable(value, original=False) or EMPTY
    found = (INTEGER if kind == "I" else REAL).match(value.lstrip())
    return rendered(kind, found[0] if found else "0", original=False)


def _whole(number: float) -> str:
    """Return the integer part; what is beyond 64 bits is the last integer before it."""
    return str(int(min(max(number, -(2**63)), 2**63 - 1)))


def _real(number: float) -> str:
    if math.isinf(number):
        return "Inf" if number > 0 else "-Inf"
    if abs(number) < 10 ** (DIGITS - 3):
        return f"{number or 0.0:.3f}"
    return f"{Decimal(f'{number:.{DIGITS - 1}e}'):.3f}"


def printable(text: str, *, original: bool, keep: str = "") -> str:
    """Return the text with control characters and what is no text as `@`; in the original, every byte that is
    not ASCII too.
    """
    if original:
        return NOT_ASCII.sub(b"@", text.encode("utf-8", "surrogateescape")).decode()
    return UNPRINTABLE.sub(lambda found: found[0] if found[0] in keep else "@", text)
