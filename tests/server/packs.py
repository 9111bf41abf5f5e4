"""Packs and pushes made by hand, so that they can hold what no honest git would write. Pure but for `Wire`.

Formats: https://git-scm.com/docs/gitformat-pack and https://git-scm.com/docs/gitprotocol-pack.
"""

import hashlib
import http.client
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

ZERO = "0" * 40
COMMIT, TREE, BLOB, TAG, OFS_DELTA, REF_DELTA = 1, 2, 3, 4, 6, 7
NAMES = {COMMIT: "commit", TREE: "tree", BLOB: "blob", TAG: "tag"}
FILE, EXECUTABLE, LINK, DIRECTORY, GITLINK = b"100644", b"100755", b"120000", b"40000", b"160000"
CAPABILITIES = "report-status side-band-64k"
ANSWER_S = 120.0


@dataclass(frozen=True)
class Object:
    kind: int
    body: bytes

    @property
    def oid(self) -> str:
        return hashlib.sha1(f"{NAMES[self.kind]} {len(self.body)}\0".encode() + self.body).hexdigest()

    def packed(self) -> bytes:
        return entry(self.kind, self.body)


def blob(content: bytes) -> Object:
    return Object(BLOB, content)


def tree(entries: Iterable[tuple[bytes, bytes, str]]) -> Object:
    """Of (mode, name, id) exactly as given, in that order."""
    return Object(
        TREE, b"".join(mode + b" " + name + b"\0" + bytes.fromhex(oid) for mode, name, oid in entries)
    )


def in_gits_order(entries: Iterable[tuple[bytes, bytes, str]]) -> list[tuple[bytes, bytes, str]]:
    return sorted(entries, key=lambda one: one[1] + (b"/" if one[0] == DIRECTORY else b""))


def commit(
    tree: str,
    parents: Sequence[str],
    *,
    person: bytes = b"x <x@example.invalid> 1700000000 +0000",
    words: bytes = b"hostile\n",
) -> Object:
    head = f"tree {tree}\n" + "".join(f"parent {parent}\n" for parent in parents)
    return Object(COMMIT, head.encode() + b"author " + person + b"\ncommitter " + person + b"\n\n" + words)


def entry(kind: int, body: bytes, *, size: int | None = None, base: bytes = b"") -> bytes:
    """One entry of a pack. `size` is what its header says, by default the truth; `base` what a delta is upon."""
    left = len(body) if size is None else size
    first, left = (kind << 4) | (left & 15), left >> 4
    head = bytearray()
    while left:
        head.append(first | 0x80)
        first, left = left & 0x7F, left >> 7
    head.append(first)
    return bytes(head) + base + zlib.compress(body)


def delta(base_bytes: int, result_bytes: int, steps: bytes) -> bytes:
    return _varint(base_bytes) + _varint(result_bytes) + steps


def copy(offset: int, size: int) -> bytes:
    """A delta's step that takes `size` bytes (below 16 MiB) of its base."""
    return bytes([0b1111_1111]) + offset.to_bytes(4, "little") + size.to_bytes(3, "little")


def back(offset: int) -> bytes:
    """How an offset delta names its base: so many bytes before its own begin."""
    out = [offset & 0x7F]
    while offset := offset >> 7:
        offset -= 1
        out.append(0x80 | (offset & 0x7F))
    return bytes(reversed(out))


def _varint(number: int) -> bytes:
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def pack(entries: Iterable[bytes | Object], *, count: int | None = None) -> bytes:
    """A pack of these entries with a true checksum; `count` is what its header says, by default the truth."""
    parts = [one.packed() if isinstance(one, Object) else one for one in entries]
    body = (
        b"PACK"
        + (2).to_bytes(4, "big")
        + (len(parts) if count is None else count).to_bytes(4, "big")
        + b"".join(parts)
    )
    return body + hashlib.sha1(body).digest()


def packet(line: bytes) -> bytes:
    return b"%04x" % (len(line) + 4) + line


def commands(
    updates: Iterable[tuple[str, str, str]], *, capabilities: str = CAPABILITIES, shallow: Sequence[str] = ()
) -> bytes:
    """The command list of (ref, old, new)."""
    lines = [f"shallow {oid}".encode() for oid in shallow]
    lines += [
        f"{old} {new} {ref}".encode() + (f"\0 {capabilities}".encode() if n == 0 else b"")
        for n, (ref, old, new) in enumerate(updates)
    ]
    return b"".join(packet(line) for line in lines) + b"0000"


@dataclass(frozen=True)
class Wire:
    """One agent's way to push by hand."""

    port: int
    token: str
    repo: str = "toy"

    def post(
        self,
        body: bytes | Iterable[bytes],
        service: str = "git-receive-pack",
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, bytes]:
        """Status and what could be read of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_S)
        try:
            connection.request(
                "POST",
                f"/git/{self.repo}.git/{service}",
                body,
                {"Authorization": f"Bearer {self.token}"} | dict(headers or {}),
            )
            answer = connection.getresponse()
            try:
                return answer.status, answer.read()
            except http.client.IncompleteRead as cut:
                return answer.status, cut.partial
        except (ConnectionError, http.client.HTTPException):  # hung up on before all was said
            return 0, b""
        finally:
            connection.close()

    def push(self, ref: str, new: str, packed: bytes, *, old: str = ZERO) -> tuple[int, bytes]:
        return self.post(commands([(ref, old, new)]) + packed)


def took(answer: tuple[int, bytes], ref: str) -> bool:
    """Whether the server says that it has moved the ref."""
    return answer[0] == 200 and f"ok {ref}\n".encode() in answer[1]
