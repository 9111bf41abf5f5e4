"""Merges in memory: the tree that two commits make together, or the paths at which they contradict each
other.

Rule: path by path. What somebody moved elsewhere is a conflict, and is not followed.
"""

from dataclasses import dataclass

from mcp_server.repos import trees
from mcp_server.repos.objects import Objects
from mcp_server.repos.process import BareGit, full_oid, lines, text
from mcp_server.repos.trees import Change


@dataclass(frozen=True)
class Merged:
    """A merge that came out clean; `tree` is its id."""

    tree: str


@dataclass(frozen=True)
class Conflict:
    """A merge that a person or an agent must make; no paths where the histories have no common commit."""

    paths: tuple[str, ...]


class Merging:
    """Merges of commits of one repository."""

    def __init__(self, git: BareGit, objects: Objects):
        self._git, self._objects = git, objects

    def merge(self, base: str, commit: str) -> Merged | Conflict:
        """Merge an agent's `commit` onto `base`, which is ours.

        Raise GitOutputTooLarge if the commit's tree names too many files. Git's exit status alone tells
        whether a merge was clean. Git 2.39, for one, follows renames whatever merge.renames says, so moved
        paths are looked for afterwards.
        """
        ancestors = self._common_ancestors(base, commit)
        if not ancestors:
            return Conflict(())
        self._objects.measure(commit)  # the others are on main, where nothing lands that was not measured
        answer = self._git.run(
            "merge-tree", "--write-tree", "-z", "--name-only", "--no-messages", base, commit, ok=(0, 1)
        )
        tree, *conflicted = (text(part) for part in answer.out.split(b"\0")[:-1])
        if answer.status == 1:
            return Conflict(tuple(conflicted))
        self._objects.note_measured(tree)  # each path of it is one of ours or of theirs
        moved = trees.moved(
            ours=self._changes_since(ancestors, base),
            theirs=self._changes_since(ancestors, commit),
            result=self._objects.diff_measured(base, full_oid(tree)),
            criss_cross=len(ancestors) > 1,
        )
        return Conflict(tuple(moved)) if moved else Merged(tree)

    def _common_ancestors(self, base: str, commit: str) -> list[str]:
        """Return the best common ancestors: several in a criss-cross history."""
        answer = self._git.run("merge-base", "--all", full_oid(base), full_oid(commit), ok=(0, 1))
        return lines(answer.out)

    def _changes_since(self, ancestors: list[str], commit: str) -> list[Change]:
        return [change for ancestor in ancestors for change in self._objects.diff_measured(ancestor, commit)]
