"""The repository as files: what a killed process left in it, and how much has gathered that a repack would
join.

Rule: nothing here changes what the repository holds; whatever is taken away is of no use to anybody.
"""

import os
import shutil
from pathlib import Path

from mcp_server.core.upkeep import ObjectCounts

DIRECTORIES = 256  # of loose objects, by the first byte of their ids
SAMPLED = 8  # of them are counted: ids are evenly spread, and a count is needed as `many` or `few` only
# Named by the programs that write them, until they are whole and get their own names.
HALVES = (
    "objects/pack/tmp_*",
    "objects/pack/.tmp-*",
    "objects/??/tmp_obj_*",
    "objects/info/commit-graphs/tmp_*",
    "packed-refs.new",
    "*.new",
)


def sweep(path: Path) -> None:
    """At a start, when nobody else is at work here: locks that would refuse their ref for ever, halves of
    packs and of pushes.

    A `.keep` beside a pack is a push's that was killed between its objects and its refs: no repack would
    touch that pack again.
    """
    for lock in (
        *path.glob("*.lock"),
        *path.glob("refs/**/*.lock"),
        *path.glob("objects/info/**/*.lock"),
        *path.glob("objects/pack/*.keep"),
    ):
        lock.unlink(missing_ok=True)
    for pattern in HALVES:
        for half in path.glob(pattern):
            half.unlink(missing_ok=True)
    for half in path.glob("objects/tmp_objdir-*"):
        shutil.rmtree(half, ignore_errors=True)


def counts(path: Path) -> ObjectCounts:
    """Loose objects are estimated."""
    loose = sum(_files(path / "objects" / f"{number:02x}") for number in range(SAMPLED)) * (
        DIRECTORIES // SAMPLED
    )
    packs = sum(1 for _ in path.glob("objects/pack/*.pack"))
    refs = sum(len(files) for _, _, files in os.walk(path / "refs"))
    return ObjectCounts(loose, packs, refs)


def names(path: Path) -> int:
    """How many refs there are; one that was moved since it was packed counts twice."""
    try:
        packed = (path / "packed-refs").read_bytes().splitlines()
    except FileNotFoundError:
        packed = []
    return counts(path).refs + sum(not line.startswith((b"#", b"^")) for line in packed)


def moved_ms(path: Path, ref: str) -> int:
    """When the ref was last moved, by the log that git keeps of it; 0 where there is none."""
    try:
        return (path / "logs" / ref).stat().st_mtime_ns // 1_000_000
    except OSError:
        return 0


def _files(directory: Path) -> int:
    try:
        return sum(1 for _ in directory.iterdir())
    except FileNotFoundError:
        return 0
