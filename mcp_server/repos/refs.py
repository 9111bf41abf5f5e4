"""The refs of a repository: read, compared and swapped, listed, packed, deleted.

Rule: a ref that was moved here is on the disk before anybody is told of it.
"""

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from mcp_server.core.upkeep import Ref
from mcp_server.disk import sync
from mcp_server.repos.process import OID, ZERO, BareGit, GitFailed, full_oid, full_ref, lines, raw_bytes, text

OID_DIGITS = len(ZERO)


class NoSuchBranch(Exception):
    """The branch does not exist; the message names it and the repository."""


class Refs:
    """The refs of one bare repository, by their whole names."""

    def __init__(self, git: BareGit):
        self._git = git

    # -- where they are --

    def branch_tip(self, branch: str) -> str:
        """Return the commit that the branch is at. Raise NoSuchBranch if there is none."""
        tip = self.tip(f"refs/heads/{branch}")
        if tip is None:
            raise NoSuchBranch(f"{self._git.path.name} has no branch {branch}")
        return tip

    def tip(self, ref: str) -> str | None:
        """Return the object that the ref is at, or None if there is no such ref.

        Read as git does, the ref's own file first, then packed-refs; by git itself only where neither names
        an object.
        """
        for read in (self._read_loose, self._read_packed):
            content = read(ref)
            if content is not None and OID.fullmatch(content):
                return content
        parsed = self._git.run(
            "rev-parse", "--verify", "--quiet", "--end-of-options", full_ref(ref), ok=(0, 1)
        )
        return full_oid(text(parsed.out).strip()) if parsed.status == 0 else None

    def tips(self, prefix: str) -> dict[str, str]:
        """Return the object of every ref that is `prefix` or lies below it, by the ref."""
        full_ref(f"{prefix.rstrip('/')}/any")
        out = self._git.run("for-each-ref", "--format=%(objectname) %(refname)", prefix).out
        pairs = [line.split(" ", 1) for line in lines(out)]
        return {ref: oid for oid, ref in pairs}

    def with_age(self, prefixes: Iterable[str]) -> list[Ref]:
        """Return the refs below, with the commit that each is at and when it was moved.

        A ref that is at something else than a commit is left out.
        """
        prefixes = tuple(prefixes)
        for prefix in prefixes:
            full_ref(f"{prefix}any")
        out = self._git.run("for-each-ref", "--format=%(objecttype) %(objectname) %(refname)", *prefixes).out
        listed = [line.split(" ", 2) for line in lines(out)]
        return [Ref(ref, oid, self._moved_ms(ref)) for kind, oid, ref in listed if kind == "commit"]

    def is_loose(self, ref: str) -> bool:
        """Return True if the ref has a file of its own, so that `tip` starts no process and reads no list."""
        return os.path.isfile(self._file(ref))

    # -- moving them --

    def compare_and_swap(self, ref: str, new: str, old: str) -> bool:
        """Move `ref` from `old` to `new`, or change nothing and return False.

        ZERO as `old` means that the ref must not exist. Raise GitFailed if the ref is at `old` and git cannot
        move it.
        """
        update = self._git.run(
            "update-ref", "--no-deref", full_ref(ref), full_oid(new), full_oid(old), ok=(0, 1, 128)
        )
        if update.status == 0:
            self.sync(ref)
            return True
        was_outrun = (self.tip(ref) or ZERO) != old
        if not was_outrun:
            raise GitFailed(update.problem)
        return False

    def put(self, ref: str, oid: str) -> None:
        """Make the ref be at this object, wherever it was."""
        self._git.run("update-ref", "--no-deref", full_ref(ref), full_oid(oid))
        self.sync(ref)

    def sync(self, ref: str) -> None:
        """Make durable where the ref is.

        Git syncs a ref's file and not its name, and an event may tell of the ref before the name is safe.
        """
        # The ref may have been packed meanwhile, and its empty directory taken away.
        with suppress(FileNotFoundError):
            sync((self._git.path / full_ref(ref)).parent)

    def delete(self, ref: str) -> None:
        """Delete the ref, wherever it is."""
        self._git.run("update-ref", "--no-deref", "-d", full_ref(ref))

    def delete_unmoved(self, refs: Mapping[str, str]) -> None:
        """Delete all of these refs, each of which must be at the object given with it.

        Raise GitFailed, with nothing deleted, if one of them is somewhere else.
        """
        commands = "".join(f"delete {full_ref(ref)}\0{full_oid(oid)}\0" for ref, oid in refs.items())
        self._git.run("update-ref", "--no-deref", "-z", "--stdin", stdin=raw_bytes(commands))
        sync(self._git.path)

    def pack(self) -> None:
        """Write all refs into one file.

        Git syncs the file and not its name, and takes the refs' own files away after it.
        """
        self._git.run("pack-refs", "--all")
        sync(self._git.path)

    # -- their files --

    def _file(self, ref: str) -> str:
        """Return the path of the ref's own file. Not by pathlib, which takes longer than the read: every
        claim asks.
        """
        return f"{self._git.path}/{full_ref(ref)}"

    def _read_loose(self, ref: str) -> str | None:
        try:
            with open(self._file(ref), "rb") as file:
                return file.read().decode("ascii").strip()
        except (OSError, ValueError):
            return None

    def _read_packed(self, ref: str) -> str | None:
        """Look the ref up in packed-refs: a read of some hundred kilobytes, where a process costs 5 ms and
        more.
        """
        try:
            packed = (self._git.path / "packed-refs").read_bytes()
        except FileNotFoundError:
            return None
        at = packed.find(raw_bytes(f" {full_ref(ref)}\n"))
        return packed[at - OID_DIGITS : at].decode("ascii", "replace") if at >= OID_DIGITS else None

    def _moved_ms(self, ref: str) -> int:
        """Return when the ref was last moved, by the log that git keeps of it; 0 where there is none."""
        try:
            return Path(self._git.path, "logs", ref).stat().st_mtime_ns // 1_000_000
        except OSError:
            return 0
