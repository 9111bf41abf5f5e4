"""Owns what is quoted of a command's output: its first error and its last lines.

Rule: what is quoted is printable and bounded, whatever a command printed. Held-out inputs are none of it:
only builds and test commands are quoted, and neither is given one.
"""

import re
import unicodedata
from collections.abc import Sequence

QUOTED_CHARS_MAX = 600
LINE_CHARS_MAX = 200
ERROR_LINES = 2  # a compiler shows the place below its error
LAST_LINES = 4
LOG_CHARS_MAX = 32_000  # of the output that people can open, beginning and end
LOG_BEGINS = 8_000
CUT = "\n... ({:,} characters are left out) ...\n"
GAP = "..."

# What colours and links do to a terminal: CSI and OSC sequences, and other escapes of two characters.
ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])")
INVISIBLE = ("Cc", "Cf", "Cs")  # control characters, directions of text, halves of characters
# From what is surely an error to what is likely one: the first line of the surest kind is quoted.
ERRORS = (
    re.compile(r"\b[Nn]o module named\b|[Cc]annot find (?:module|package)\b|unresolved (?:import|module)\b"),
    re.compile(r"^\s*(?:fatal )?error(?:\[\w+\])?:|:\d+(?::\d+)?: (?:fatal )?error\b|^\S+\.\w+:\d+:\d+: \S"),
    re.compile(r"\b[A-Z]\w*(?:Error|Exception)\b(?::|$)|^panic:|\bSyntaxError\b"),
    re.compile(r"(?:command )?not found\b|[Nn]o such file or directory|[Pp]ermission denied"),
    re.compile(r"^\s*(?:error|fatal|panic|undefined|cannot|could not)\b|\*\*\* .*Error", re.IGNORECASE),
)


def excerpt(output: str, error: str = "", *, chars: int = QUOTED_CHARS_MAX) -> str:
    """Return the first error and the last lines of what a command printed, in at most `chars` characters; ""
    where it printed nothing.
    """
    lines = printable(f"{output}\n{error}").split("\n")
    lines = [line.rstrip()[:LINE_CHARS_MAX] for line in lines if line.strip()]
    at = _first_error(lines)
    last_at = max(0, len(lines) - LAST_LINES)
    last = "\n".join(lines[last_at:])
    if at is None or at >= last_at:
        return last if len(last) <= chars else _end(last, chars)
    first = "\n".join(lines[at : min(at + ERROR_LINES, last_at)])[:chars]
    gap = f"\n{GAP}\n" if at + ERROR_LINES < last_at else "\n"
    room = chars - len(first) - len(gap)
    return f"{first}{gap}{_end(last, room)}" if room > len(GAP) else first


def as_words(output: str, error: str = "", *, chars: int = QUOTED_CHARS_MAX) -> str:
    """Return the excerpt as the end of a sentence; "" where nothing was printed."""
    quoted = excerpt(output, error, chars=chars)
    return f":\n{quoted}" if quoted else ""


def log(*parts: str) -> str:
    """Return the whole output for people to open, without its middle where it is too long."""
    text = printable("\n".join(part.rstrip("\n") for part in parts if part.strip()))
    if len(text) <= LOG_CHARS_MAX:
        return text
    left_out = CUT.format(len(text) - LOG_CHARS_MAX)
    return text[:LOG_BEGINS] + left_out + text[len(text) - (LOG_CHARS_MAX - LOG_BEGINS) :]


def printable(text: str) -> str:
    """Return the text without what would colour, move or reorder it on a terminal."""
    text = ESCAPES.sub("", text).replace("\r\n", "\n").replace("\r", "\n")
    return "".join(sign for sign in text if sign in "\n\t" or unicodedata.category(sign) not in INVISIBLE)


def _first_error(lines: Sequence[str]) -> int | None:
    for kind in ERRORS:
        for at, line in enumerate(lines):
            if kind.search(line):
                return at
    return None


def _end(text: str, chars: int) -> str:
    return text if len(text) <= chars else GAP + text[len(text) - (chars - len(GAP)) :]
