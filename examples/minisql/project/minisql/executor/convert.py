"""Text to numbers as SQL does it: by the longest prefix that is a number. Owns the numeric value of any value."""


def number_of(value):
    """The number a value counts as in arithmetic: '12abc' is 12, 'abc' is 0; NULL stays NULL."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if not isinstance(value, str):
        return value
    prefix = numeric_prefix(value.strip())
    if not prefix.strip("+-."):
        return 0
    return float(prefix) if any(mark in prefix for mark in ".eE") else int(prefix)


def numeric_prefix(text):
    end, seen_point = 0, False
    if text[:1] in ("+", "-"):
        end = 1
    while end < len(text) and (text[end].isdigit() or text[end] == "." and not seen_point):
        seen_point = seen_point or text[end] == "."
        end += 1
    digits = end
    if text[digits:digits + 1] in ("e", "E") and any(mark.isdigit() for mark in text[:digits]):
        end = digits + 1
        if text[end:end + 1] in ("+", "-"):
            end += 1
        first = end
        while end < len(text) and text[end].isdigit():
            end += 1
        if end > first:
            return text[:end]
    return text[:digits]


def is_number(text):
    """Whether all of a text is one number."""
    stripped = text.strip()
    return bool(stripped.strip("+-.")) and numeric_prefix(stripped) == stripped
