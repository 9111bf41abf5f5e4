"""The oracle's cases as main holds them. A candidate never brings its own: it would be judged by what it
wrote.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache, partial

from mcp_server.core import paths
from mcp_server.repos import trees as git_tree
from mcp_server.repos.files import KEYS_REMEMBERED
from mcp_server.repos.repository import Repository
from mcp_server.repos.trees import TreeEntry
from oracle.cases.files import BadCases
from oracle.cases.spec import Case, Suite
from oracle.suites import kinds

PATHS_REMEMBERED = 1 << 17
SETS_REMEMBERED = (
    4  # parsed case sets of one suite: main's and those of a few candidates, a few megabytes each at most
)
SUITES_REMEMBERED = 1024


def load(repo: Repository, commit: str, suite: Suite) -> list[Case]:
    """The cases of a suite at `commit`; none for a command suite. Raises oracle's BadCases, naming file and
    line.
    """
    if kinds.of(suite).cases is None:
        return []
    parsed = _of(suite)(_Files(repo, repo.files.key(commit, suite.cases, ()), commit))
    if isinstance(parsed, BadCases):
        raise BadCases(parsed.problems)
    return list(parsed)


@dataclass(frozen=True)
class _Files:
    """The case files of a commit: the same ones wherever `key` is the same."""

    repo: Repository
    key: str
    commit: str = field(compare=False)


@lru_cache(SUITES_REMEMBERED)
def _of(suite: Suite) -> Callable[[_Files], tuple[Case, ...] | BadCases]:
    """Each suite has a memory of its own: the gate asks for all of them in turn, and one memory for all would
    forget each before its next turn.
    """
    return lru_cache(SETS_REMEMBERED)(partial(_parsed, suite))


def _parsed(suite: Suite, files: _Files) -> tuple[Case, ...] | BadCases:
    """Bad ones are remembered too: whoever waits asks again and again."""
    found = [
        entry.path
        for entry in files.repo.objects.ls_tree(files.commit)
        if paths.covers(suite.cases, entry.path)
    ]
    contents = files.repo.objects.read_many([(files.commit, path) for path in found])
    try:
        return tuple(
            kinds.load(
                suite.cases,
                (
                    (path, content)
                    for path, content in zip(found, contents, strict=True)
                    if content is not None
                ),
                suite,
            )
        )
    except BadCases as bad:
        return bad


def key(repo: Repository, commit: str, suite: Suite) -> str:
    """Names the suite together with the content of its case files and the reference's: what a remembered pass
    depends on.
    """
    return hashlib.sha256(
        f"{suite.key()} {repo.files.key(commit, (*suite.cases, *suite.reference_reads), ())}".encode()
    ).hexdigest()


def reference_key(repo: Repository, commit: str, suite: Suite) -> str:
    """Names the content of the files that the reference and the comparator read; "" where there are none."""
    return repo.files.key(commit, suite.reference_reads, ()) if suite.reference_reads else ""


def reference_files(repo: Repository, commit: str, suite: Suite) -> bytes:
    """Those files as a tar."""
    return repo.files.archive(commit, suite.reference_reads, ())


def visible(repo: Repository, treeish: str, main: str, suite: Suite) -> list[TreeEntry]:
    """The files that a candidate's sandbox gets.

    Of a command suite's, those that are protected are main's own; of the others it gets nothing that is
    protected, and no file that holds answers.
    """
    kind = kinds.of(suite)
    if kind.protected_from_main:
        own = [
            entry
            for entry in repo.files.choose(treeish, suite.reads, ())
            if not _is_protected(suite.protect, entry.path)
        ]
        mains = [
            entry
            for entry in repo.files.choose(main, suite.reads, ())
            if _is_protected(suite.protect, entry.path)
        ]
        return git_tree.overlaid(own, mains)
    return repo.files.choose(treeish, suite.reads, (*suite.protect, *kind.answer_files(suite)))


@lru_cache(KEYS_REMEMBERED)
def visible_key(repo: Repository, treeish: str, main: str, suite: Suite) -> str:
    """Names the content of those files."""
    return git_tree.key(visible(repo, treeish, main, suite))


@lru_cache(PATHS_REMEMBERED)
def _is_protected(protect: tuple[str, ...], path: str) -> bool:
    """What steers a test run is a long list, and the paths of a repository are nearly the same in each of its
    trees.
    """
    return paths.covers(protect, path)
