"""Line ends of a patch and of the files that it changes: a patch that was written with others means the same.

Rule: only the lines of hunks change, and only of files whose lines all end alike; of a file with both kinds
the patch needs the lines as they stand.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from mcp_server.core.unified_diff import DEV_NULL, FileDiff, UnifiedDiff

LF, CRLF = "", "\r"  # what stands before the newline
CHANGED_KINDS = (" ", "+", "-")


@dataclass(frozen=True)
class Fitted:
    """A diff with the line ends of the files that it changes, and the files for which that cannot be done."""

    diff: UnifiedDiff
    mixed: tuple[str, ...]


def fit(diff: UnifiedDiff, strip: int, content_of: Callable[[str], bytes | None]) -> Fitted:
    """Return the diff with its hunks in the line ends of the files that they change.

    `strip` is how many leading components of its paths are prefixes; `content_of` returns a file as it is
    before the patch, None if there is none.
    """
    lines, mixed = list(diff.lines), []
    for file in diff.files:
        path = _old_path(file, strip)
        content = content_of(path) if path is not None else None
        if path is None or not content:
            continue
        end = _uniform_end(content)
        if end is None:
            mixed.append(path)
            continue
        for hunk in file.hunks:
            for at in range(hunk.begin, hunk.end):
                if lines[at].startswith(CHANGED_KINDS):
                    lines[at] = lines[at].removesuffix(CRLF) + end
    return Fitted(replace(diff, lines=tuple(lines)), tuple(mixed))


def _old_path(file: FileDiff, strip: int) -> str | None:
    """Return the path that the file had before, or None if there was none."""
    if file.moved is not None:
        return file.moved[0]
    if file.sides is None or file.sides[0] == DEV_NULL:
        return None
    return file.sides[0].split("/", strip)[-1]


def _uniform_end(content: bytes) -> str | None:
    """Return how all lines end, or None if some end otherwise than others."""
    newlines, crlfs = content.count(b"\n"), content.count(b"\r\n")
    if crlfs == 0:
        return LF
    return CRLF if crlfs == newlines else None
