"""Rounding, roots and powers. NULL makes NULL, and so does a result that is no number."""
import math

from minisql.executor.convert import is_number, number_of

DIGITS_MAX = 30


def round_to(value, digits=0):
    """Half away from zero, always a real; negative digits count as none."""
    if value is None or digits is None:
        return None
    value, digits = float(number_of(value)), min(max(int(number_of(digits)), 0), DIGITS_MAX)
    if abs(value) >= 1 << 52:
        return value
    if digits == 0:
        return float(int(value + (0.5 if value >= 0 else -0.5)))
    return float("%.*f" % (digits, math.nextafter(value, math.copysign(math.inf, value))))


def whole(compute):
    """A function that keeps integers as they are, and of a real makes a whole real."""
    def function(value):
        number = numeric(value)
        return number if number is None or isinstance(number, int) else float(compute(number))
    return function


def numeric(value):
    """The number in a value; NULL for text that is none."""
    if value is None or isinstance(value, bytes) or isinstance(value, str) and not is_number(value):
        return None
    return number_of(value)


def real(compute):
    """A function of reals; NULL where it has no value."""
    def function(*values):
        numbers = [numeric(value) for value in values]
        if None in numbers:
            return None
        try:
            return float(compute(*[float(number) for number in numbers]))
        except (ValueError, ZeroDivisionError):
            return None
    return function


FUNCTIONS = {
    "round": round_to,
    "floor": whole(math.floor),
    "ceil": whole(math.ceil),
    "ceiling": whole(math.ceil),
    "trunc": whole(math.trunc),
    "sqrt": real(math.sqrt),
    "pow": real(math.pow),
    "power": real(math.pow),
    "mod": real(math.fmod),
}
