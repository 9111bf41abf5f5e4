"""Digits to numbers. Owns the rule that an integer has 64 bits and that anything larger is a real."""

INTEGER_MIN = -(1 << 63)
INTEGER_MAX = (1 << 63) - 1


def fits(value):
    """Whether an integer fits into 64 bits."""
    return INTEGER_MIN <= value <= INTEGER_MAX


def number(digits):
    """The value of decimal digits with at most one point."""
    if "." in digits:
        return float(digits)
    value = int(digits)
    return value if fits(value) else float(value)
