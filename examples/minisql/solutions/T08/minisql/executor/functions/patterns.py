"""LIKE and GLOB, as the calls like(pattern, text, escape?) and glob(pattern, text)."""
from minisql.executor.functions.text import ascii_lower, text

ANY, ONE = object(), object()


def like(pattern, value, escape=None):
    """% is any run of characters, _ one; ASCII letters match in either case."""
    if pattern is None or value is None:
        return None
    return 1 if matches(like_parts(ascii_lower(text(pattern)), escape), ascii_lower(text(value))) else 0


def like_parts(pattern, escape):
    parts, place = [], 0
    while place < len(pattern):
        letter = pattern[place]
        if letter == escape and place + 1 < len(pattern):
            place += 1
            parts.append(pattern[place])
        else:
            parts.append({"%": ANY, "_": ONE}.get(letter, letter))
        place += 1
    return parts


def glob(pattern, value):
    """* is any run of characters, ? one, [a-z] and [^a-z] one of a set; case matters."""
    if pattern is None or value is None:
        return None
    return 1 if matches(glob_parts(text(pattern)), text(value)) else 0


def glob_parts(pattern):
    parts, place = [], 0
    while place < len(pattern):
        end = pattern.find("]", place + 2) if pattern[place] == "[" else -1
        if end > 0:
            parts.append(letters(pattern[place + 1:end]))
            place = end
        else:
            parts.append({"*": ANY, "?": ONE}.get(pattern[place], pattern[place]))
        place += 1
    return parts


def letters(inside):
    """(whether the letter must be among them, the ranges)"""
    wanted = not inside.startswith("^")
    inside = inside if wanted else inside[1:]
    ranges, place = [], 0
    while place < len(inside):
        width = 3 if inside[place + 1:place + 2] == "-" and place + 2 < len(inside) else 1
        ranges.append((inside[place], inside[place + width - 1]))
        place += width
    return wanted, ranges


def matches(parts, value):
    if not parts:
        return value == ""
    first, rest = parts[0], parts[1:]
    if first is ANY:
        return any(matches(rest, value[start:]) for start in range(len(value) + 1))
    return value != "" and fits(first, value[0]) and matches(rest, value[1:])


def fits(part, letter):
    if part is ONE:
        return True
    if isinstance(part, tuple):
        wanted, ranges = part
        return wanted == any(low <= letter <= high for low, high in ranges)
    return part == letter


FUNCTIONS = {"like": like, "glob": glob}
