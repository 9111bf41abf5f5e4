"""Owns what a client sends as a patch until it is known to be good: a place beside the real repository, which
it reads.

Rule: whatever is refused leaves nothing behind. New objects go to a directory of their own, as git itself
does with a push (git-receive-pack, "Quarantine Environment"); `adopt` takes them over, checked as a push is,
and all else is deleted. No work tree is touched: a patch is applied to an index.
"""

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mcp_server.repos.cat_file import CatFile
from mcp_server.repos.commits import Commits
from mcp_server.repos.objects import Objects
from mcp_server.repos.process import BareGit
from mcp_server.repos.repository import Repository

PREFIX = "tmp_objdir-patch-"  # a killed server's are swept by Upkeep.make_ready
CORRUPT = re.compile(r"corrupt patch at line \d+")
PROBLEMS_MAX = 3
PROBLEM_CHARACTERS = 300


@dataclass(frozen=True)
class UnfitPatch:
    """Why a patch cannot be applied, in git's words: at most PROBLEMS_MAX of them. `is_patch`: it can at
    least be read.
    """

    problems: tuple[str, ...]
    is_patch: bool


class Quarantine:
    """The objects and commits of a repository, with all that is written kept apart."""

    def __init__(self, git: BareGit, apart: Path):
        """`git` is the real repository's, `apart` an empty directory of objects that reads from it."""
        self._real_git = git
        self._git = BareGit(
            git.path, {"GIT_OBJECT_DIRECTORY": str(apart), "GIT_INDEX_FILE": str(apart / "index")}
        )
        cat_file = CatFile(self._git)
        self.objects = Objects(self._git, cat_file)
        self.commits = Commits(self._git, self.objects, cat_file)

    def apply_patch(self, base: str, patch: bytes, strip: int) -> str | UnfitPatch:
        """Return the id of the tree that the patch makes of commit `base`, or why it makes none.

        `strip` is how many leading components of its paths are prefixes. The counts in a hunk's head are
        believed first; where they are wrong, as a person or a model gets them wrong, the hunk's own lines are
        counted. Its context has to be there in either case. Raise
        GitOutputTooLarge or GitFailed if git cannot do it at all.
        """
        self._git.run("read-tree", base)
        unfit = self._apply(patch, f"-p{strip}")
        if unfit is not None and any(CORRUPT.search(problem) for problem in unfit.problems):
            unfit = self._apply(patch, f"-p{strip}", "--recount")
        if unfit is not None:
            return unfit
        return self._git.run("write-tree").out.decode().strip()

    def adopt(self, commit: str, base: str) -> None:
        """Take `commit` and all that `base` has not into the real repository, as one pack whose every object
        git has checked.
        """
        revisions = f"{commit}\n^{base}\n".encode()
        pack = self._git.run("pack-objects", "--quiet", "--revs", "--stdout", stdin=revisions).out
        self._real_git.run("index-pack", "--strict", "--stdin", stdin=pack)

    def _apply(self, patch: bytes, *options: str) -> UnfitPatch | None:
        """Apply the patch to the index."""
        answer = self._git.run(
            "apply", "--cached", "--whitespace=nowarn", *options, stdin=patch, ok=(0, 1, 128)
        )
        if answer.status == 0:
            return None
        problems = [
            line.partition(": ")[2]
            for line in answer.problem.splitlines()
            if line.startswith(("error: ", "fatal: "))
        ]
        # What names a place on the server's disk is not for an agent.
        showable = [line[:PROBLEM_CHARACTERS] for line in problems if str(self._git.path) not in line]
        return UnfitPatch(
            tuple(showable[:PROBLEMS_MAX]) or ("git cannot apply it",), is_patch=answer.status == 1
        )


@contextmanager
def beside(repository: Repository) -> Iterator[Quarantine]:
    """Yield a quarantine, gone at the end with all that was not adopted."""
    objects = repository.path / "objects"
    apart = Path(tempfile.mkdtemp(prefix=PREFIX, dir=objects))
    try:
        (apart / "info").mkdir()
        (apart / "info" / "alternates").write_text(f"{objects}\n")
        yield Quarantine(repository.git, apart)
    finally:
        shutil.rmtree(apart, ignore_errors=True)
