"""What a unified diff says before it is applied: which files it names, with which prefixes, and where its
hunks are.

Rule: a path is never guessed. What the diff's own headers leave open is told as `Unclear`, with the line.
"""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

DEV_NULL = "/dev/null"
# What git puts before the two paths: by default, with diff.mnemonicPrefix, and with it and --no-index.
PREFIX_PAIRS = frozenset({("a", "b"), ("i", "w"), ("c", "i"), ("c", "w"), ("o", "w"), ("1", "2")})
PREFIXES = frozenset(prefix for pair in PREFIX_PAIRS for prefix in pair)
GIT_HEADER = "diff --git "
SIGNATURE = "-- "  # ends a mail that git wrote
HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+\d+(?:,(\d+))? @@")
ESCAPE = re.compile(rb'\\([abfnrtv"\\]|[0-3][0-7]{2})')
ESCAPED = dict(zip(b'abfnrtv"\\', b'\a\b\f\n\r\t\v"\\', strict=True))
HEADER_CHARACTERS = 200

Pair = tuple[str, str]


@dataclass(frozen=True)
class Hunk:
    """`first` is the line of the old file that the hunk begins at, by its head; its body are the lines of the
    diff from `begin` to before `end`.
    """

    first: int
    begin: int
    end: int


@dataclass
class FileDiff:
    """What a diff says of one file. A pair is (old, new), with the prefixes as they stand there.

    `names` are those of the `diff --git` line, where that can be read; `sides` those of `---` and `+++`;
    `moved` those of a rename or a copy, which have no prefixes.
    """

    header: int  # the index of the line that it begins with
    git: bool
    names: Pair | None = None
    old: str | None = None
    new: str | None = None
    moved_from: str | None = None
    moved_to: str | None = None
    hunks: list[Hunk] = field(default_factory=list)

    @property
    def sides(self) -> Pair | None:
        return None if self.old is None or self.new is None else (self.old, self.new)

    @property
    def moved(self) -> Pair | None:
        return None if self.moved_from is None or self.moved_to is None else (self.moved_from, self.moved_to)


@dataclass(frozen=True)
class UnifiedDiff:
    """A diff's lines, without their ends, and the files that they are about."""

    lines: tuple[str, ...]
    files: tuple[FileDiff, ...]

    def text(self) -> str:
        return "".join(f"{line}\n" for line in self.lines)


@dataclass(frozen=True)
class Unclear:
    """Why a diff does not tell which file it means: `line` counts from 1, `header` is what stands there."""

    line: int
    header: str
    reason: str


def read(text: str) -> UnifiedDiff:
    """Return the diff in a text. A header that ends in CRLF is read, and kept, as if it ended in LF."""
    reader = _Reader(text.removesuffix("\n").split("\n"))
    reader.read()
    return UnifiedDiff(tuple(reader.lines), tuple(reader.files))


def components_to_strip(diff: UnifiedDiff, base_paths: Callable[[], Collection[str]]) -> int | Unclear:
    """Return how many leading components of the paths are prefixes, 1 or 0, or which header leaves it open.

    `base_paths` returns the files that there are; it is asked where both readings make sense.
    """
    first: tuple[FileDiff, int] | None = None
    for file in diff.files:
        strip = _strip_of(file, base_paths)
        if isinstance(strip, str):
            return _unclear(diff, file, strip)
        if first is not None and first[1] != strip:
            kind = "prefixes before its paths" if strip else "no prefix before its path"
            other = _shortened(diff.lines[first[0].header])
            return _unclear(diff, file, f"it has {kind}, other than line {first[0].header + 1}, {other}")
        first = first or (file, strip)
    return 1 if first is None else first[1]


def _unclear(diff: UnifiedDiff, file: FileDiff, reason: str) -> Unclear:
    return Unclear(file.header + 1, _shortened(diff.lines[file.header]), reason)


def _shortened(line: str) -> str:
    return line[:HEADER_CHARACTERS]


# -- prefixes


def _strip_of(file: FileDiff, base_paths: Callable[[], Collection[str]]) -> int | str:
    """Return how many components are a prefix in one file's header, or why that is open."""
    pair = file.names or file.sides
    if pair is None:
        return "its two paths are not the same file, with or without the prefixes a/ and b/"
    sides = file.sides
    if file.names is not None and sides is not None and not _agree(file.names, sides):
        return "the lines --- and +++ below it name other paths"
    if DEV_NULL in pair:
        return _strip_of_one(pair[0] if pair[1] == DEV_NULL else pair[1], base_paths)
    if file.moved is not None:
        return _strip_of_moved(pair, file.moved)
    if pair[0] == pair[1]:
        return _strip_of_same(pair[0], base_paths)
    if _has_prefixes(pair):
        return _strip_of_prefixed(file, pair, base_paths)
    if not file.git and (pair[0].startswith(pair[1]) or pair[1].startswith(pair[0])):
        return _strip_of_same(min(pair, key=len), base_paths)
    return f"the prefixes of {_shortened(pair[0])} and {_shortened(pair[1])} are none that git has by itself"


def _agree(names: Pair, sides: Pair) -> bool:
    return all(side in (name, DEV_NULL) for name, side in zip(names, sides, strict=True))


def _has_prefixes(pair: Pair) -> bool:
    """Return True if both begin with a prefix, of a pair that git has. A reversed diff has them the other way
    round.
    """
    if "/" not in pair[0] or "/" not in pair[1]:
        return False
    found = (_first(pair[0]), _first(pair[1]))
    return found in PREFIX_PAIRS or found[::-1] in PREFIX_PAIRS


def _strip_of_one(path: str, base_paths: Callable[[], Collection[str]]) -> int | str:
    """Judge a new or a deleted file of which there is one path."""
    prefix = _first(path)
    if prefix not in PREFIXES or "/" not in path:
        return 0
    if any(known.startswith(f"{prefix}/") for known in base_paths()):
        return f"{prefix}/ may be a prefix or the directory of that name"
    return 1


def _strip_of_moved(pair: Pair, moved: Pair) -> int | str:
    if pair == moved:
        return 0
    if _has_prefixes(pair) and (_rest(pair[0]), _rest(pair[1])) == moved:
        return 1
    return "the lines of its rename or copy name other paths"


def _strip_of_same(path: str, base_paths: Callable[[], Collection[str]]) -> int | str:
    """Judge a file whose path is the same on both sides, which no prefix of git's leaves it."""
    prefix = _first(path)
    if prefix not in PREFIXES or "/" not in path:
        return 0
    known = base_paths()
    if path in known and _rest(path) not in known:
        return 0
    return f"{prefix}/ may be a prefix or the directory of that name, since it is the same on both sides"


def _strip_of_prefixed(file: FileDiff, pair: Pair, base_paths: Callable[[], Collection[str]]) -> int | str:
    """Judge two paths with prefixes. Git names a rename, so after its header they can be nothing else."""
    if not file.git:
        known = base_paths()
        if _rest(pair[1]) in known and (pair[0] in known or pair[1] in known):
            return f"there are both {_rest(pair[1])} and a file of that name below {_first(pair[1])}/"
    return 1


def _first(path: str) -> str:
    return path.partition("/")[0]


def _rest(path: str) -> str:
    return path.partition("/")[2]


# -- reading


class _Reader:
    """Reads a diff as git does: a hunk has the lines that its head counts, and more where that is wrong."""

    def __init__(self, lines: list[str]):
        self.lines = lines
        self.files: list[FileDiff] = []
        self._at = 0

    def read(self) -> None:
        while self._at < len(self.lines):
            line = self.lines[self._at] = self.lines[self._at].removesuffix("\r")
            if line.startswith(GIT_HEADER):
                self._add(FileDiff(self._at, git=True))
            elif self.files and (head := HUNK.match(line)):
                self._read_hunk(head)
                continue
            elif self._is_header() and not self._in_git_header():
                self._add(FileDiff(self._at, git=False))
                self._read_header_line(line)
            elif self.files and not self.files[-1].hunks:
                self._read_header_line(line)
            self._at += 1
        self._end_header()

    def _add(self, file: FileDiff) -> None:
        self._end_header()
        self.files.append(file)

    def _in_git_header(self) -> bool:
        return bool(self.files) and self.files[-1].git and not self.files[-1].hunks and not self.files[-1].old

    def _read_header_line(self, line: str) -> None:
        file = self.files[-1]
        if line.startswith("--- ") and file.old is None:
            file.old = _name(line[4:])
        elif line.startswith("+++ ") and file.new is None:
            file.new = _name(line[4:])
        elif line.startswith(("rename from ", "copy from ")):
            file.moved_from = _name(line.partition(" from ")[2])
        elif line.startswith(("rename to ", "copy to ")):
            file.moved_to = _name(line.partition(" to ")[2])

    def _end_header(self) -> None:
        """Read the first line of a git header, now that the lines below it are known."""
        if self.files and self.files[-1].git:
            file = self.files[-1]
            file.names = _two_names(self.lines[file.header][len(GIT_HEADER) :], file.moved)

    def _is_header(self) -> bool:
        """Return True if the three lines that begin a file without a header of git's are here."""
        starts = ("--- ", "+++ ", "@@ -")
        here = self.lines[self._at : self._at + 3]
        return len(here) == 3 and all(line.startswith(s) for line, s in zip(here, starts, strict=True))

    def _read_hunk(self, head: re.Match[str]) -> None:
        old, new = (1 if count is None else int(count) for count in head.group(2, 3))
        self._at += 1
        begin = self._at
        while self._at < len(self.lines):
            line = self.lines[self._at]
            kind = line_kind(line)
            if kind not in (" ", "+", "-", "\\"):
                break
            if old <= 0 and new <= 0 and kind != "\\" and self._ends_hunk(line):
                break
            if kind == "\\":
                self.lines[self._at] = line.removesuffix("\r")
            old -= kind in (" ", "-")
            new -= kind in (" ", "+")
            self._at += 1
        self.files[-1].hunks.append(Hunk(int(head[1]), begin, self._at))

    def _ends_hunk(self, line: str) -> bool:
        return line.removesuffix("\r") in ("", SIGNATURE) or self._is_header()


def line_kind(line: str) -> str:
    """Return what the line is in a hunk, by its first character; a blank line of context may have lost it."""
    return line[0] if line not in ("", "\r") else " "


def _name(raw: str) -> str:
    """Return the path at the beginning of `raw`, which may be quoted, or be followed by a tab and a time."""
    if raw.startswith('"'):
        end = _quote_end(raw)
        return _unquoted(raw[1:end]) if end else raw
    return raw.partition("\t")[0]


def _two_names(raw: str, moved: Pair | None) -> Pair | None:
    """Return the two paths of a `diff --git` line, or None if it cannot be told where the first one ends."""
    if raw.startswith('"'):
        end = _quote_end(raw)
        if not end or not raw.startswith(" ", end + 1):
            return None
        return _name(raw[: end + 1]), _name(raw[end + 2 :])
    if raw.endswith('"'):
        first, _, second = raw.partition(' "')
        return first, _name(f'"{second}')
    return _halves(raw) if moved is None else _of_moved(raw, moved)


def _halves(raw: str) -> Pair | None:
    """Return the two halves of `raw` if they are the same path, as it is or with prefixes."""
    middle = len(raw) // 2
    first, second = raw[:middle], raw[middle + 1 :]
    is_same = first == second or (_has_prefixes((first, second)) and _rest(first) == _rest(second))
    return (first, second) if is_same and raw[middle : middle + 1] == " " else None


def _of_moved(raw: str, moved: Pair) -> Pair | None:
    """Return the two paths in `raw` where it is known what they are without prefixes."""
    if raw == " ".join(moved):
        return moved
    end = len("a/") + len(moved[0])
    pair = (raw[:end], raw[end + 1 :])
    return pair if raw[end : end + 1] == " " and (_rest(pair[0]), _rest(pair[1])) == moved else None


def _quote_end(raw: str) -> int:
    """Return where the quotation that `raw` begins with ends, or 0 if it does not."""
    end = re.compile(r'(?:[^"\\]|\\.)*"').match(raw, 1)
    return end.end() - 1 if end else 0


def _unquoted(quoted: str) -> str:
    """Return what git quoted as in C; a byte that is not UTF-8 becomes a surrogate."""

    def char(escape: re.Match[bytes]) -> bytes:
        code = escape[1]
        return bytes([ESCAPED[code[0]] if len(code) == 1 else int(code, 8)])

    return ESCAPE.sub(char, quoted.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")
