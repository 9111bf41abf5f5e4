"""What the parts of a repository spare each other: how many git processes a landing costs.

The gate asks for the same trees at several of its steps, and a process costs 5 ms and more.
"""

from pathlib import Path
from typing import Any

import pytest

from mcp_server.repos.cat_file import CatFile
from mcp_server.repos.commits import Commits
from mcp_server.repos.files import Files
from mcp_server.repos.merge import Merged, Merging
from mcp_server.repos.objects import Objects
from mcp_server.repos.process import BareGit, GitResult
from mcp_server.repos.refs import Refs
from mcp_server.repos.repository import Repository

from .test_git import commit_files, sh, upload


class CountedGit(BareGit):
    """Git, with the verbs that were run since `taken` was last called."""

    def __init__(self, path: Path):
        super().__init__(path)
        self._verbs: list[str] = []

    def run(self, verb: str, *arguments: str, **options: Any) -> GitResult:
        self._verbs.append(verb)
        return super().run(verb, *arguments, **options)

    def taken(self) -> list[str]:
        verbs, self._verbs = self._verbs, []
        return verbs


@pytest.fixture
def user(tmp_path: Path) -> Path:
    where = tmp_path / "user"
    where.mkdir()
    sh(where, "init", "-q", "-b", "main")
    commit_files(where, {"a/one.txt": "1\n", "b/two.txt": "2\n"})
    return where


@pytest.fixture
def repo(tmp_path: Path, user: Path) -> Repository:
    created = Repository.create(tmp_path / "engine.git")
    created.exchange.import_branch(user, "main")
    return created


@pytest.fixture
def git(repo: Repository) -> CountedGit:
    return CountedGit(repo.path)


@pytest.fixture
def objects(git: CountedGit) -> Objects:
    return Objects(git, CatFile(git))


def test_a_second_merge_and_what_is_asked_of_its_result_walk_no_tree_again(
    repo: Repository,
    user: Path,
    git: CountedGit,
    objects: Objects,
):
    main, merging = repo.refs.branch_tip("main"), Merging(git, objects)
    commit_files(user, {"a/one.txt": "mine\n"})
    commit = upload(repo, user)
    first = merging.merge(main, commit)
    assert git.taken() == ["merge-base", "ls-tree", "merge-tree", "diff-tree", "diff-tree"]
    assert merging.merge(main, commit) == first and isinstance(first, Merged)
    assert git.taken() == ["merge-base", "merge-tree"]
    changes = objects.diff(main, first.tree)
    assert [change.path for change in changes] == ["a/one.txt"] and git.taken() == []
    assert objects.hazards(changes, first.tree) == [] and git.taken() == ["cat-file", "ls-tree"]
    assert objects.hazards(changes, first.tree) == [] and git.taken() == ["cat-file"]


def test_what_is_known_of_a_tree_is_known_of_a_commit_that_was_made_of_it(
    repo: Repository,
    git: CountedGit,
    objects: Objects,
):
    main = repo.refs.branch_tip("main")
    tree = repo.objects.tree_of(main)
    cat_file = CatFile(git)
    files, commits = Files(objects, cat_file), Commits(git, objects, cat_file)
    key = files.key(tree, ["**"], [])
    commit = commits.create(tree, [main], "again", "claude-1", 1)
    git.taken()
    assert files.key(commit, ["**"], []) == key and objects.tree_of(commit) == tree
    assert objects.diff(tree, commit) == [] and git.taken() == []


def test_where_a_ref_is_is_read_without_a_process_loose_or_packed(repo: Repository, git: CountedGit):
    refs, main = Refs(git), repo.refs.branch_tip("main")
    assert refs.tip("refs/heads/main") == main and refs.is_loose("refs/heads/main")
    repo.refs.pack()
    assert refs.tip("refs/heads/main") == main and not refs.is_loose("refs/heads/main")
    assert git.taken() == []
    assert refs.tip("refs/heads/none") is None and git.taken() == ["rev-parse"]
