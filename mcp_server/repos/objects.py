"""What a repository holds: trees, files and what differs between two of them, as values. Reads only.

Rule: whatever an agent chose is measured before two trees are walked at once, and read up to a limit.
"""

from collections.abc import Callable, Iterable

from mcp_server.core.paths import covers, is_path
from mcp_server.repos import trees
from mcp_server.repos.cat_file import CatFile
from mcp_server.repos.process import BareGit, GitFailed, GitOutputTooLarge, full_oid, text
from mcp_server.repos.recent import Recent
from mcp_server.repos.trees import Change, Hazard, TreeEntry
from oracle.inside import formats

DIFF = ("-r", "-z", "--raw", "--no-renames", "--no-abbrev", "--no-ext-diff", "--ignore-submodules=none")
LISTINGS_KEPT, DIFFS_KEPT, MEASURED_KEPT = 8, 16, 1024
KEPT_ENTRIES_MAX = 20_000  # some 8 MB of one listing or diff: larger ones are read again


class Objects:
    """The trees and files of one repository. A treeish is the full id of a commit or a tree."""

    def __init__(self, git: BareGit, cat_file: CatFile):
        self._git, self._cat_file = git, cat_file
        self._listings: Recent[list[TreeEntry]] = Recent(LISTINGS_KEPT, KEPT_ENTRIES_MAX)
        self._diffs: Recent[list[Change]] = Recent(DIFFS_KEPT, KEPT_ENTRIES_MAX)
        self._measured: Recent[bool] = Recent(MEASURED_KEPT, KEPT_ENTRIES_MAX)
        self._sizes: Recent[int] = Recent(MEASURED_KEPT, KEPT_ENTRIES_MAX)  # of trees, in bytes
        self._trees: Recent[str] = Recent(MEASURED_KEPT, KEPT_ENTRIES_MAX)  # of commits

    # -- trees --

    def ls_tree(self, treeish: str) -> list[TreeEntry]:
        """Return every file below, at any depth, in git's order."""
        treeish = self.noted_tree(treeish)
        listing = self._listings.get(treeish)
        if listing is None:
            listing = trees.entries(self._git.run("ls-tree", "-r", "-z", "--full-tree", treeish).out)
            self._listings.keep(treeish, listing, size=len(listing))
            self.note_measured(treeish)
        return list(listing)

    def tree_of(self, commit: str) -> str:
        """Return the id of the commit's tree."""
        tree = self._trees.get(full_oid(commit))
        if tree is None:
            answer = self._git.run("rev-parse", "--verify", "--quiet", f"{commit}^{{tree}}").out
            tree = full_oid(text(answer).strip())
            self.note_tree(commit, tree)
        return tree

    def noted_tree(self, treeish: str) -> str:
        """Return the commit's tree where that has been noted, and `treeish` itself otherwise.

        What is remembered of the tree is so found for the commit too.
        """
        return self._trees.get(full_oid(treeish)) or treeish

    def note_tree(self, commit: str, tree: str) -> None:
        """Remember which tree the commit has."""
        self._trees.keep(commit, tree)

    # -- what differs --

    def diff(self, tree_a: str, tree_b: str) -> list[Change]:
        """Return the changes from `tree_a`, which is ours, to `tree_b`.

        Raise GitOutputTooLarge if `tree_b` names too many files.
        """
        self.measure(tree_b)
        return self.diff_measured(tree_a, tree_b)

    def diff_measured(self, tree_a: str, tree_b: str) -> list[Change]:
        """Return the changes between two trees that are both measured."""
        pair = (self.noted_tree(tree_a), self.noted_tree(tree_b))
        if pair[0] == pair[1]:
            return []
        changes = self._diffs.get(pair)
        if changes is None:
            changes = trees.changes(self._git.run("diff-tree", *DIFF, *pair, "--").out)
            self._diffs.keep(pair, changes, size=len(changes))
        return list(changes)

    def measure(self, treeish: str) -> None:
        """Raise GitOutputTooLarge if the tree names more files than may be listed.

        What walks two trees at once gathers before it writes, and only its memory would stop it; a listing
        streams.
        """
        treeish = self.noted_tree(treeish)
        if treeish not in self._measured:
            self._git.run("ls-tree", "-r", "-z", "--full-tree", treeish)
            self.note_measured(treeish)

    def note_measured(self, treeish: str) -> None:
        """Remember that the tree is not too large."""
        self._measured.keep(treeish, True)

    def hazards(self, changes: Iterable[Change], tree: str) -> list[Hazard]:
        """Return what must not land in a diff whose result is `tree`.

        Raise GitOutputTooLarge if more has changed than can be judged.
        """
        changes = list(changes)
        if len(changes) > trees.CHANGED_MAX:
            raise GitOutputTooLarge(
                f"it changes {len(changes):,} files, and one landing may change {trees.CHANGED_MAX:,}"
            )
        files = [change for change in changes if change.new_mode not in (trees.ABSENT, trees.GITLINK)]
        heads = self._cat_file.describe({change.new_oid for change in files})
        sizes = {head.oid: head.size for head in heads}
        links = {change.new_oid for change in files if change.new_mode == trees.SYMLINK}
        short = [oid for oid in links if sizes[oid] <= trees.LINK_BYTES_MAX]
        all_paths = (entry.path for entry in self.ls_tree(tree))
        return trees.hazards(changes, all_paths, self._cat_file.links(short), sizes)

    def derived_files(
        self, changes: Iterable[Change], tree: str, built: Callable[[str], bool]
    ) -> list[Hazard]:
        """Return what a diff whose result is `tree` adds or alters, and another file is the source of.

        `built` tells if the build of main makes a path.
        """
        changes = list(changes)
        oids = {change.new_oid for change in changes if change.new_mode in (trees.FILE, trees.EXECUTABLE)}
        heads = self._cat_file.beginnings(oids, formats.HEAD_BYTES)
        compiled = {oid for oid, head in heads.items() if formats.is_compiled(head)}
        return trees.derived_files(changes, {entry.path for entry in self.ls_tree(tree)}, compiled, built)

    def tree_bytes(self, treeish: str, include: tuple[str, ...]) -> int:
        """Return how many bytes those files of a tree have together that some glob of `include` covers."""
        key = (self.noted_tree(treeish), include)
        size = self._sizes.get(key)
        if size is None:
            files = (entry for entry in self.ls_tree(treeish) if entry.mode != trees.GITLINK)
            oids = [entry.oid for entry in files if covers(include, entry.path)]
            size = sum(head.size for head in self._cat_file.describe(oids))
            self._sizes.keep(key, size)
        return size

    def grown(self, changes: Iterable[Change]) -> dict[str, int]:
        """Return by how many bytes each changed path has grown."""
        changes = list(changes)
        sides = [
            (change.path, sign, oid)
            for change in changes
            for sign, mode, oid in (
                (1, change.new_mode, change.new_oid),
                (-1, change.old_mode, change.old_oid),
            )
            if mode not in (trees.ABSENT, trees.GITLINK)
        ]
        grown = dict.fromkeys((change.path for change in changes), 0)
        heads = self._cat_file.describe(oid for _, _, oid in sides)
        for (path, sign, _), head in zip(sides, heads, strict=True):
            grown[path] += sign * head.size
        return grown

    # -- files --

    def blob_size(self, oid: str) -> int:
        """Return the size of a file's content in bytes. Raise GitFailed if the object is no blob."""
        [head] = self._cat_file.describe([full_oid(oid)])
        if head.kind != "blob":
            raise GitFailed(f"{oid} is {head.kind}, not a blob")
        return head.size

    def symlink_target(self, oid: str) -> str:
        """Return where the symlink with this id leads."""
        return self._cat_file.links([oid])[oid]

    def read(self, treeish: str, path: str) -> bytes | None:
        """Return a file's bytes (a symlink's are its target), or None if the tree has no such file."""
        return self.read_many([(treeish, path)])[0]

    def read_many(self, places: Iterable[tuple[str, str]]) -> list[bytes | None]:
        """Return what `read` does for each (treeish, path), in their order, by one process.

        Raise GitOutputTooLarge if they are over cat_file.BATCH_BYTES_MAX together.
        """
        # To git, `./x` is something else than a path from the root.
        named = [(f"{full_oid(treeish)}:{path}", is_path(path)) for treeish, path in places]
        contents = iter(self._cat_file.blobs([name for name, is_usable in named if is_usable]))
        return [next(contents) if is_usable else None for _, is_usable in named]
