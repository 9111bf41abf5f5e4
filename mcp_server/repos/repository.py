"""The only git: fixed verbs on the server's own bare repositories; on the user's, only to import and export a
branch.

Rule: every call goes through git_process.py, where GitPython runs the process and nothing else of it is used;
whatever a client chose arrives here as a full object id. What is in the repository is read by git_objects.py.
Everything is synchronous.
"""

import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from filelock import FileLock, Timeout

from mcp_server.core.upkeep import ObjectCounts, Ref
from mcp_server.disk import sync, write_whole
from mcp_server.repos import trees
from mcp_server.repos import upkeep as git_upkeep
from mcp_server.repos.objects import KEYS_REMEMBERED as KEYS_REMEMBERED
from mcp_server.repos.objects import Objects
from mcp_server.repos.process import OID, ZERO, GitFailed, full_oid, full_ref, lines, text
from mcp_server.repos.process import program as program
from mcp_server.repos.settings import CONFIG, EMAIL_DOMAIN, LOCAL, READ_FOREIGN, UNHURRIED, WRITE_FOREIGN
from mcp_server.repos.trees import CommitInfo
from mcp_server.repos.trees import HostileTree as HostileTree

COMMITS_MAX = 10_000
# at the lowest priority, beside everything else; what it did not come to end with it leaves as it was
UPKEEP_TIME_S = 1800.0
UPKEEP_LOCK = "upkeep"  # held while somebody looks after the repository
HELD_MAX = 500  # parents of one commit: git itself is content with any number

ABBREVIATED = re.compile(r"[0-9a-f]{7,39}")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
LOG_FORMAT = "%H%x00%T%x00%P%x00%an%x00%ct%x00%s%x00%B"
LOG_FIELDS = LOG_FORMAT.count("%x00") + 1


class NoSuchBranch(Exception):
    """The branch does not exist; the message names it and the repository."""


class Diverged(Exception):
    """The user's branch and ours both have commits that the other lacks; a person must merge them."""

    def __init__(self, ours: str, theirs: str):
        super().__init__(f"ours is at {ours}, theirs at {theirs}, and neither contains the other")
        self.ours, self.theirs = ours, theirs


@dataclass(frozen=True)
class Imported:
    commit: str  # where our branch is now
    changed: bool  # whether it moved


@dataclass(frozen=True)
class Merged:
    tree: str


@dataclass(frozen=True)
class Conflict:
    paths: tuple[str, ...]  # none where the histories have no common commit


class Repository(Objects):
    """One bare repository of the server's."""

    # -- life --

    @classmethod
    def create(cls, path: Path | str) -> Self:
        """A new repository, or the one that is there, with this version's configuration."""
        path = Path(path).resolve()
        if (path / "HEAD").is_file():
            return cls.open(path)
        # Made elsewhere and moved, as git syncs nothing here: after a power loss there is a whole repository
        # or none.
        half = path.with_name(f"{path.name}.half")
        shutil.rmtree(half, ignore_errors=True)
        half.mkdir(parents=True)
        made = cls(half)
        made._git("init", "--quiet", "--bare", "--template=", "--initial-branch=main")
        made._make_ready()
        for below in (*half.rglob("*"), half):
            sync(below)
        half.rename(path)
        sync(path.parent)
        return cls(path)

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """As its only user, since what a killed server left behind is swept. Raises GitFailed where there is
        none.
        """
        if not (Path(path) / "HEAD").is_file():
            raise GitFailed(f"{path} is not a repository")
        repository = cls(Path(path).resolve())
        repository._make_ready()
        return repository

    # -- upkeep --

    @contextmanager
    def cared_for(self) -> Iterator[bool]:
        """Whether nobody else, of this process or another, is looking after it meanwhile."""
        lock = FileLock(self.path / UPKEEP_LOCK, blocking=False)
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
        return git_upkeep.counts(self.path)

    def names(self) -> int:
        return git_upkeep.names(self.path)

    def repack(self) -> None:
        """Joins the packs that pushes leave behind, one each, and loose objects. Drops nothing; safe beside
        readers and pushes.
        """
        self._git("repack", "--quiet", "-d", "--geometric=2", within=UNHURRIED, time_s=UPKEEP_TIME_S)
        self._git(
            "commit-graph",
            "write",
            "--reachable",
            "--split",
            "--no-progress",
            within=UNHURRIED,
            time_s=UPKEEP_TIME_S,
        )

    def pack_refs(self) -> None:
        """Git syncs the file and not its name, and takes the refs' own files away after it."""
        self._git("pack-refs", "--all")
        sync(self.path)

    def with_age(self, prefixes: Iterable[str]) -> list[Ref]:
        """The refs below, with the commit that each is at and when it was moved. One that is at something
        else is left out.
        """
        for prefix in prefixes:
            full_ref(f"{prefix}any")
        out = self._git("for-each-ref", "--format=%(objecttype) %(objectname) %(refname)", *prefixes).out
        found = [line.split(" ", 2) for line in lines(out)]
        return [
            Ref(name, oid, git_upkeep.moved_ms(self.path, name))
            for kind, oid, name in found
            if kind == "commit"
        ]

    def hold(self, into: str, refs: Mapping[str, str], when_s: int) -> dict[str, str]:
        """Makes the commits of these refs reachable from the ref `into`, with their names as its words.
        Answers with those that are.

        A commit has at most HELD_MAX parents; what was held before is the first of them.
        """
        empty = full_oid(text(self._git("mktree").out).strip())
        todo, at = list(refs.items()), self._tip(into)
        before = at or ZERO
        for start in range(0, len(todo), HELD_MAX):
            some = todo[start : start + HELD_MAX]
            parents = dict.fromkeys(([at] if at else []) + [oid for _, oid in some])
            words = "Kept: refs of finished work\n\n" + "".join(f"{oid} {ref}\n" for ref, oid in some)
            at = self.commit(empty, parents, words, "harness", when_s)
        assert at is not None
        if not self.compare_and_swap(into, at, before):
            raise GitFailed(f"{into} was moved by somebody else")
        return dict(refs)

    def delete_refs(self, refs: Mapping[str, str]) -> None:
        """All of them, if each is still where it is said to be; none of them and GitFailed otherwise."""
        given = "".join(f"delete {full_ref(ref)}\0{full_oid(oid)}\0" for ref, oid in refs.items())
        self._git("update-ref", "--no-deref", "-z", "--stdin", stdin=given.encode("utf-8", "surrogateescape"))
        sync(self.path)

    # -- the user's repository --

    def import_branch(self, source: Path | str, branch: str) -> Imported:
        """Brings the user's branch into ours: forward only.

        Raises NoSuchBranch, Diverged, or GitFailed where the source cannot be read.
        """
        ours_ref, theirs_ref = full_ref(f"refs/heads/{branch}"), f"refs/import/{branch}"
        self._fetch(Path(source).resolve(), ours_ref, theirs_ref)
        ours, theirs = self._tip(ours_ref), self._tip(theirs_ref)
        assert theirs is not None
        if ours is None:
            write_whole(
                self.path / "HEAD", f"ref: {ours_ref}\n".encode()
            )  # git symbolic-ref does not sync: an empty HEAD is no repository
        elif ours == theirs or self.is_ancestor(theirs, ours):
            return Imported(ours, changed=False)
        elif not self.is_ancestor(ours, theirs):
            raise Diverged(ours, theirs)
        if not self.compare_and_swap(ours_ref, theirs, ours or ZERO):
            raise GitFailed(f"{ours_ref} moved during the import; nothing was changed, import again")
        return Imported(theirs, changed=True)

    def export_branch(self, target: Path | str, branch: str) -> None:
        """Shows our branch to the user as refs/remotes/harness/<branch>; their branches and files stay as
        they are.

        Raises GitFailed where that repository cannot be written.
        """
        refspec = f"+{full_ref(f'refs/heads/{branch}')}:refs/remotes/harness/{branch}"
        self._git(
            "push",
            "--quiet",
            f"--receive-pack={WRITE_FOREIGN}",
            str(Path(target).resolve()),
            refspec,
            env=LOCAL,
        )

    # -- refs --

    def main(self, branch: str) -> str:
        """The commit that the branch is at. Raises NoSuchBranch."""
        tip = self._tip(f"refs/heads/{branch}")
        if tip is None:
            raise NoSuchBranch(f"{self.path.name} has no branch {branch}")
        return tip

    def tip(self, ref: str) -> str | None:
        """The object that the ref is at, or None where there is no such ref."""
        return self._tip(ref)

    def heads(self, prefix: str) -> dict[str, str]:
        """Ref -> object of every ref that is `prefix` or lies below it."""
        full_ref(f"{prefix.rstrip('/')}/any")
        out = self._git("for-each-ref", "--format=%(objectname) %(refname)", prefix).out
        return {ref: oid for oid, ref in (line.split(" ", 1) for line in lines(out))}

    def compare_and_swap(self, ref: str, new: str, old: str) -> bool:
        """Moves `ref` from `old` to `new`, or changes nothing and answers False. ZERO as `old`: it must not
        exist.
        """
        done = self._git(
            "update-ref", "--no-deref", full_ref(ref), full_oid(new), full_oid(old), ok=(0, 1, 128)
        )
        if done.status == 0:
            self.sync_ref(ref)
            return True
        if (self._tip(ref) or ZERO) == old:  # not outrun: something else is wrong
            raise GitFailed(done.problem)
        return False

    def set_ref(self, ref: str, sha: str) -> None:
        self._git("update-ref", "--no-deref", full_ref(ref), full_oid(sha))
        self.sync_ref(ref)

    def sync_ref(self, ref: str) -> None:
        """Makes durable where the ref is: git syncs a ref's file, and not its name, which an event may tell
        of before it is safe.
        """
        with suppress(FileNotFoundError):  # it has been packed meanwhile, and its empty directory taken away
            sync((self.path / full_ref(ref)).parent)

    def delete_ref(self, ref: str) -> None:
        self._git("update-ref", "--no-deref", "-d", full_ref(ref))

    # -- commits --

    def resolve(self, commit: str) -> str | None:
        """The full id of the one commit that these 7 to 40 hex digits mean, or None. Names of refs mean
        nothing.
        """
        if ABBREVIATED.fullmatch(commit):
            candidates = text(self._git("rev-parse", f"--disambiguate={commit}").out).split()
        elif OID.fullmatch(commit):
            candidates = [commit]
        else:
            return None
        commits = [oid for oid, kind, _size in self._objects(candidates) if kind == "commit"]
        return commits[0] if len(commits) == 1 else None

    def agent_has(self, agent: str, commit: str) -> bool:
        """Whether a commit (full id) exists and is reachable from one of the agent's refs or from a branch of
        ours.
        """
        if not NAME.fullmatch(agent):
            raise ValueError(f"not the name of an agent: {agent!r}")
        if self.resolve(full_oid(commit)) is None:
            return False
        known = (f"--glob=refs/agents/{agent}/*", "--glob=refs/heads/*")
        return not self._git("rev-list", "--max-count=1", commit, "--not", *known).out.strip()

    def is_ancestor(self, a: str, b: str) -> bool:
        return self._git("merge-base", "--is-ancestor", full_oid(a), full_oid(b), ok=(0, 1)).status == 0

    def merge(self, base: str, commit: str) -> Merged | Conflict:
        """Merges two commits in memory, path by path: what somebody moved elsewhere is a conflict, and is not
        followed.

        `base` is ours, `commit` an agent's. Raises GitOutputTooLarge where its tree is. Git's exit status
        alone tells whether a merge was clean. Git 2.39, for one, follows renames whatever merge.renames says,
        so that is looked for afterwards.
        """
        bases = lines(self._git("merge-base", "--all", full_oid(base), full_oid(commit), ok=(0, 1)).out)
        if not bases:
            return Conflict(())
        self._measure(commit)  # the others are on main, where nothing lands that was not measured
        done = self._git(
            "merge-tree", "--write-tree", "-z", "--name-only", "--no-messages", base, commit, ok=(0, 1)
        )
        tree, *conflicted = (text(part) for part in done.out.split(b"\0")[:-1])
        if done.status == 1:
            return Conflict(tuple(conflicted))
        self._note_measured(tree)  # each path of it is one of ours or of theirs
        ours, theirs = self._changed_since(bases, base), self._changed_since(bases, commit)
        moved = trees.moved(ours, theirs, self._diff(base, full_oid(tree)), criss_cross=len(bases) > 1)
        return Conflict(tuple(moved)) if moved else Merged(tree)

    def commit(self, tree: str, parents: Iterable[str], message: str, author_name: str, when_s: int) -> str:
        """A commit object, on no ref; the same arguments give the same id."""
        assert not re.search(r"[<>\x00-\x1f]", author_name), author_name
        env = {
            "GIT_AUTHOR_NAME": author_name,
            "GIT_AUTHOR_EMAIL": f"{author_name}@{EMAIL_DOMAIN}",
            "GIT_AUTHOR_DATE": f"@{when_s} +0000",
            "GIT_COMMITTER_DATE": f"@{when_s} +0000",
        }
        options = [option for parent in parents for option in ("-p", full_oid(parent))]
        words = message.replace("\0", "").encode("utf-8", "replace")
        made = full_oid(
            text(
                self._git("commit-tree", full_oid(tree), *options, "-F", "-", stdin=words, env=env).out
            ).strip()
        )
        self._trees.keep(made, tree)
        return made

    def log(self, branch: str, *, first_parent: bool = True, limit: int = COMMITS_MAX) -> list[CommitInfo]:
        """Newest first."""
        options = ["--first-parent"] if first_parent else []
        shape = (
            f"--format=tformat:{LOG_FORMAT}",
            "--no-mailmap",
            "--no-show-signature",
            "-z",
            f"--max-count={limit}",
        )
        fields = self._git("log", *options, *shape, full_ref(f"refs/heads/{branch}"), "--").out.split(b"\0")[
            :-1
        ]
        return [trees.commit_info(fields[at : at + LOG_FIELDS]) for at in range(0, len(fields), LOG_FIELDS)]

    # -- below --

    def _tip(self, ref: str) -> str | None:
        """Read as git does, the ref's own file first, then packed-refs; by git itself only where it is
        neither a commit nor absent.
        """
        for read in (self._loose, self._packed):
            if (said := read(ref)) is not None and OID.fullmatch(said):
                return said
        done = self._git("rev-parse", "--verify", "--quiet", "--end-of-options", full_ref(ref), ok=(0, 1))
        return full_oid(text(done.out).strip()) if done.status == 0 else None

    def is_loose(self, ref: str) -> bool:
        """Whether the ref has a file of its own, so that where it is at is read without a process."""
        return os.path.isfile(self._file(ref))

    def _loose(self, ref: str) -> str | None:
        try:
            with open(self._file(ref), "rb") as file:
                return file.read().decode("ascii").strip()
        except (OSError, ValueError):
            return None

    def _file(self, ref: str) -> str:
        """Not by pathlib, which takes longer than the read: every claim asks."""
        return f"{self.path}/{full_ref(ref)}"

    def _packed(self, ref: str) -> str | None:
        """A read of some hundred kilobytes, where a process costs 5 ms and more."""
        try:
            packed = (self.path / "packed-refs").read_bytes()
        except FileNotFoundError:
            return None
        at = packed.find(f" {full_ref(ref)}\n".encode("utf-8", "surrogateescape"))
        return packed[at - 40 : at].decode("ascii", "replace") if at >= 40 else None

    def _fetch(self, source: Path, theirs: str, ref: str) -> None:
        options = (
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
            "--no-auto-maintenance",
            "--no-recurse-submodules",
        )
        where = (f"--upload-pack={READ_FOREIGN}", str(source), f"+{theirs}:{ref}")
        done = self._git("fetch", *options, *where, env=LOCAL, ok=(0, 1, 128))
        if "couldn't find remote ref" in done.problem:
            raise NoSuchBranch(
                f"{source} has no branch {theirs.removeprefix('refs/heads/')} with a commit on it"
            )
        if "shallow" in done.problem:
            raise GitFailed(f"{source} is a shallow clone: run `git fetch --unshallow` there first")
        if done.status != 0:
            raise GitFailed(f"{source} cannot be read: {done.problem}")

    def _make_ready(self) -> None:
        write_whole(self.path / "config", CONFIG.encode())
        (self.path / UPKEEP_LOCK).touch()
        git_upkeep.sweep(self.path)
