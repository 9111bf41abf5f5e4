"""File names as an enemy would choose them: which configure git, which are one on another file system, which
no landing may add.

Rule: a name is judged as every file system that somebody may clone to would read it, and is refused or told,
never repaired.
"""

import re
import unicodedata
from collections.abc import Iterable

from mcp_server.core.paths import is_path

PATH_BYTES_MAX = 1024  # a quarter of Linux's PATH_MAX, so that it still fits below any workspace
NAME_BYTES_MAX = 255  # NAME_MAX of nearly every file system: a longer name lands and can never be checked out
# directories above a file; what walks a tree pays for each of them, and a tree can name them without having
# them
DEPTH_MAX = 64

# HFS+ ignores these when it compares names, so `.g\u200cit` opens `.git` there (the list is git's own,
# utf8.c).
HFS_IGNORED = frozenset(
    chr(c) for c in (*range(0x200C, 0x2010), *range(0x202A, 0x202F), *range(0x206A, 0x2070), 0xFEFF)
)
# Begin with `.git` but git itself never reads them: who may write them is a matter of the lease alone.
NOT_READ_BY_GIT = frozenset({".gitkeep", ".github", ".gitlab", ".gitlab-ci.yml"})
# NTFS short names: git~1 = .git, gitmod~1 = .gitmodules, gi7eba~1 = .gitmodules once gitmod~1 to ~4 are
# taken.
NTFS_SHORT_NAME = re.compile(r"gi[a-z0-9]{1,5}~[0-9]+")
# Direction marks make a name read as another one (trojan source); a separator breaks the line that names it.
MISLEADING = frozenset(
    chr(c) for c in (0x200E, 0x200F, 0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
)
OPTION_OR_MAGIC = (
    "-",
    ":",
)  # a shell's `*` would hand `-rf` to a program; to git `:(top)` is a pathspec's magic


def is_git_config(path: str) -> bool:
    """Whether any segment is, or on some file system opens, a file that configures git (`.git*`).

    Case, compatibility forms, characters that HFS+ ignores, NTFS short names, streams and trailing dots are
    seen through.
    """
    return any(_is_git_name(segment) for segment in re.split(r"[/\\]", path))


def is_bad(path: str) -> bool:
    """Whether no landing may add a file of this name: there is a system where it cannot be, or is read as
    something else.
    """
    segments = path.split("/")
    return (
        not is_path(path)
        or not is_clean(path)
        or len(path.encode()) > PATH_BYTES_MAX
        or len(segments) > DEPTH_MAX + 1
        or any(
            len(segment.encode()) > NAME_BYTES_MAX or segment.startswith(OPTION_OR_MAGIC)
            for segment in segments
        )
    )


def is_clean(text: str) -> bool:
    """Whether it is UTF-8 (a surrogate stands for a byte that was not) without control characters, direction
    marks and backslashes.
    """
    return "\\" not in text and not any(
        c in MISLEADING or unicodedata.category(c) in ("Cc", "Cs") for c in text
    )


def printable(name: str) -> str:
    """A name for a person's or an agent's eyes, and for JSON: what cannot be printed is told by its code, a
    lost byte as `\\xff`.
    """
    if name.isprintable():
        return name
    return "".join(c if c.isprintable() else _escaped(c) for c in name)


def collides(paths: Iterable[str]) -> list[tuple[str, str]]:
    """Return the pairs of different names that a case-folding or normalising file system takes for one.

    They are names of files or of directories.
    """
    # (directory, folded name) -> (number, where it is spelled, its end there)
    entries: dict[tuple[int, str], tuple[int, str, int]] = {}
    pairs: set[tuple[str, str]] = set()
    for path in paths:
        directory, begin = 0, 0
        while begin <= len(path):
            end = path.find("/", begin)
            end = len(path) if end < 0 else end
            directory, first, first_end = entries.setdefault(
                (directory, _folded(path[begin:end])), (len(entries) + 1, path, end)
            )
            if first_end != end or not first.startswith(path[:end]):
                pairs.add((min(first[:first_end], path[:end]), max(first[:first_end], path[:end])))
            begin = end + 1
    return sorted(pairs)


def _folded(name: str) -> str:
    """NTFS drops dots and spaces at the end of a name."""
    if name.isascii():
        return name.lower().rstrip(". ")
    visible = "".join(c for c in name if c not in HFS_IGNORED)
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", visible).casefold()).rstrip(". ")


def _is_git_name(segment: str) -> bool:
    if segment in NOT_READ_BY_GIT:
        return False
    visible = "".join(c for c in segment if c not in HFS_IGNORED and unicodedata.category(c) != "Cf")
    folded = unicodedata.normalize("NFKC", visible).casefold()
    name = folded.split(":", 1)[0].rstrip(
        ". "
    )  # NTFS drops trailing dots and spaces, and opens `name:stream`
    return name.startswith(".git") or NTFS_SHORT_NAME.fullmatch(name) is not None


def _escaped(char: str) -> str:
    lost = 0xDC80 <= ord(char) <= 0xDCFF  # how surrogateescape holds a byte
    return f"\\x{ord(char) - 0xDC00:02x}" if lost else char.encode("unicode_escape").decode()
