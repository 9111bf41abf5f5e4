"""The commits of a repository: found, related to each other, read as a log, and made.

Rule: a commit is meant by its id alone; the name of a ref means nothing here. A commit that is made is on no
ref.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping

from mcp_server.repos import trees
from mcp_server.repos.cat_file import CatFile
from mcp_server.repos.objects import Objects
from mcp_server.repos.process import OID, BareGit, full_oid, full_ref, text
from mcp_server.repos.settings import EMAIL_DOMAIN
from mcp_server.repos.trees import CommitInfo

LOG_MAX = 10_000  # commits
ABBREVIATED = re.compile(r"[0-9a-f]{7,39}")
AGENT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
NO_AUTHOR = re.compile(r"[<>\x00-\x1f]")
LOG_FORMAT = "%H%x00%T%x00%P%x00%an%x00%ct%x00%s%x00%B"
LOG_FIELDS = LOG_FORMAT.count("%x00") + 1


class Commits:
    """The commits of one repository."""

    def __init__(self, git: BareGit, objects: Objects, cat_file: CatFile):
        self._git, self._objects, self._cat_file = git, objects, cat_file

    def resolve(self, commit: str) -> str | None:
        """Return the full id of the one commit that these 7 to 40 hex digits mean, or None."""
        if ABBREVIATED.fullmatch(commit):
            candidates = text(self._git.run("rev-parse", f"--disambiguate={commit}").out).split()
        elif OID.fullmatch(commit):
            candidates = [commit]
        else:
            return None
        commits = [head.oid for head in self._cat_file.describe(candidates) if head.kind == "commit"]
        return commits[0] if len(commits) == 1 else None

    def agent_has(self, agent: str, commit: str) -> bool:
        """Return True if the commit exists and one of the agent's refs or a branch of ours reaches it."""
        if not AGENT_NAME.fullmatch(agent):
            raise ValueError(f"not the name of an agent: {agent!r}")
        if self.resolve(full_oid(commit)) is None:
            return False
        reachable = (f"--glob=refs/agents/{agent}/*", "--glob=refs/heads/*")
        return not self._git.run("rev-list", "--max-count=1", commit, "--not", *reachable).out.strip()

    def is_ancestor(self, ancestor: str, commit: str) -> bool:
        """Return True if `commit` is `ancestor` or has it in its history."""
        answer = self._git.run("merge-base", "--is-ancestor", full_oid(ancestor), full_oid(commit), ok=(0, 1))
        return answer.status == 0

    def log(self, branch: str, *, first_parent: bool = True, limit: int = LOG_MAX) -> list[CommitInfo]:
        """Return at most `limit` commits of the branch, newest first."""
        options = ["--first-parent"] if first_parent else []
        out = self._git.run(
            "log",
            *options,
            f"--format=tformat:{LOG_FORMAT}",
            "--no-mailmap",
            "--no-show-signature",
            "-z",
            f"--max-count={limit}",
            full_ref(f"refs/heads/{branch}"),
            "--",
        ).out
        fields = out.split(b"\0")[:-1]
        starts = range(0, len(fields), LOG_FIELDS)
        return [trees.commit_info(fields[start : start + LOG_FIELDS]) for start in starts]

    def ever_held(self, branch: str, contents: Mapping[str, bytes]) -> list[str]:
        """Return the names of those contents that a file on the branch has now or had in some commit of its
        history.
        """
        oids = {name: _blob_oid(content) for name, content in contents.items()}
        heads = self._cat_file.describe(sorted(set(oids.values())))
        on_branch = {
            head.oid for head in heads if head.kind == "blob" and self._is_in_history(branch, head.oid)
        }
        return sorted(name for name, oid in oids.items() if oid in on_branch)

    def create(self, tree: str, parents: Iterable[str], message: str, author: str, when_s: int) -> str:
        """Write a commit object and return its id; the same arguments give the same id."""
        assert not NO_AUTHOR.search(author), author
        env = {
            "GIT_AUTHOR_NAME": author,
            "GIT_AUTHOR_EMAIL": f"{author}@{EMAIL_DOMAIN}",
            "GIT_AUTHOR_DATE": f"@{when_s} +0000",
            "GIT_COMMITTER_DATE": f"@{when_s} +0000",
        }
        options = [option for parent in parents for option in ("-p", full_oid(parent))]
        words = message.replace("\0", "").encode("utf-8", "replace")
        answer = self._git.run("commit-tree", full_oid(tree), *options, "-F", "-", stdin=words, env=env)
        commit = full_oid(text(answer.out).strip())
        self._objects.note_tree(commit, tree)
        return commit

    def _is_in_history(self, branch: str, blob: str) -> bool:
        options = ("-m", "--format=%H", "--max-count=1", "--no-show-signature")
        ref = full_ref(f"refs/heads/{branch}")
        return bool(self._git.run("log", *options, f"--find-object={blob}", ref, "--").out.strip())


def _blob_oid(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0%b" % (len(content), content)).hexdigest()
