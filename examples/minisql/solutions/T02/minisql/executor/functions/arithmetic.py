"""Arithmetic and bit operators. Owns overflow: an integer result beyond 64 bits becomes a real; NULL makes NULL."""
from minisql.executor.convert import number_of
from minisql.parser.numbers import fits

BITS_64 = (1 << 64) - 1


def arithmetic(compute):
    """The operator over numbers that `compute` stands for."""
    def operator(left, right):
        left, right = number_of(left), number_of(right)
        if left is None or right is None:
            return None
        return settled(compute(left, right))
    return operator


def settled(value):
    """A result as SQL keeps it; a real that is no number is NULL."""
    if value is None:
        return None
    if isinstance(value, int):
        return value if fits(value) else float(value)
    return None if value != value else value


def divide(left, right):
    if right == 0:
        return None
    if isinstance(left, int) and isinstance(right, int):
        quotient = abs(left) // abs(right)
        return quotient if (left < 0) == (right < 0) else -quotient
    return left / right


def remainder(left, right):
    """Of the integer parts, with the sign of the left one; a real if either is one."""
    whole_left, whole_right = int(left), int(right)
    if whole_right == 0:
        return None
    rest = abs(whole_left) % abs(whole_right)
    rest = -rest if whole_left < 0 else rest
    return rest if isinstance(left, int) and isinstance(right, int) else float(rest)


def bitwise(compute):
    def operator(left, right):
        left, right = number_of(left), number_of(right)
        if left is None or right is None:
            return None
        return signed(compute(int(left), int(right)))
    return operator


def signed(value):
    """64 bits, read as a signed integer."""
    value &= BITS_64
    return value - (1 << 64) if value >> 63 else value


def shift(value, places):
    """To the left, by a negative number to the right, which keeps the sign."""
    if places >= 64:
        return 0
    if places <= -64:
        return -1 if value < 0 else 0
    return value << places if places >= 0 else value >> -places


def invert(value):
    value = number_of(value)
    return None if value is None else signed(~int(value))


def negate(value):
    value = number_of(value)
    return None if value is None else settled(-value)


FUNCTIONS = {
    "+": arithmetic(lambda left, right: left + right),
    "-": arithmetic(lambda left, right: left - right),
    "*": arithmetic(lambda left, right: left * right),
    "/": arithmetic(divide),
    "%": arithmetic(remainder),
    "&": bitwise(lambda left, right: left & right),
    "|": bitwise(lambda left, right: left | right),
    "<<": bitwise(shift),
    ">>": bitwise(lambda value, places: shift(value, -places)),
    "~": invert,
    "negate": negate,
}
