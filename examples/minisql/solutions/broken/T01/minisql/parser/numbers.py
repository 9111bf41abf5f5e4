"""Digits to numbers. Owns the rule that an integer has 64 bits and that anything larger is a real."""

INTEGER_MIN = -(1 << 63)
INTEGER_MAX = (1 << 63) - 1


def in_64_bits(value):
    """Whether an integer fits into 64 bits."""
    return INTEGER_MIN <= value <= INTEGER_MAX


def number(digits):
    """The value of decimal digits with at most one point, and perhaps an exponent."""
    if "." in digits or "e" in digits or "E" in digits:
        return float(digits)
    value = int(digits)
    return value if in_64_bits(value) else float(value)


def hexadecimal(digits):
    """The value of hexadecimal digits, in two's complement: 0xFFFFFFFFFFFFFFFF is -1."""
    value = int(digits, 16)
    return value if in_64_bits(value) else value - (1 << 64)
