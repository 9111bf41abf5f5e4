"""The way between the user's repository and ours: a branch is imported, and shown again as a remote one.

Rule: a branch of ours goes forward only, and the user's own branches and files stay as they are.
"""

from dataclasses import dataclass
from pathlib import Path

from mcp_server.disk import write_whole
from mcp_server.repos.commits import Commits
from mcp_server.repos.process import ZERO, BareGit, GitFailed, full_ref
from mcp_server.repos.refs import NoSuchBranch, Refs
from mcp_server.repos.settings import LOCAL, READ_FOREIGN, WRITE_FOREIGN


class Diverged(Exception):
    """The user's branch and ours both have commits that the other lacks; a person must merge them."""

    def __init__(self, ours: str, theirs: str):
        super().__init__(f"ours is at {ours}, theirs at {theirs}, and neither contains the other")
        self.ours, self.theirs = ours, theirs


@dataclass(frozen=True)
class Imported:
    """What an import came to: `commit` is where our branch is now, `changed` whether it moved."""

    commit: str
    changed: bool


class BranchExchange:
    """Imports to and exports from one repository of ours."""

    def __init__(self, git: BareGit, refs: Refs, commits: Commits):
        self._git, self._refs, self._commits = git, refs, commits

    def import_branch(self, source: Path | str, branch: str) -> Imported:
        """Bring the user's branch into ours: forward only.

        Raise NoSuchBranch, Diverged, or GitFailed if the source cannot be read.
        """
        ours_ref, theirs_ref = full_ref(f"refs/heads/{branch}"), f"refs/import/{branch}"
        self._fetch(Path(source).resolve(), ours_ref, theirs_ref)
        ours, theirs = self._refs.tip(ours_ref), self._refs.tip(theirs_ref)
        assert theirs is not None
        if ours is None:
            self._write_head(ours_ref)
        elif ours == theirs or self._commits.is_ancestor(theirs, ours):
            return Imported(ours, changed=False)
        elif not self._commits.is_ancestor(ours, theirs):
            raise Diverged(ours, theirs)
        if not self._refs.compare_and_swap(ours_ref, theirs, ours or ZERO):
            raise GitFailed(f"{ours_ref} moved during the import; nothing was changed, import again")
        return Imported(theirs, changed=True)

    def export_branch(self, target: Path | str, branch: str) -> None:
        """Show our branch to the user as refs/remotes/harness/<branch>.

        Raise GitFailed if that repository cannot be written.
        """
        refspec = f"+{full_ref(f'refs/heads/{branch}')}:refs/remotes/harness/{branch}"
        path = str(Path(target).resolve())
        self._git.run("push", "--quiet", f"--receive-pack={WRITE_FOREIGN}", path, refspec, env=LOCAL)

    def _fetch(self, source: Path, theirs: str, ref: str) -> None:
        """Fetch the source's ref `theirs` into our `ref`."""
        answer = self._git.run(
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
            "--no-auto-maintenance",
            "--no-recurse-submodules",
            f"--upload-pack={READ_FOREIGN}",
            str(source),
            f"+{theirs}:{ref}",
            env=LOCAL,
            ok=(0, 1, 128),
        )
        if "couldn't find remote ref" in answer.problem:
            branch = theirs.removeprefix("refs/heads/")
            raise NoSuchBranch(f"{source} has no branch {branch} with a commit on it")
        if "shallow" in answer.problem:
            raise GitFailed(f"{source} is a shallow clone: run `git fetch --unshallow` there first")
        if answer.status != 0:
            raise GitFailed(f"{source} cannot be read: {answer.problem}")

    def _write_head(self, ref: str) -> None:
        """Make the branch the one that a clone checks out.

        `git symbolic-ref` does not sync, and with an empty HEAD after a power loss this is no repository.
        """
        write_whole(self._git.path / "HEAD", f"ref: {ref}\n".encode())
