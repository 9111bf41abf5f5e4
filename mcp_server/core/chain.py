"""The audit log's hash chain: canonical bytes, the hash of an entry, checkpoints, and the search for
tampering.

Rule: entries are numbered 1, 2, 3, ...; the hash of each covers the hash before it, so a signed hash at N
fixes 1 to N. Signing, and checking a signature, is the caller's: this module reads no key.
"""

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

GENESIS = "0" * 64  # the hash before entry 1
DOMAIN = (  # keeps these hashes apart from any other use of SHA-256 over the same bytes
    b"harness audit entry v1"
)
HASH_HEX = re.compile(r"[0-9a-f]{64}")
DECIMAL = re.compile(r"0|[1-9][0-9]{0,17}", re.ASCII)


@dataclass(frozen=True)
class ChainEntry:
    seq: int
    body: Any
    hash: str


@dataclass(frozen=True)
class Checkpoint:
    """`root` is the hash of entry `size` (GENESIS for an empty log)."""

    origin: str
    size: int
    root: str


def canonical(value: Any) -> bytes:
    """One spelling for one JSON value: sorted keys, no spaces, UTF-8. Raises ValueError on NaN and infinity.

    A lone surrogate, which UTF-8 cannot hold, keeps its JSON escape: any string that JSON can carry can be
    logged.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "backslashreplace")


def entry_hash(prev_hex: str, seq: int, body: Any) -> str:
    return hash_of(prev_hex, seq, canonical(body))


def hash_of(prev_hex: str, seq: int, body: bytes) -> str:
    """The same, of a body that is canonical already."""
    # No part but the last has a variable form, and none holds a newline: the joined bytes read in one way
    # only.
    return hashlib.sha256(b"\n".join((DOMAIN, prev_hex.encode(), str(seq).encode(), body))).hexdigest()


def checkpoint_text(checkpoint: Checkpoint) -> str:
    """The text to be signed, after the form of a C2SP signed note: origin, size, root, one a line.

    The root is hexadecimal, as everywhere else in this system (trailers, events), not base64.
    """
    assert checkpoint.origin and "\n" not in checkpoint.origin, "an origin is one line"
    return f"{checkpoint.origin}\n{checkpoint.size}\n{checkpoint.root}\n"


def parse_checkpoint(text: str) -> Checkpoint:
    """The inverse of `checkpoint_text`. Raises ValueError on any other text."""
    lines = text.split("\n")
    if len(lines) != 4 or lines[3] or not lines[0]:
        raise ValueError("a checkpoint has three lines: origin, size, root")
    origin, size, root, _ = lines
    if not DECIMAL.fullmatch(size) or not HASH_HEX.fullmatch(root):
        raise ValueError(f"these are not a checkpoint's size and root: {size!r} {root!r}")
    return Checkpoint(origin, int(size), root)


def verify(entries: Iterable[ChainEntry], checkpoints: Iterable[Checkpoint] = ()) -> list[str]:
    """Every sign of tampering, each naming the entry and the deed; empty for an untouched log.

    Without checkpoints a rewritten chain and a cut tail cannot be seen; with them both are, below the last
    checkpoint.
    """
    problems: list[str] = []
    broken: list[int] = []  # entries that do not follow from the one before, by seq
    gaps: list[tuple[int, int]] = []
    late: list[int] = []  # missing where they belong, found further on
    hashes: dict[int, str] = {0: GENESIS}
    last, prev = 0, GENESIS
    for entry in entries:
        if entry.seq in hashes:
            problems.append(_out_of_place(entry, hashes))
            continue
        if entry.seq < last:
            problems.append(f"seq {entry.seq}: reordered: it stands after seq {last}")
            late.append(entry.seq)
            hashes[entry.seq] = entry.hash
            continue
        if entry.seq > last + 1:
            gaps.append((last + 1, entry.seq - 1))
        elif not _follows(prev, entry):
            broken.append(entry.seq)
        hashes[entry.seq] = entry.hash
        last, prev = entry.seq, entry.hash
    problems += [_deleted(first, end) for gap in gaps for first, end in _without(gap, late)]
    problems += [_broken_run(first, end) for first, end in _runs(broken)]
    return problems + _against_checkpoints(hashes, last, checkpoints)


def _follows(prev: str, entry: ChainEntry) -> bool:
    try:
        return entry.hash == entry_hash(prev, entry.seq, entry.body)
    except (ValueError, TypeError):  # a body that is no JSON value was never written by us
        return False


def _out_of_place(entry: ChainEntry, hashes: dict[int, str]) -> str:
    if entry.seq < 1:
        return f"seq {entry.seq}: inserted: numbers begin at 1"
    if hashes[entry.seq] == entry.hash:
        return f"seq {entry.seq}: inserted: it occurs twice"
    return f"seq {entry.seq}: inserted: two different entries carry this number"


def _without(gap: tuple[int, int], late: list[int]) -> list[tuple[int, int]]:
    """What is left of a gap once the entries that stand elsewhere are taken out of it."""
    first, end = gap
    inside = sorted(seq for seq in late if first <= seq <= end)
    starts = [first, *(seq + 1 for seq in inside)]
    ends = [*(seq - 1 for seq in inside), end]
    return [(start, stop) for start, stop in zip(starts, ends) if start <= stop]


def _deleted(first: int, end: int) -> str:
    return (
        f"seq {first}: deleted"
        if first == end
        else f"seq {first} to {end}: deleted ({end - first + 1} entries)"
    )


def _broken_run(first: int, end: int) -> str:
    """One bad link is an edit in place; several in a row mean that what follows was moved or renumbered."""
    if first == end:
        return (
            f"seq {first}: edited: its hash does not follow from its content and the hash of seq {first - 1}"
        )
    return (
        f"seq {first} to {end}: reordered, or renumbered after an entry was inserted or deleted at seq"
        f" {first}"
    )


def _runs(numbers: list[int]) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and runs[-1][1] == number - 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return runs


def _against_checkpoints(hashes: dict[int, str], last: int, checkpoints: Iterable[Checkpoint]) -> list[str]:
    problems, good = [], 0
    for checkpoint in sorted(checkpoints, key=lambda c: c.size):
        size = checkpoint.size
        if size > last:
            problems.append(
                f"seq {last + 1} to {size}: truncated below checkpoint {size}: the log ends at seq {last}"
            )
        elif size not in hashes:
            problems.append(f"seq {size}: deleted, yet checkpoint {size} names it")
        elif hashes[size] != checkpoint.root:
            problems.append(
                f"seq {good + 1} to {size}: rewritten: the hash at {size} is not the one in checkpoint {size}"
            )
        else:
            good = size
    return problems
