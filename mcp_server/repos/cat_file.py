"""Single objects as git stores them: type, size and bytes, many by one process.

Rule: an object is named by its full id, or a file by `id:path`; what does not exist is an answer and no
failure.
"""

from collections.abc import Iterable
from typing import NamedTuple

from mcp_server.repos.process import BareGit, full_oid, lines, raw_bytes, text

BATCH_BYTES_MAX = 256 * 1024 * 1024  # of all blobs that are read by one call
HEADS_BYTES_MAX = 32 * 1024 * 1024  # of the blobs whose beginnings are read at once: git tells them whole


class ObjectHead(NamedTuple):
    """What an object is, without its content."""

    oid: str
    kind: str  # "commit", "tree", "blob" or "tag"; "missing" where there is none
    size: int  # in bytes; 0 where it is missing


class CatFile:
    """Git's `cat-file` on one repository."""

    def __init__(self, git: BareGit):
        self._git = git

    def describe(self, oids: Iterable[str]) -> list[ObjectHead]:
        """Return the head of each object, in the order of the full ids."""
        batch = "".join(f"{full_oid(oid)}\n" for oid in oids).encode()
        if not batch:
            return []
        return [_head(line) for line in lines(self._git.run("cat-file", "--batch-check", stdin=batch).out)]

    def blobs(self, names: list[str]) -> list[bytes | None]:
        """Return the content of each blob (an id, or `id:path`), or None where there is no such blob.

        Raise GitOutputTooLarge if they are over BATCH_BYTES_MAX together.
        """
        if not names:
            return []
        raw_names = [raw_bytes(name) for name in names]
        out = self._git.run(
            "cat-file",
            "--batch",
            "-z",
            stdin=b"\0".join(raw_names) + b"\0",
            limit=BATCH_BYTES_MAX,
        ).out
        return _contents(out, raw_names)

    def beginnings(self, oids: Iterable[str], length: int) -> dict[str, bytes]:
        """Return the first bytes of each blob by its id, however large all of them are."""
        found: dict[str, bytes] = {}
        for group in _groups(self.describe(oids)):
            for oid, content in zip(group, self.blobs(group), strict=True):
                if content is not None:
                    found[oid] = content[:length]
        return found

    def links(self, oids: list[str]) -> dict[str, str]:
        """Return the target of each symlink by its id; an id that is no blob is left out."""
        contents = zip(oids, self.blobs(oids), strict=True)
        return {oid: text(content) for oid, content in contents if content is not None}


def _groups(heads: Iterable[ObjectHead]) -> Iterable[list[str]]:
    """Yield the ids in groups of at most HEADS_BYTES_MAX; a larger one is alone."""
    group: list[str] = []
    group_bytes = 0
    for head in heads:
        if group and group_bytes + head.size > HEADS_BYTES_MAX:
            yield group
            group, group_bytes = [], 0
        group.append(head.oid)
        group_bytes += head.size
    if group:
        yield group


def _head(line: str) -> ObjectHead:
    """Read one line of `cat-file --batch-check`: `ID KIND SIZE`, or `ID missing`."""
    oid, kind, *size = line.split(" ")
    return ObjectHead(oid, kind, int(size[0]) if len(size) == 1 else 0)


def _contents(out: bytes, raw_names: list[bytes]) -> list[bytes | None]:
    """Take apart what `cat-file --batch -z` answered to these names."""
    contents: list[bytes | None] = []
    at = 0
    for name in raw_names:
        # The name may hold a newline. An object that exists begins with an id and a space, where this answer
        # has a colon.
        missing = name + b" missing\n"
        if out.startswith(missing, at):
            contents.append(None)
            at += len(missing)
            continue
        head_end = out.index(b"\n", at)
        _oid, kind, size = out[at:head_end].split(b" ")
        begin = head_end + 1
        end = begin + int(size)
        contents.append(out[begin:end] if kind == b"blob" else None)
        at = end + 1
    return contents
