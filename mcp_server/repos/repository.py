"""One bare repository of the server's, made of its parts: each part does one matter, over the one git call of
process.py.

Rule: whatever a client chose arrives here as a full object id. The user's own repository is read and written
by `exchange` alone, to import and to export a branch. Everything is synchronous.
"""

import shutil
from pathlib import Path
from typing import Self

from mcp_server.disk import sync, write_whole
from mcp_server.repos.cat_file import CatFile
from mcp_server.repos.commits import Commits
from mcp_server.repos.exchange import BranchExchange
from mcp_server.repos.files import Files
from mcp_server.repos.merge import Merging
from mcp_server.repos.objects import Objects
from mcp_server.repos.process import BareGit, GitFailed
from mcp_server.repos.refs import Refs
from mcp_server.repos.settings import CONFIG
from mcp_server.repos.upkeep import Upkeep


class Repository:
    """A bare repository at `path`, which must be there; `create` and `open` make it ready for a server."""

    def __init__(self, path: Path):
        self.path = Path(path)
        self.git = BareGit(self.path)
        cat_file = CatFile(self.git)
        self.refs = Refs(self.git)
        self.objects = Objects(self.git, cat_file)
        self.files = Files(self.objects, cat_file)
        self.commits = Commits(self.git, self.objects, cat_file)
        self.merging = Merging(self.git, self.objects)
        self.upkeep = Upkeep(self.git, self.refs, self.commits)
        self.exchange = BranchExchange(self.git, self.refs, self.commits)

    @classmethod
    def create(cls, path: Path | str) -> Self:
        """Make a new repository, or open the one that is there, with this version's configuration."""
        path = Path(path).resolve()
        if (path / "HEAD").is_file():
            return cls.open(path)
        # Made elsewhere and moved, as git syncs nothing here: after a power loss there is a whole repository
        # or none.
        half = path.with_name(f"{path.name}.half")
        shutil.rmtree(half, ignore_errors=True)
        half.mkdir(parents=True)
        unfinished = cls(half)
        unfinished.git.run("init", "--quiet", "--bare", "--template=", "--initial-branch=main")
        unfinished._make_ready()
        for below in (*half.rglob("*"), half):
            sync(below)
        half.rename(path)
        sync(path.parent)
        return cls(path)

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """Open a repository as its only user, since what a killed server left behind is swept.

        Raise GitFailed if there is none.
        """
        if not (Path(path) / "HEAD").is_file():
            raise GitFailed(f"{path} is not a repository")
        repository = cls(Path(path).resolve())
        repository._make_ready()
        return repository

    def _make_ready(self) -> None:
        write_whole(self.path / "config", CONFIG.encode())
        self.upkeep.make_ready()
