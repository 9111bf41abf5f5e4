"""Where in a TOML text each key stands: the standard parser keeps no positions, so this scan does.

Rule: it is only given text that `tomllib` has accepted, and so needs to tell statements apart, not to judge
them.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

Keys = tuple[str, ...]
KEY_PART = re.compile(r"""\s*(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|([A-Za-z0-9_-]+))\s*(\.?)""")
# A string in any of the four forms, or a comment: what must be stepped over when looking for the end of a
# value.
OPAQUE = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'|#[^\n]*', re.S
)


@dataclass
class Positions:
    """Key paths to the lines of their statements, 1-based and inclusive."""

    lines: list[str]
    spans: dict[Keys, tuple[int, int]] = field(default_factory=dict)

    def add(self, keys: Keys, first: int, last: int) -> None:
        for length in range(1, len(keys)):
            self.spans.setdefault(keys[:length], (first, first))
        self.spans.setdefault(keys, (first, last))

    def line(self, keys: Keys, value: object = None) -> int:
        """The line of a key or else of the table it would be in; of `value` if its statement spans several
        lines.
        """
        while keys and keys not in self.spans:
            keys, value = keys[:-1], None
        first, last = self.spans.get(keys, (1, 1))
        if isinstance(value, str):
            return next((n for n in range(first, last + 1) if value in self.lines[n - 1]), first)
        return first


def scan(text: str) -> Positions:
    text = text.replace("\r\n", "\n")
    positions = Positions(text.split("\n"))
    table: Keys = ()
    for first, statement in _statements(text):
        last = first + statement.count("\n")
        if statement.startswith("["):
            table = _keys(statement.lstrip("["))
            positions.add(table, first, last)
        else:
            positions.add(table + _keys(statement), first, last)
    return positions


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Each header or assignment with its first line: it ends at a line end outside strings and brackets."""
    start = at = depth = 0
    while at <= len(text):
        char = text[at : at + 1]
        if char in ("\n", "") and (depth == 0 or not char):
            statement = text[start:at].strip()
            if statement and not statement.startswith("#"):
                lead = len(text[start:at]) - len(text[start:at].lstrip())
                yield text.count("\n", 0, start + lead) + 1, statement
            start = at + 1
        elif char in ('"', "'", "#"):
            opaque = OPAQUE.match(text, at)
            at = opaque.end() if opaque else at + 1
            continue
        depth += (char in "[{") - (char in "]}") if char else 0
        at += 1


def _keys(text: str) -> Keys:
    keys, at = [], 0
    while part := KEY_PART.match(text, at):
        keys.append(next(group for group in part.groups()[:3] if group is not None))
        at = part.end()
        if not part[4]:
            break
    return tuple(keys)
