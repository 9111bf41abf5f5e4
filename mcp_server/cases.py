"""The oracle's cases as main holds them. A candidate never brings its own: it would be judged by what it wrote."""

import hashlib
from functools import lru_cache

from mcp_server.core import paths
from mcp_server.git import Repository
from oracle import cases as formats
from oracle.spec import Case, Suite

REMEMBERED = 16  # parsed case sets; one per suite and state of its files, a few megabytes each at most


def load(repo: Repository, commit: str, suite: Suite) -> list[Case]:
    """The cases of a differential suite at `commit`; none for a command suite. Raises oracle's BadCases, naming file and line."""
    return list(_parsed(repo, repo.tree_key(commit, suite.cases, ()), suite, commit)) if suite.kind == "differential" else []


@lru_cache(REMEMBERED)
def _parsed(repo: Repository, files_key: str, suite: Suite, commit: str) -> tuple[Case, ...]:
    found = [entry.path for entry in repo.ls_tree(commit) if paths.covers(suite.cases, entry.path)]
    contents = repo.read_many([(commit, path) for path in found])
    return tuple(formats.load(suite.cases, ((path, content) for path, content in zip(found, contents, strict=True) if content is not None)))


def key(repo: Repository, commit: str, suite: Suite) -> str:
    """Names the suite together with the content of its case files: what a remembered pass depends on."""
    return hashlib.sha256(f"{suite.key()} {repo.tree_key(commit, suite.cases, ())}".encode()).hexdigest()


def visible(suite: Suite) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Globs that a candidate's sandbox gets and those it does not: for a differential suite, nothing that is protected."""
    return suite.reads, suite.protect if suite.kind == "differential" else ()
