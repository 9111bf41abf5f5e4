"""Tokens that begin with a quote, a point, x' or /*, and numbers with an exponent or in hexadecimal."""
from minisql import SqlError
from minisql.parser.numbers import hexadecimal, number

CLOSING = {"'": "'", '"': '"', "`": "`", "[": "]"}
HEX_DIGITS = "0123456789abcdefABCDEF"


def read(text, start):
    """(token, end) of the literal that starts here; the token of a comment is None."""
    if text.startswith("/*", start):
        end = text.find("*/", start + 2)
        return None, len(text) if end < 0 else end + 2
    first = text[start]
    if first in CLOSING:
        value, end = quoted(text, start, CLOSING[first])
        return ("value" if first == "'" else "name", value, ""), end
    if first in "xX":
        value, end = quoted(text, start + 1, "'")
        return ("value", blob(value), ""), end
    if text[start:start + 2] in ("0x", "0X"):
        end = run(text, start + 2, HEX_DIGITS)
        return ("value", hexadecimal(text[start + 2:end]), ""), end
    end = exponent(text, start)
    return ("value", number(text[start:end]), ""), end


def quoted(text, start, closing):
    """(what stands between the quotes, end); a doubled quote stands for one."""
    parts, begin = [], start + 1
    while True:
        end = text.find(closing, begin)
        if end < 0:
            raise SqlError("unrecognized token: " + text[start:])
        parts.append(text[begin:end])
        if closing == "]" or text[end + 1:end + 2] != closing:
            return closing.join(parts), end + 1
        begin = end + 2


def blob(digits):
    try:
        return bytes.fromhex(digits)
    except ValueError:
        raise SqlError("unrecognized token: x'" + digits) from None


def exponent(text, start):
    """The end of a number: digits, a point, digits, and perhaps an exponent."""
    end = run(text, start, "0123456789")
    if text[end:end + 1] == ".":
        end = run(text, end + 1, "0123456789")
    if text[end:end + 1] in ("e", "E"):
        digits = end + 2 if text[end + 1:end + 2] in ("+", "-") else end + 1
        last = run(text, digits, "0123456789")
        if last > digits:
            end = last
    if text[end:end + 1].isalpha() or text[end:end + 1] == "_":
        raise SqlError("unrecognized token: " + text[start:end + 1])
    return end


def run(text, start, allowed):
    while start < len(text) and text[start] in allowed:
        start += 1
    return start
