"""What a repository holds: trees, files and what differs between two of them, as values. Reads only.

Rule: whatever an agent chose is measured before two trees are walked at once, and read up to a limit.
"""

import hashlib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

from mcp_server.core.paths import covers, is_path
from mcp_server.repos import trees as git_tree
from mcp_server.repos.process import Bare, GitFailed, GitOutputTooLarge, full_oid, full_ref, lines, text
from mcp_server.repos.recent import Recent
from mcp_server.repos.trees import Change, Hazard, HazardKind, HostileTree, TreeEntry

KEYS_REMEMBERED = (
    4096  # of trees that do not change: some 100 bytes each, where finding one again lists the tree
)
LISTINGS_REMEMBERED = 2  # main and what is merged onto it: a few hundred bytes for each file
ARCHIVE_BYTES_MAX = 256 * 1024 * 1024


DIFF = ("-r", "-z", "--raw", "--no-renames", "--no-abbrev", "--no-ext-diff", "--ignore-submodules=none")
LISTINGS_KEPT, DIFFS_KEPT, MEASURED_KEPT = 8, 16, 1024
KEPT_ENTRIES_MAX = 20_000  # some 8 MB of one listing or diff: larger ones are read again


class Objects(Bare):
    """A treeish is the full id of a commit or a tree."""

    def __init__(self, path: Path):
        super().__init__(path)
        self._listings: Recent[list[TreeEntry]] = Recent(LISTINGS_KEPT, KEPT_ENTRIES_MAX)
        self._diffs: Recent[list[Change]] = Recent(DIFFS_KEPT, KEPT_ENTRIES_MAX)
        self._measured: Recent[bool] = Recent(MEASURED_KEPT, KEPT_ENTRIES_MAX)
        self._trees: Recent[str] = Recent(MEASURED_KEPT, KEPT_ENTRIES_MAX)  # of commits

    def diff(self, tree_a: str, tree_b: str) -> list[Change]:
        """From `tree_a`, which is ours, to `tree_b`. Raises GitOutputTooLarge where that one is."""
        self._measure(tree_b)
        return self._diff(tree_a, tree_b)

    def hazards(self, changed: Iterable[Change], tree: str) -> list[Hazard]:
        """What in a diff must not land; `tree` is its result. Raises GitOutputTooLarge where more has changed
        than can be judged.
        """
        changed = list(changed)
        if len(changed) > git_tree.CHANGED_MAX:
            raise GitOutputTooLarge(
                f"it changes {len(changed):,} files, and one landing may change {git_tree.CHANGED_MAX:,}"
            )
        kept = [change for change in changed if change.new_mode not in (git_tree.ABSENT, git_tree.GITLINK)]
        sizes = {oid: size for oid, _kind, size in self._objects({change.new_oid for change in kept})}
        links = {change.new_oid for change in kept if change.new_mode == git_tree.SYMLINK}
        short = [oid for oid in links if sizes[oid] <= git_tree.LINK_BYTES_MAX]
        return git_tree.hazards(
            changed, (entry.path for entry in self.ls_tree(tree)), self._links(short), sizes
        )

    def ls_tree(self, treeish: str) -> list[TreeEntry]:
        """Every file below, at any depth."""
        treeish = self._tree(treeish)
        known = self._listings.get(treeish)
        if known is None:
            known = git_tree.entries(self._git("ls-tree", "-r", "-z", "--full-tree", treeish).out)
            self._listings.keep(treeish, known, size=len(known))
            self._note_measured(treeish)
        return list(known)

    def tree_of(self, commit: str) -> str:
        known = self._trees.get(full_oid(commit))
        if known is None:
            known = full_oid(
                text(self._git("rev-parse", "--verify", "--quiet", f"{commit}^{{tree}}").out).strip()
            )
            self._trees.keep(commit, known)
        return known

    def blob_size(self, oid: str) -> int:
        [(_oid_, kind, size)] = self._objects([full_oid(oid)])
        if kind != "blob":
            raise GitFailed(f"{oid} is {kind}, not a blob")
        return size

    def symlink_target(self, oid: str) -> str:
        return self._links([oid])[oid]

    def read(self, treeish: str, path: str) -> bytes | None:
        """A file's bytes (a symlink's are its target), or None where the tree has no file of that name."""
        return self.read_many([(treeish, path)])[0]

    def read_many(self, wanted: Iterable[tuple[str, str]]) -> list[bytes | None]:
        """As `read`, in the order asked, by one process. Raises GitOutputTooLarge over ARCHIVE_BYTES_MAX
        together.
        """
        asked = [
            (f"{full_oid(treeish)}:{path}", is_path(path)) for treeish, path in wanted
        ]  # to git, `./x` is something else
        found = iter(self._blobs([name for name, good in asked if good]))
        return [next(found) if good else None for _, good in asked]

    def ever_held(self, branch: str, contents: Mapping[str, bytes]) -> list[str]:
        """The names of those contents that a file on the branch has now or had in some commit of its history."""
        oids = {
            name: hashlib.sha1(b"blob %d\0%b" % (len(content), content)).hexdigest()
            for name, content in contents.items()
        }
        here = {oid for oid, kind, _size in self._objects(sorted(set(oids.values()))) if kind == "blob"}
        options = ("-m", "--format=%H", "--max-count=1", "--no-show-signature")
        held = {
            oid
            for oid in here
            if self._git(
                "log", *options, f"--find-object={oid}", full_ref(f"refs/heads/{branch}"), "--"
            ).out.strip()
        }
        return sorted(name for name, oid in oids.items() if oid in held)

    def chosen(self, treeish: str, include: Iterable[str], exclude: Iterable[str]) -> list[TreeEntry]:
        """The entries of a tree that some glob of `include` covers and none of `exclude`, in git's order."""
        include, exclude = tuple(include), tuple(exclude)
        entries = self._listed(full_oid(treeish))
        return [entry for entry in entries if covers(include, entry.path) and not covers(exclude, entry.path)]

    def tree_key(self, treeish: str, include: Iterable[str], exclude: Iterable[str]) -> str:
        """A SHA-256 over exactly what `archive` with the same globs would hold: equal keys, equal files."""
        return self._key(self._tree(treeish), tuple(include), tuple(exclude))

    @lru_cache(LISTINGS_REMEMBERED)  # noqa: B019 - as for `_key`
    def _listed(self, treeish: str) -> tuple[TreeEntry, ...]:
        """Each suite chooses from the same few trees."""
        return tuple(self.ls_tree(treeish))

    @lru_cache(KEYS_REMEMBERED)  # noqa: B019 - a server's repositories live as long as it does
    def _key(self, treeish: str, include: tuple[str, ...], exclude: tuple[str, ...]) -> str:
        return git_tree.key(self.chosen(treeish, include, exclude))

    def archive(self, treeish: str, include: Iterable[str], exclude: Iterable[str]) -> bytes:
        """A tar of the chosen files, as `pack` makes it."""
        return self.pack(self.chosen(treeish, include, exclude))

    def pack(self, chosen: Iterable[TreeEntry]) -> bytes:
        """A tar of these entries, of whichever trees: the same bytes every time.

        Raises HostileTree for a gitlink or a symlink that leaves the tree, GitOutputTooLarge over
        ARCHIVE_BYTES_MAX.
        """
        chosen = list(chosen)
        if hazards := self.no_files(chosen):
            raise HostileTree(hazards)
        return git_tree.tar(dict(zip(chosen, self._blobs([entry.oid for entry in chosen]), strict=True)))

    def no_files(self, chosen: Iterable[TreeEntry]) -> list[Hazard]:
        """Those of the entries that cannot be handed out as files: gitlinks, and symlinks that leave the
        tree.
        """
        special = [entry for entry in chosen if entry.mode in (git_tree.GITLINK, git_tree.SYMLINK)]
        targets = self._links([entry.oid for entry in special if entry.mode == git_tree.SYMLINK])
        return [
            Hazard(HazardKind.GITLINK if entry.mode == git_tree.GITLINK else HazardKind.SYMLINK, entry.path)
            for entry in special
            if entry.mode == git_tree.GITLINK or not git_tree.stays_inside(entry.path, targets[entry.oid])
        ]

    def _tree(self, treeish: str) -> str:
        """The commit's tree where that is known already, so that what is known of one is known of the other."""
        return self._trees.get(full_oid(treeish)) or treeish

    def _measure(self, treeish: str) -> None:
        """What walks two trees at once gathers before it writes, and only its memory would stop it; a listing
        streams.
        """
        treeish = self._tree(treeish)
        if treeish not in self._measured:
            self._git("ls-tree", "-r", "-z", "--full-tree", treeish)
            self._note_measured(treeish)

    def _note_measured(self, treeish: str) -> None:
        self._measured.keep(treeish, True)

    def _diff(self, tree_a: str, tree_b: str) -> list[Change]:
        pair = (self._tree(tree_a), self._tree(tree_b))
        known = self._diffs.get(pair) if pair[0] != pair[1] else []
        if known is None:
            known = git_tree.changes(self._git("diff-tree", *DIFF, *pair, "--").out)
            self._diffs.keep(pair, known, size=len(known))
        return list(known)

    def _changed_since(self, bases: list[str], commit: str) -> list[Change]:
        return [change for base in bases for change in self._diff(base, commit)]

    def _objects(self, oids: Iterable[str]) -> list[tuple[str, str, int]]:
        """Id, type and size of each; an unknown one has the type `missing`."""
        asked = "".join(f"{full_oid(oid)}\n" for oid in oids).encode()
        answered = lines(self._git("cat-file", "--batch-check", stdin=asked).out) if asked else []
        parts = [line.split(" ") for line in answered]
        return [(part[0], part[1], int(part[2]) if len(part) == 3 else 0) for part in parts]

    def _links(self, oids: list[str]) -> dict[str, str]:
        return {
            oid: text(blob) for oid, blob in zip(oids, self._blobs(oids), strict=True) if blob is not None
        }

    def _blobs(self, names: list[str]) -> list[bytes | None]:
        """The blobs of these names (an id, or `id:path`), by `cat-file --batch -z`: None where it is no blob."""
        if not names:
            return []
        asked = [name.encode("utf-8", "surrogateescape") for name in names]
        out = self._git(
            "cat-file", "--batch", "-z", stdin=b"\0".join(asked) + b"\0", limit=ARCHIVE_BYTES_MAX
        ).out
        blobs, at = [], 0
        for name in asked:
            # The name may hold a newline. What was found begins with an id and a space, where this one has a
            # colon.
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
