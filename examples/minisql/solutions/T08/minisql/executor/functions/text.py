"""Functions of text. Owns how a value becomes text; NULL makes NULL unless said otherwise."""
from minisql.shell import render

BLANK = " "


def text(value):
    """A value as text, as it would be printed."""
    return value if isinstance(value, str) else render(value)


def of_text(compute):
    """A function of texts that is NULL if any argument is."""
    def function(*values):
        return None if None in values else compute(*[text(value) for value in values])
    return function


def length(value):
    """Characters of text, bytes of a blob."""
    return None if value is None else len(value) if isinstance(value, bytes) else len(text(value))


def ascii_upper(value):
    """Only ASCII letters change."""
    return "".join([letter.upper() if "a" <= letter <= "z" else letter for letter in value])


def ascii_lower(value):
    return "".join([letter.lower() if "A" <= letter <= "Z" else letter for letter in value])


def substr(value, start, count=None):
    """From the 1-based start, a negative one counts from the end; a negative count takes what stands before."""
    if value is None or start is None:
        return None
    whole = value if isinstance(value, bytes) else text(value)
    size = len(whole)
    begin = start - 1 if start > 0 else size + start if start < 0 else -1
    end = size if count is None else begin + count
    if count is not None and count < 0:
        begin, end = end, begin
    return whole[max(begin, 0):max(end, 0)]


def replace(value, old, new):
    return value.replace(old, new) if old else value


def char(*codes):
    return "".join([chr(code) for code in codes if code is not None])


def unicode(value):
    return None if value is None or text(value) == "" else ord(text(value)[0])


def hexadecimal(value):
    """Of the bytes; NULL has none."""
    if value is None:
        return ""
    return (value if isinstance(value, bytes) else text(value).encode()).hex().upper()


def quote(value):
    """The value as an SQL literal."""
    if value is None:
        return "NULL"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return "X'" + hexadecimal(value) + "'" if isinstance(value, bytes) else render(value)


FUNCTIONS = {
    "||": of_text(lambda left, right: left + right),
    "length": length,
    "upper": of_text(ascii_upper),
    "lower": of_text(ascii_lower),
    "substr": substr,
    "substring": substr,
    "trim": of_text(lambda value, letters=BLANK: value.strip(letters)),
    "ltrim": of_text(lambda value, letters=BLANK: value.lstrip(letters)),
    "rtrim": of_text(lambda value, letters=BLANK: value.rstrip(letters)),
    "replace": of_text(replace),
    "instr": of_text(lambda value, part: value.find(part) + 1),
    "hex": hexadecimal,
    "char": char,
    "unicode": unicode,
    "quote": quote,
}
