"""Owns what a client sends as a patch until it is known to be good: a repository beside the real one, which
it reads.

Rule: whatever is refused leaves nothing behind. New objects go to a directory of their own, as git itself
does with a push (git-receive-pack, "Quarantine Environment"); `adopt` takes them over, checked as a push is,
and all else is deleted. No work tree is touched: a patch is applied to an index.
"""

import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcp_server.repos.process import GitResult
from mcp_server.repos.repository import Repository

PREFIX = "tmp_objdir-patch-"  # a killed server's are swept by Repository.open
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


class Quarantine(Repository):
    """Everything that a repository can do, with all that it writes kept apart."""

    def __init__(self, of: Path, apart: Path):
        super().__init__(of)
        self._apart = {"GIT_OBJECT_DIRECTORY": str(apart), "GIT_INDEX_FILE": str(apart / "index")}

    def patched(self, base: str, patch: bytes) -> str | UnfitPatch:
        """The tree that the patch makes of commit `base`.

        The counts in a hunk's head are believed first; where they are wrong, as a person or a model gets them
        wrong, the hunk's own lines are counted. Its context has to be there in either case. Raises
        GitOutputTooLarge and GitFailed.
        """
        self._git("read-tree", base)
        fit = self._apply(patch)
        if isinstance(fit, UnfitPatch) and any(CORRUPT.search(problem) for problem in fit.problems):
            fit = self._apply(patch, "--recount")
        return fit if isinstance(fit, UnfitPatch) else self._git("write-tree").out.decode().strip()

    def _apply(self, patch: bytes, *options: str) -> UnfitPatch | None:
        done = self._git("apply", "--cached", "--whitespace=nowarn", *options, stdin=patch, ok=(0, 1, 128))
        if done.status == 0:
            return None
        said = [
            line.partition(": ")[2]
            for line in done.problem.splitlines()
            if line.startswith(("error: ", "fatal: "))
        ]
        told = [line[:PROBLEM_CHARACTERS] for line in said if str(self.path) not in line]
        return UnfitPatch(tuple(told[:PROBLEMS_MAX]) or ("git cannot apply it",), is_patch=done.status == 1)

    def _git(
        self, verb: str, *arguments: str, env: Mapping[str, str] | None = None, **more: Any
    ) -> GitResult:
        return super()._git(verb, *arguments, env=self._apart | dict(env or {}), **more)


@contextmanager
def beside(repository: Repository) -> Iterator[Quarantine]:
    """A quarantine, gone at the end with all that was not adopted."""
    objects = repository.path / "objects"
    apart = Path(tempfile.mkdtemp(prefix=PREFIX, dir=objects))
    try:
        (apart / "info").mkdir()
        (apart / "info" / "alternates").write_text(f"{objects}\n")
        yield Quarantine(repository.path, apart)
    finally:
        shutil.rmtree(apart, ignore_errors=True)


def adopt(repository: Repository, quarantine: Quarantine, commit: str, base: str) -> None:
    """Takes over `commit` and all that `base` has not, as one pack whose every object git has checked."""
    pack = quarantine._git(
        "pack-objects", "--quiet", "--revs", "--stdout", stdin=f"{commit}\n^{base}\n".encode()
    ).out
    repository._git("index-pack", "--strict", "--stdin", stdin=pack)
