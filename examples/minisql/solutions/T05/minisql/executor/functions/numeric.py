"""abs, sign, and the min and max of several values."""
from minisql import SqlError
from minisql.executor.convert import is_number, number_of
from minisql.executor.ordering import rank

INTEGER_MIN = -(1 << 63)


def absolute(value):
    """Text that is no number counts as 0.0."""
    if value is None:
        return None
    if value == INTEGER_MIN and isinstance(value, int):
        raise SqlError("integer overflow")
    number = number_of(value)
    return abs(number) if isinstance(value, (int, float)) else float(abs(number))


def sign(value):
    """-1, 0 or 1; NULL for what is no number."""
    if value is None or isinstance(value, bytes) or isinstance(value, str) and not is_number(value):
        return None
    number = number_of(value)
    return (number > 0) - (number < 0)


def least(*values):
    """NULL if any value is."""
    return None if None in values else min(values, key=rank)


def greatest(*values):
    return None if None in values else max(values, key=rank)


FUNCTIONS = {"abs": absolute, "sign": sign, "min": least, "max": greatest}
