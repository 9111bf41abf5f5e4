"""The only git: fixed verbs on the server's own bare repositories; on the user's, only to import and export a branch.

Rule: GitPython runs the process and nothing else of it is used; every call has a clean environment, a time limit and a
limit on its output; whatever a client chose arrives here as a full object id. Everything is synchronous.
"""

import hashlib
import io
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Self

from git.cmd import Git

from mcp_server import git_tree
from mcp_server.core.paths import covers, is_path
from mcp_server.git_settings import (
    CONFIG,
    EMAIL_DOMAIN,
    ENVIRONMENT,
    LIMITED,
    LOCAL,
    OPTIONS,
    READ_FOREIGN,
    WRITE_FOREIGN,
)
from mcp_server.git_tree import Change, CommitInfo, Entry, Hazard, HazardKind, HostileTree

GIT_TIME_S = 120.0  # the longest honest call is the first import of a large repository
KEYS_REMEMBERED = 4096  # of trees that do not change: some 100 bytes each, where finding one again lists the tree
LISTINGS_REMEMBERED = 2  # main and what is merged onto it: a few hundred bytes for each file
OUTPUT_BYTES_MAX = 64 * 1024 * 1024  # a tree that lists longer than this is a bomb (2 kB of trees can name 10^10 files)
ARCHIVE_BYTES_MAX = 256 * 1024 * 1024
COMMITS_MAX = 10_000
CHUNK_BYTES = 256 * 1024

OID = re.compile(r"[0-9a-f]{40}")
ABBREVIATED = re.compile(r"[0-9a-f]{7,39}")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
NO_REF = re.compile(r"[\x00-\x20~^:?*\[\\\x7f]|\.\.|@\{|//|/\.|\.lock(/|$)|[./]$")
ZERO = "0" * 40
LOG_FORMAT = "%H%x00%T%x00%P%x00%an%x00%ct%x00%s%x00%B"
LOG_FIELDS = LOG_FORMAT.count("%x00") + 1


class GitFailed(Exception):
    """Git ended otherwise than it should; the message carries its last words."""


class TooLarge(Exception):
    """The answer is over its limit. Where an agent chose the commit, this is a fact about that commit."""


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


class Repository:
    """One bare repository of the server's."""

    def __init__(self, path: Path):
        self.path = Path(path)
        self._git_in = Git(str(self.path))

    # -- life --

    @classmethod
    def create(cls, path: Path | str) -> Self:
        """A new repository, or the one that is there, with this version's configuration."""
        path = Path(path).resolve()
        if (path / "HEAD").is_file():
            return cls.open(path)
        # Made elsewhere and moved, as git syncs nothing here: after a power loss there is a whole repository or none.
        half = path.with_name(f"{path.name}.half")
        shutil.rmtree(half, ignore_errors=True)
        half.mkdir(parents=True)
        made = cls(half)
        made._git("init", "--quiet", "--bare", "--template=", "--initial-branch=main")
        made._make_ready()
        for below in (*half.rglob("*"), half):
            _sync(below)
        half.rename(path)
        _sync(path.parent)
        return cls(path)

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """As its only user, since what a killed server left behind is swept. Raises GitFailed where there is none."""
        if not (Path(path) / "HEAD").is_file():
            raise GitFailed(f"{path} is not a repository")
        repository = cls(Path(path).resolve())
        repository._make_ready()
        return repository

    def repack(self) -> None:
        """Joins the packs that pushes leave behind, one each. Drops nothing; safe beside readers and pushes."""
        self._git("repack", "--quiet", "-d", "--geometric=2")
        self._git("pack-refs", "--all")

    # -- the user's repository --

    def import_branch(self, source: Path | str, branch: str) -> Imported:
        """Brings the user's branch into ours: forward only.

        Raises NoSuchBranch, Diverged, or GitFailed where the source cannot be read.
        """
        ours_ref, theirs_ref = _ref(f"refs/heads/{branch}"), f"refs/import/{branch}"
        self._fetch(Path(source).resolve(), ours_ref, theirs_ref)
        ours, theirs = self._tip(ours_ref), self._tip(theirs_ref)
        assert theirs is not None
        if ours is None:
            self._replace("HEAD", f"ref: {ours_ref}\n")  # git symbolic-ref does not sync: an empty HEAD is no repository
        elif ours == theirs or self.is_ancestor(theirs, ours):
            return Imported(ours, changed=False)
        elif not self.is_ancestor(ours, theirs):
            raise Diverged(ours, theirs)
        if not self.compare_and_swap(ours_ref, theirs, ours or ZERO):
            raise GitFailed(f"{ours_ref} moved during the import; nothing was changed, import again")
        return Imported(theirs, changed=True)

    def export_branch(self, target: Path | str, branch: str) -> None:
        """Shows our branch to the user as refs/remotes/harness/<branch>; their branches and files stay as they are.

        Raises GitFailed where that repository cannot be written.
        """
        refspec = f"+{_ref(f'refs/heads/{branch}')}:refs/remotes/harness/{branch}"
        self._git("push", "--quiet", f"--receive-pack={WRITE_FOREIGN}", str(Path(target).resolve()), refspec, env=LOCAL)

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
        _ref(f"{prefix.rstrip('/')}/any")
        out = self._git("for-each-ref", "--format=%(objectname) %(refname)", prefix).out
        return {ref: oid for oid, ref in (line.split(" ", 1) for line in _lines(out))}

    def compare_and_swap(self, ref: str, new: str, old: str) -> bool:
        """Moves `ref` from `old` to `new`, or changes nothing and answers False. ZERO as `old`: it must not exist."""
        done = self._git("update-ref", "--no-deref", _ref(ref), _oid(new), _oid(old), ok=(0, 1, 128))
        if done.status == 0:
            self.sync_ref(ref)
            return True
        if (self._tip(ref) or ZERO) == old:  # not outrun: something else is wrong
            raise GitFailed(done.problem)
        return False

    def set_ref(self, ref: str, sha: str) -> None:
        self._git("update-ref", "--no-deref", _ref(ref), _oid(sha))
        self.sync_ref(ref)

    def sync_ref(self, ref: str) -> None:
        """Makes durable where the ref is: git syncs a ref's file, and not its name, which an event may tell of before it is safe."""
        with suppress(FileNotFoundError):  # it has been packed meanwhile, and its empty directory taken away
            _sync((self.path / _ref(ref)).parent)

    def delete_ref(self, ref: str) -> None:
        self._git("update-ref", "--no-deref", "-d", _ref(ref))

    # -- commits --

    def resolve(self, commit: str) -> str | None:
        """The full id of the one commit that these 7 to 40 hex digits mean, or None. Names of refs mean nothing."""
        if ABBREVIATED.fullmatch(commit):
            candidates = _text(self._git("rev-parse", f"--disambiguate={commit}").out).split()
        elif OID.fullmatch(commit):
            candidates = [commit]
        else:
            return None
        commits = [oid for oid, kind, _size in self._objects(candidates) if kind == "commit"]
        return commits[0] if len(commits) == 1 else None

    def agent_has(self, agent: str, commit: str) -> bool:
        """Whether a commit (full id) exists and is reachable from one of the agent's refs or from a branch of ours."""
        if not NAME.fullmatch(agent):
            raise ValueError(f"not the name of an agent: {agent!r}")
        if self.resolve(_oid(commit)) is None:
            return False
        known = (f"--glob=refs/agents/{agent}/*", "--glob=refs/heads/*")
        return not self._git("rev-list", "--max-count=1", commit, "--not", *known).out.strip()

    def is_ancestor(self, a: str, b: str) -> bool:
        return self._git("merge-base", "--is-ancestor", _oid(a), _oid(b), ok=(0, 1)).status == 0

    def merge(self, base: str, commit: str) -> Merged | Conflict:
        """Merges two commits in memory, path by path: what somebody moved elsewhere is a conflict, and is not followed.

        `base` is ours, `commit` an agent's. Raises TooLarge where its tree is. Git's exit status alone tells whether a
        merge was clean. Git 2.39, for one, follows renames whatever merge.renames says, so that is looked for afterwards.
        """
        bases = _lines(self._git("merge-base", "--all", _oid(base), _oid(commit), ok=(0, 1)).out)
        if not bases:
            return Conflict(())
        for measured in (commit, *bases):
            self._measure(measured)
        done = self._git("merge-tree", "--write-tree", "-z", "--name-only", "--no-messages", base, commit, ok=(0, 1))
        tree, *conflicted = (_text(part) for part in done.out.split(b"\0")[:-1])
        if done.status == 1:
            return Conflict(tuple(conflicted))
        ours, theirs = ([change for at in bases for change in self._diff(at, side)] for side in (base, commit))
        moved = git_tree.moved(ours, theirs, self._diff(base, _oid(tree)), criss_cross=len(bases) > 1)
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
        options = [option for parent in parents for option in ("-p", _oid(parent))]
        text = message.replace("\0", "").encode("utf-8", "replace")
        return _oid(_text(self._git("commit-tree", _oid(tree), *options, "-F", "-", stdin=text, env=env).out).strip())

    def log(self, branch: str, *, first_parent: bool = True, limit: int = COMMITS_MAX) -> list[CommitInfo]:
        """Newest first."""
        options = ["--first-parent"] if first_parent else []
        shape = (f"--format=tformat:{LOG_FORMAT}", "--no-mailmap", "--no-show-signature", "-z", f"--max-count={limit}")
        fields = self._git("log", *options, *shape, _ref(f"refs/heads/{branch}"), "--").out.split(b"\0")[:-1]
        return [git_tree.commit_info(fields[at : at + LOG_FIELDS]) for at in range(0, len(fields), LOG_FIELDS)]

    # -- trees and files (a treeish is the full id of a commit or a tree) --

    def diff(self, tree_a: str, tree_b: str) -> list[Change]:
        """From `tree_a`, which is ours, to `tree_b`. Raises TooLarge where that one is."""
        self._measure(tree_b)
        return self._diff(tree_a, tree_b)

    def hazards(self, changed: Iterable[Change], tree: str) -> list[Hazard]:
        """What in a diff must not land; `tree` is its result."""
        changed = list(changed)
        kept = [change for change in changed if change.new_mode not in (git_tree.ABSENT, git_tree.GITLINK)]
        sizes = {oid: size for oid, _kind, size in self._objects({change.new_oid for change in kept})}
        links = {change.new_oid for change in kept if change.new_mode == git_tree.SYMLINK}
        short = [oid for oid in links if sizes[oid] <= git_tree.LINK_BYTES_MAX]
        return git_tree.hazards(changed, (entry.path for entry in self.ls_tree(tree)), self._links(short), sizes)

    def ls_tree(self, treeish: str) -> list[Entry]:
        """Every file below, at any depth."""
        return git_tree.entries(self._git("ls-tree", "-r", "-z", "--full-tree", _oid(treeish)).out)

    def tree_of(self, commit: str) -> str:
        return _oid(_text(self._git("rev-parse", "--verify", "--quiet", f"{_oid(commit)}^{{tree}}").out).strip())

    def blob_size(self, oid: str) -> int:
        [(_oid_, kind, size)] = self._objects([_oid(oid)])
        if kind != "blob":
            raise GitFailed(f"{oid} is {kind}, not a blob")
        return size

    def symlink_target(self, oid: str) -> str:
        return self._links([oid])[oid]

    def read(self, treeish: str, path: str) -> bytes | None:
        """A file's bytes (a symlink's are its target), or None where the tree has no file of that name."""
        return self.read_many([(treeish, path)])[0]

    def read_many(self, wanted: Iterable[tuple[str, str]]) -> list[bytes | None]:
        """As `read`, in the order asked, by one process. Raises TooLarge over ARCHIVE_BYTES_MAX together."""
        asked = [(f"{_oid(treeish)}:{path}", is_path(path)) for treeish, path in wanted]  # to git, `./x` is something else
        found = iter(self._blobs([name for name, good in asked if good]))
        return [next(found) if good else None for _, good in asked]

    def ever_held(self, branch: str, contents: Mapping[str, bytes]) -> list[str]:
        """The names of those contents that a file on the branch has now or had in some commit of its history."""
        oids = {name: hashlib.sha1(b"blob %d\0%b" % (len(content), content)).hexdigest() for name, content in contents.items()}
        here = {oid for oid, kind, _size in self._objects(sorted(set(oids.values()))) if kind == "blob"}
        options = ("-m", "--format=%H", "--max-count=1", "--no-show-signature")
        held = {oid for oid in here if self._git("log", *options, f"--find-object={oid}", _ref(f"refs/heads/{branch}"), "--").out.strip()}
        return sorted(name for name, oid in oids.items() if oid in held)

    def chosen(self, treeish: str, include: Iterable[str], exclude: Iterable[str]) -> list[Entry]:
        """The entries of a tree that some glob of `include` covers and none of `exclude`, in git's order."""
        include, exclude = tuple(include), tuple(exclude)
        entries = self._listed(_oid(treeish))
        return [entry for entry in entries if covers(include, entry.path) and not covers(exclude, entry.path)]

    @lru_cache(LISTINGS_REMEMBERED)  # noqa: B019 - as for `_key`
    def _listed(self, treeish: str) -> tuple[Entry, ...]:
        """Each suite chooses from the same few trees."""
        return tuple(self.ls_tree(treeish))

    def tree_key(self, treeish: str, include: Iterable[str], exclude: Iterable[str]) -> str:
        """A SHA-256 over exactly what `archive` with the same globs would hold: equal keys, equal files."""
        return self._key(_oid(treeish), tuple(include), tuple(exclude))

    @lru_cache(KEYS_REMEMBERED)  # noqa: B019 - a server's repositories live as long as it does
    def _key(self, treeish: str, include: tuple[str, ...], exclude: tuple[str, ...]) -> str:
        return git_tree.key(self.chosen(treeish, include, exclude))

    def archive(self, treeish: str, include: Iterable[str], exclude: Iterable[str]) -> bytes:
        """A tar of the chosen files, as `pack` makes it."""
        return self.pack(self.chosen(treeish, include, exclude))

    def pack(self, chosen: Iterable[Entry]) -> bytes:
        """A tar of these entries, of whichever trees: the same bytes every time.

        Raises HostileTree for a gitlink or a symlink that leaves the tree, TooLarge over ARCHIVE_BYTES_MAX.
        """
        chosen = list(chosen)
        if gitlinks := [Hazard(HazardKind.GITLINK, entry.path) for entry in chosen if entry.mode == git_tree.GITLINK]:
            raise HostileTree(gitlinks)
        blobs = dict(zip(chosen, self._blobs([entry.oid for entry in chosen]), strict=True))
        hostile = [
            Hazard(HazardKind.SYMLINK, entry.path)
            for entry, blob in blobs.items()
            if entry.mode == git_tree.SYMLINK and not git_tree.stays_inside(entry.path, _text(blob))
        ]
        if hostile:
            raise HostileTree(hostile)
        return git_tree.tar(blobs)

    # -- the process --

    def _measure(self, treeish: str) -> None:
        """What walks two trees at once gathers before it writes, and only its memory would stop it; a listing streams."""
        self._git("ls-tree", "-r", "-z", "--full-tree", _oid(treeish))

    def _diff(self, tree_a: str, tree_b: str) -> list[Change]:
        options = ("-r", "-z", "--raw", "--no-renames", "--no-abbrev", "--no-ext-diff", "--ignore-submodules=none")
        return git_tree.changes(self._git("diff-tree", *options, _oid(tree_a), _oid(tree_b), "--").out)

    def _tip(self, ref: str) -> str | None:
        if loose := self._loose(ref):
            return loose
        done = self._git("rev-parse", "--verify", "--quiet", "--end-of-options", _ref(ref), ok=(0, 1))
        return _oid(_text(done.out).strip()) if done.status == 0 else None

    def _loose(self, ref: str) -> str | None:
        """What the ref's own file says, as most have one: a process would cost some 5 ms. None: git has to find it."""
        try:
            said = (self.path / _ref(ref)).read_text("ascii").strip()
        except (OSError, ValueError):
            return None
        return said if OID.fullmatch(said) else None

    def _fetch(self, source: Path, theirs: str, ref: str) -> None:
        options = ("--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance", "--no-recurse-submodules")
        where = (f"--upload-pack={READ_FOREIGN}", str(source), f"+{theirs}:{ref}")
        done = self._git("fetch", *options, *where, env=LOCAL, ok=(0, 1, 128))
        if "couldn't find remote ref" in done.problem:
            raise NoSuchBranch(f"{source} has no branch {theirs.removeprefix('refs/heads/')} with a commit on it")
        if "shallow" in done.problem:
            raise GitFailed(f"{source} is a shallow clone: run `git fetch --unshallow` there first")
        if done.status != 0:
            raise GitFailed(f"{source} cannot be read: {done.problem}")

    def _objects(self, oids: Iterable[str]) -> list[tuple[str, str, int]]:
        """Id, type and size of each; an unknown one has the type `missing`."""
        asked = "".join(f"{_oid(oid)}\n" for oid in oids).encode()
        lines = _lines(self._git("cat-file", "--batch-check", stdin=asked).out) if asked else []
        parts = [line.split(" ") for line in lines]
        return [(part[0], part[1], int(part[2]) if len(part) == 3 else 0) for part in parts]

    def _links(self, oids: list[str]) -> dict[str, str]:
        return {oid: _text(blob) for oid, blob in zip(oids, self._blobs(oids), strict=True) if blob is not None}

    def _blobs(self, names: list[str]) -> list[bytes | None]:
        """The blobs of these names (an id, or `id:path`), by `cat-file --batch -z`: None where it is no blob."""
        if not names:
            return []
        asked = [name.encode("utf-8", "surrogateescape") for name in names]
        out = self._git("cat-file", "--batch", "-z", stdin=b"\0".join(asked) + b"\0", limit=ARCHIVE_BYTES_MAX).out
        blobs, at = [], 0
        for name in asked:
            # The name may hold a newline. What was found begins with an id and a space, where this one has a colon.
            missing = name + b" missing\n"
            if out.startswith(missing, at):
                blobs.append(None)
                at += len(missing)
                continue
            end = out.index(b"\n", at)
            _oid_, kind, size = out[at:end].split(b" ")
            start, at = end + 1, end + 1 + int(size) + 1
            blobs.append(out[start : at - 1] if kind == b"blob" else None)
        return blobs

    def _make_ready(self) -> None:
        self._replace("config", CONFIG)
        # A lock of a process that was killed would refuse its ref for ever; half a push would stay on the disk.
        for lock in (*self.path.glob("*.lock"), *self.path.glob("refs/**/*.lock")):
            lock.unlink(missing_ok=True)
        for half in self.path.glob("objects/tmp_objdir-*"):
            shutil.rmtree(half, ignore_errors=True)

    def _replace(self, name: str, text: str) -> None:
        """Writes a file of the repository's as a whole: after a power loss it is the old one or the new one."""
        fresh = self.path / f"{name}.new"
        with open(fresh, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, self.path / name)
        _sync(self.path)

    def _git(
        self,
        verb: str,
        *arguments: str,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        ok: tuple[int, ...] = (0,),
        limit: int = OUTPUT_BYTES_MAX,
    ) -> "_Ended":
        # `env -i`, since GitPython can only add to the server's environment.
        clean = [f"{key}={value}" for key, value in (ENVIRONMENT | dict(env or {})).items()]
        git = [program(), f"--git-dir={self.path}", *OPTIONS, verb, *arguments]
        sink = _Sink(limit)
        with tempfile.TemporaryFile() as given:
            given.write(stdin)
            given.seek(0)
            status, _, problem = self._git_in.execute(
                ["/usr/bin/env", "-i", *clean, *LIMITED, *git],
                istream=given,
                output_stream=sink,
                max_chunk_size=CHUNK_BYTES,
                kill_after_timeout=GIT_TIME_S,
                with_extended_output=True,
                with_exceptions=False,
                shell=False,
            )
        if status not in ok:
            raise GitFailed(f"git {verb} ended with {status}: {problem.strip()[-500:]}")
        return _Ended(status, sink.getvalue(), problem)


@dataclass(frozen=True)
class _Ended:
    status: int
    out: bytes
    problem: str  # what it wrote to stderr


class _Sink(io.BytesIO):
    """A buffer that takes so much and no more."""

    def __init__(self, limit: int):
        super().__init__()
        self._limit = limit

    def write(self, chunk: bytes) -> int:
        if self.tell() + len(chunk) > self._limit:
            raise TooLarge(f"git answered more than {self._limit:,} bytes")
        return super().write(chunk)


@cache
def program() -> str:
    """Where git is."""
    found = shutil.which("git")
    if found is None:
        raise GitFailed("git is not installed")
    return found


def _oid(oid: str) -> str:
    """The gate for everything that reaches git's command line as an object: full ids only, so never an option."""
    if not OID.fullmatch(oid):
        raise ValueError(f"not a full object id: {oid!r}")
    return oid


def _ref(ref: str) -> str:
    if not ref.startswith("refs/") or NO_REF.search(ref):
        raise ValueError(f"not a ref: {ref!r}")
    return ref


def _sync(path: Path) -> None:
    """Makes a file's bytes or a directory's names durable."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _lines(raw: bytes) -> list[str]:
    """Lines as git means them: str.splitlines would also break at U+2028 and others, which a ref's name may hold."""
    return _text(raw).split("\n")[:-1]


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
