"""The files of a tree that some globs choose: as entries, as a key that names their content, as a tar.

Rule: the same files give the same key and the same bytes, whichever commit they are taken from.
"""

from collections.abc import Collection, Iterable
from functools import lru_cache

from mcp_server.core.paths import covers
from mcp_server.repos import trees
from mcp_server.repos.cat_file import CatFile
from mcp_server.repos.objects import Objects
from mcp_server.repos.process import full_oid
from mcp_server.repos.trees import Hazard, HazardKind, HostileTree, TreeEntry

# Keys of trees that do not change: some 100 bytes each, where finding one again lists the tree.
KEYS_REMEMBERED = 4096
# Main and what is merged onto it: a few hundred bytes for each file.
LISTINGS_REMEMBERED = 2


class Files:
    """Choices of files from the trees of one repository. A treeish is the full id of a commit or a tree."""

    def __init__(self, objects: Objects, cat_file: CatFile):
        self._objects, self._cat_file = objects, cat_file

    def choose(self, treeish: str, include: Iterable[str], exclude: Iterable[str]) -> list[TreeEntry]:
        """Return the entries that some glob of `include` covers and none of `exclude`, in git's order."""
        include, exclude = tuple(include), tuple(exclude)
        entries = self._list(full_oid(treeish))
        return [entry for entry in entries if covers(include, entry.path) and not covers(exclude, entry.path)]

    def key(self, treeish: str, include: Iterable[str], exclude: Iterable[str]) -> str:
        """Return a SHA-256 over exactly what `archive` with the same globs holds: equal keys, equal files."""
        return self._key(self._objects.noted_tree(treeish), tuple(include), tuple(exclude))

    def archive(self, treeish: str, include: Iterable[str], exclude: Iterable[str]) -> bytes:
        """Return a tar of the chosen files, as `pack` makes it."""
        return self.pack(self.choose(treeish, include, exclude))

    def pack(self, entries: Iterable[TreeEntry], *, owned: Collection[TreeEntry] = ()) -> bytes:
        """Return a tar of these entries, of whichever trees: the same bytes every time.

        Raise HostileTree for a gitlink or a symlink that leaves the tree, unless it is `owned`: then it is
        the user's business. Such a symlink is in the tar as it is; a gitlink, which has no files here, is
        not. Raise GitOutputTooLarge if the files are over cat_file.BATCH_BYTES_MAX.
        """
        entries = list(entries)
        if hazards := self.unpackable(entries, owned=owned):
            raise HostileTree(hazards)
        entries = [entry for entry in entries if entry.mode != trees.GITLINK]
        files: dict[TreeEntry, bytes] = {}
        for entry, content in zip(
            entries, self._cat_file.blobs([entry.oid for entry in entries]), strict=True
        ):
            assert content is not None, f"{entry.path} is listed as a file and is no blob"
            files[entry] = content
        return trees.tar(files)

    def unpackable(self, entries: Iterable[TreeEntry], *, owned: Collection[TreeEntry] = ()) -> list[Hazard]:
        """Return the entries that no tar may hold: gitlinks, and symlinks that leave the tree, but for those
        that are `owned`.
        """
        special = [
            entry for entry in entries if entry.mode in (trees.GITLINK, trees.SYMLINK) and entry not in owned
        ]
        targets = self._cat_file.links([entry.oid for entry in special if entry.mode == trees.SYMLINK])
        hazards = []
        for entry in special:
            if entry.mode == trees.GITLINK:
                hazards.append(Hazard(HazardKind.GITLINK, entry.path))
            elif not trees.stays_inside(entry.path, targets[entry.oid]):
                hazards.append(Hazard(HazardKind.SYMLINK, entry.path))
        return hazards

    # Each suite chooses from the same few trees. A server's repositories live as long as it does, so the
    # caches hold nothing back.

    @lru_cache(LISTINGS_REMEMBERED)  # noqa: B019
    def _list(self, treeish: str) -> tuple[TreeEntry, ...]:
        return tuple(self._objects.ls_tree(treeish))

    @lru_cache(KEYS_REMEMBERED)  # noqa: B019
    def _key(self, treeish: str, include: tuple[str, ...], exclude: tuple[str, ...]) -> str:
        return trees.key(self.choose(treeish, include, exclude))
