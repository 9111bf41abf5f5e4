"""Care of one repository: what a killed process left in it, how much has gathered, and joining that.

Rule: no object leaves the repository; whatever file is taken away is of no use to anybody.
"""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from mcp_server.core.upkeep import ObjectCounts
from mcp_server.repos.commits import Commits
from mcp_server.repos.process import ZERO, BareGit, GitFailed, full_oid, text
from mcp_server.repos.refs import Refs
from mcp_server.repos.settings import UNHURRIED

# At the lowest priority, beside everything else; what it did not come to end with it leaves as it was.
REPACK_TIME_S = 1800.0
UPKEEP_LOCK = "upkeep"  # the file that is locked while somebody looks after the repository
HELD_MAX = 500  # parents of one commit: git itself is content with any number
DIRECTORIES = 256  # of loose objects, by the first byte of their ids
SAMPLED = 8  # of them are counted: ids are evenly spread, and a count is needed as `many` or `few` only

# A killed process's locks, which would refuse their ref for ever. A `.keep` beside a pack is a push's that
# was killed between its objects and its refs: no repack would touch that pack again.
LEFT_LOCKS = ("*.lock", "refs/**/*.lock", "objects/info/**/*.lock", "objects/pack/*.keep")
# Named by the programs that write them, until they are whole and get their own names.
HALVES = (
    "objects/pack/tmp_*",
    "objects/pack/.tmp-*",
    "objects/??/tmp_obj_*",
    "objects/info/commit-graphs/tmp_*",
    "packed-refs.new",
    "*.new",
)
HALF_DIRECTORIES = "objects/tmp_objdir-*"


class Upkeep:
    """The upkeep of one repository."""

    def __init__(self, git: BareGit, refs: Refs, commits: Commits):
        self._git, self._refs, self._commits = git, refs, commits
        self._path = git.path

    def make_ready(self) -> None:
        """Sweep, at a start, when nobody else is at work here: locks, halves of packs and of pushes."""
        (self._path / UPKEEP_LOCK).touch()
        for pattern in (*LEFT_LOCKS, *HALVES):
            for left in self._path.glob(pattern):
                left.unlink(missing_ok=True)
        for directory in self._path.glob(HALF_DIRECTORIES):
            shutil.rmtree(directory, ignore_errors=True)

    @contextmanager
    def exclusive(self) -> Iterator[bool]:
        """Yield True and keep everybody else, of this process or another, from looking after it meanwhile.

        Yield False at once if somebody is looking after it already.
        """
        lock = FileLock(self._path / UPKEEP_LOCK, blocking=False)
        try:
            lock.acquire()
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

    def counts(self) -> ObjectCounts:
        """Return how much a repack would join. Loose objects are estimated."""
        sampled = sum(_files_in(self._path / "objects" / f"{number:02x}") for number in range(SAMPLED))
        loose = sampled * (DIRECTORIES // SAMPLED)
        packs = sum(1 for _ in self._path.glob("objects/pack/*.pack"))
        refs = sum(len(files) for _, _, files in os.walk(self._path / "refs"))
        return ObjectCounts(loose, packs, refs)

    def ref_count(self) -> int:
        """Return how many refs there are; one that was moved since it was packed counts twice."""
        try:
            packed = (self._path / "packed-refs").read_bytes().splitlines()
        except FileNotFoundError:
            packed = []
        return self.counts().refs + sum(not line.startswith((b"#", b"^")) for line in packed)

    def repack(self) -> None:
        """Join loose objects and the packs that pushes leave behind, one each.

        Drops nothing, and is safe beside readers and pushes.
        """
        repack = ("repack", "--quiet", "-d", "--geometric=2")
        write_graph = ("commit-graph", "write", "--reachable", "--split", "--no-progress")
        for command in (repack, write_graph):
            self._git.run(*command, within=UNHURRIED, time_s=REPACK_TIME_S)

    def hold(self, into: str, refs: Mapping[str, str], when_s: int) -> dict[str, str]:
        """Make the commits of these refs reachable from the ref `into`, with their names as its words.

        Return the refs that are held. A commit has at most HELD_MAX parents; what was held before is the
        first of them. Raise GitFailed if somebody else moves `into` meanwhile.
        """
        empty_tree = full_oid(text(self._git.run("mktree").out).strip())
        remaining = list(refs.items())
        before = self._refs.tip(into)
        at = before
        for start in range(0, len(remaining), HELD_MAX):
            batch = remaining[start : start + HELD_MAX]
            parents = dict.fromkeys(([at] if at else []) + [oid for _, oid in batch])
            names = "".join(f"{oid} {ref}\n" for ref, oid in batch)
            words = f"Kept: refs of finished work\n\n{names}"
            at = self._commits.create(empty_tree, parents, words, "harness", when_s)
        assert at is not None
        if not self._refs.compare_and_swap(into, at, before or ZERO):
            raise GitFailed(f"{into} was moved by somebody else")
        return dict(refs)


def _files_in(directory: Path) -> int:
    try:
        return sum(1 for _ in directory.iterdir())
    except FileNotFoundError:
        return 0
