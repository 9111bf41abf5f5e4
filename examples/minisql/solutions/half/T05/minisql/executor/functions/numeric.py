"""abs, sign, and the min and max of several values."""
from minisql import SqlError
from minisql.executor.convert import number_of

INTEGER_MIN = -(1 << 63)


def absolute(value):
    """Text that is no number counts as 0.0."""
    if value is None:
        return None
    if value == INTEGER_MIN and isinstance(value, int):
        raise SqlError("integer overflow")
    number = number_of(value)
    return abs(number) if isinstance(value, (int, float)) else float(abs(number))


FUNCTIONS = {"abs": absolute}  # sign, min and max are still to come
