"""Owns what a written number is, and when two of them are the same. Rule: a number is read as decimal digits,
never as a double.

So 1e400 is not infinity, 2**53 + 1 is not 2**53, and a million digits cost no more than their length.
"""

import re
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, InvalidOperation

# Free-standing: neither in a word (v12, 0x1F, 12km) nor part of what only looks like numbers (10.0.0.1,
# 2024-01-31, 1-2).
# The group is atomic, so that 1.2.3 is not read as 1 and a rest.
NUMBER = re.compile(
    r"(?<![\w.+-])(?>[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[+-]?(?i:nan|inf(?:inity)?))(?!\w|[.+-]\w)"
)
# Of a difference; far finer than any tolerance.
ROUNDED = Context(prec=34, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[])


def alike(one: str, other: str, tolerance: float) -> bool:
    """Return True if two numbers are the same within `tolerance`: relative, and absolute below 1. 0 means the
    same value exactly.

    Infinities are the same if their signs are; not-a-number is the same as itself, whatever its sign.
    """
    if one == other:
        return True
    a, b = value(one), value(other)
    if a is None or b is None:
        return False
    if a.is_nan() or b.is_nan():
        return a.is_nan() and b.is_nan()
    if a == b:
        return True
    if a.is_infinite() or b.is_infinite():
        return False
    apart = ROUNDED.abs(ROUNDED.subtract(a, b))
    return apart <= ROUNDED.multiply(Decimal(tolerance), max(Decimal(1), a.copy_abs(), b.copy_abs()))


def value(text: str) -> Decimal | None:
    """Return exactly what is written, or None for an exponent that no arithmetic can hold."""
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


def same_line(ours: str, theirs: str, tolerance: float) -> bool:
    """Return True if two lines have the same text around numbers that are the same."""
    if ours == theirs:
        return True
    one, other = list(NUMBER.finditer(ours)), list(NUMBER.finditer(theirs))
    if len(one) != len(other) or _around(ours, one) != _around(theirs, other):
        return False
    return all(alike(a[0], b[0], tolerance) for a, b in zip(one, other, strict=True))


def _around(line: str, found: list[re.Match[str]]) -> list[str]:
    starts = [0, *(match.end() for match in found)]
    ends = [*(match.start() for match in found), len(line)]
    return [line[start:end] for start, end in zip(starts, ends, strict=True)]
