"""CAST, as the call cast(value, 'TYPE'). Owns what a conversion that loses something gives."""
from minisql.executor.convert import number_of, numeric_prefix
from minisql.shell import render

INTEGER_MIN, INTEGER_MAX = -(1 << 63), (1 << 63) - 1


def cast(value, declared):
    """NULL stays NULL. Types are told apart by the same words as column affinities."""
    if value is None:
        return None
    if "INT" in declared:
        return integer(value)
    if "CHAR" in declared or "CLOB" in declared or "TEXT" in declared:
        return value if isinstance(value, str) else render(value)
    if "BLOB" in declared:
        return value if isinstance(value, bytes) else (value if isinstance(value, str) else render(value)).encode()
    if "REAL" in declared or "FLOA" in declared or "DOUB" in declared:
        return float(number_of(value))
    number = number_of(value)
    return int(number) if isinstance(value, (str, bytes)) and number == int(number) else number


def integer(value):
    """Of text the leading digits, of a real what stands before the point; out of range the nearest."""
    if isinstance(value, (str, bytes)):
        digits = numeric_prefix(render(value).strip()).partition(".")[0].lower().partition("e")[0]
        value = int(digits) if digits.strip("+-") else 0
    return min(max(int(value), INTEGER_MIN), INTEGER_MAX)


FUNCTIONS = {"cast": cast}
