"""Owns two outputs next to each other: the lines around the first one that differs, yours | expected, `!`
before what differs.
"""

from collections.abc import Sequence
from itertools import zip_longest

CELL_CHARS_MAX = 48  # two of them and the bar fit on a wide line
BEFORE = 2  # lines alike that are shown before the first difference
LINES_MAX = 14
NO_LINE = "(no line)"
CUT = "…"


def text(
    ours: str,
    theirs: str,
    *,
    titles: tuple[str, str] = ("yours", "expected"),
    lines: int = LINES_MAX,
    from_line: int = 1,
) -> str:
    """Return at most `lines` lines of both outputs, and words on what is left out.

    `from_line` is the number of their first line.
    """
    rows = list(zip_longest(_split(ours), _split(theirs)))
    first = next((at for at, (a, b) in enumerate(rows) if a != b), 0)
    start = max(0, first - BEFORE)
    visible = rows[start : start + lines]
    cells = [titles, *(_cells(a, b) for a, b in visible)]
    width = max(len(a) for a, _ in cells)
    marks = [" ", *("!" if a != b else " " for a, b in visible)]
    lines_out = [f"{mark} {a:<{width}} | {b}".rstrip() for mark, (a, b) in zip(marks, cells, strict=True)]
    if (line := start + from_line) > 1:
        lines_out.insert(1, f"  (from line {line})")
    if left := len(rows) - start - len(visible):
        lines_out.append(f"  ({left} more lines)")
    return "\n".join(lines_out)


def _split(output: str) -> Sequence[str]:
    """Return the lines; an end without a line end is told, since it makes a difference."""
    lines = output.split("\n")
    if not lines[-1]:
        return lines[:-1]
    lines[-1] += "\\ no line end"
    return lines


def _cells(ours: str | None, theirs: str | None) -> tuple[str, str]:
    """Return both cut to the same stretch, so that what differs stands one beside the other."""
    a, b = (NO_LINE if line is None else _printable(line) for line in (ours, theirs))
    apart = next((at for at, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    start = max(0, apart - CELL_CHARS_MAX // 3) if max(len(a), len(b)) > CELL_CHARS_MAX else 0
    return _cut(a, start), _cut(b, start)


def _cut(line: str, start: int) -> str:
    end = start + CELL_CHARS_MAX
    return (CUT if start else "") + line[start:end] + (CUT if len(line) > end else "")


def _printable(line: str) -> str:
    """Return the line with white space at its end as dots, since nobody would see it, and with control
    characters as Python writes them.
    """
    bare = line.rstrip(" ")
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in bare) + "·" * (
        len(line) - len(bare)
    )
