"""What a suite needs of a repository: its cases, the files of its reference, and the files that a candidate's
sandbox gets.

Rule: cases are taken from main. A candidate never brings its own: it would be judged by what it wrote.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache, partial

from mcp_server.core import derived, paths
from mcp_server.repos import trees
from mcp_server.repos.files import KEYS_REMEMBERED
from mcp_server.repos.repository import Repository
from mcp_server.repos.trees import Hazard, TreeEntry
from oracle.cases.files import BadCases
from oracle.cases.spec import Case, Suite
from oracle.suites import kinds

PATHS_REMEMBERED = 1 << 17
# Parsed case sets of one suite: main's and those of a few candidates, a few megabytes each at most.
SETS_REMEMBERED = 4
SUITES_REMEMBERED = 1024


def load(repo: Repository, commit: str, suite: Suite) -> list[Case]:
    """Return the cases of a suite at `commit`; none for a command suite.

    Raise oracle's BadCases, naming file and line, if they cannot be read.
    """
    if kinds.of(suite).cases is None:
        return []
    case_files = _CaseFiles(repo, repo.files.key(commit, suite.cases, ()), commit)
    cases = _parser_with_memory(suite)(case_files)
    if isinstance(cases, BadCases):
        raise BadCases(cases.problems)
    return list(cases)


@dataclass(frozen=True)
class _CaseFiles:
    """The case files of a commit: the same ones wherever `key` is the same."""

    repo: Repository
    key: str
    commit: str = field(compare=False)


@lru_cache(SUITES_REMEMBERED)
def _parser_with_memory(suite: Suite) -> Callable[[_CaseFiles], tuple[Case, ...] | BadCases]:
    """Return the suite's own parser, which remembers its last results.

    The gate asks for all suites in turn, and one memory for all would forget each before its next turn.
    """
    return lru_cache(SETS_REMEMBERED)(partial(_parse, suite))


def _parse(suite: Suite, case_files: _CaseFiles) -> tuple[Case, ...] | BadCases:
    """Return the cases. Bad ones are returned too, so that they are remembered: whoever waits asks again and
    again.
    """
    objects, commit = case_files.repo.objects, case_files.commit
    covered = [entry.path for entry in objects.ls_tree(commit) if paths.covers(suite.cases, entry.path)]
    contents = zip(covered, objects.read_many([(commit, path) for path in covered]), strict=True)
    try:
        readable = ((path, content) for path, content in contents if content is not None)
        return tuple(kinds.load(suite.cases, readable, suite))
    except BadCases as bad:
        return bad


def key(repo: Repository, commit: str, suite: Suite) -> str:
    """Return a name of the suite together with the content of its case files and the reference's: what a
    remembered pass depends on.
    """
    content_key = repo.files.key(commit, (*suite.cases, *suite.reference_reads), ())
    return hashlib.sha256(f"{suite.key()} {content_key}".encode()).hexdigest()


def reference_key(repo: Repository, commit: str, suite: Suite) -> str:
    """Return a name of the content of what reference and comparator read; "" where they read nothing."""
    return repo.files.key(commit, suite.reference_reads, ()) if suite.reference_reads else ""


def reference_files(repo: Repository, commit: str, suite: Suite) -> bytes:
    """Return what reference and comparator read as a tar."""
    own = repo.files.choose(commit, suite.reference_reads, ())
    return repo.files.pack(own, owned=set(own))


def visible(repo: Repository, treeish: str, main: str, suite: Suite) -> list[TreeEntry]:
    """Return the files that a candidate's sandbox gets: no cache, unless the suite calls it an artifact.

    Of a command suite's, those that are protected are main's own; of the others it gets nothing that is
    protected, and no file that holds answers.
    """
    entries = _chosen(repo, treeish, main, suite)
    all_paths = {entry.path for entry in repo.objects.ls_tree(treeish)}
    return [
        entry
        for entry in entries
        if not derived.is_cache(entry.path, all_paths) or paths.covers(suite.artifacts, entry.path)
    ]


def _chosen(repo: Repository, treeish: str, main: str, suite: Suite) -> list[TreeEntry]:
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
        return trees.overlaid(own, mains)
    return repo.files.choose(treeish, suite.reads, (*suite.protect, *kind.answer_files(suite)))


def visible_tar(repo: Repository, treeish: str, main: str, suite: Suite) -> bytes:
    """Return the files that a candidate's sandbox gets as a tar. Links and submodules that main has itself
    are the user's business; raise HostileTree for others.
    """
    return repo.files.pack(visible(repo, treeish, main, suite), owned=_own(repo, main, suite))


def unpackable(repo: Repository, treeish: str, main: str, suite: Suite) -> list[Hazard]:
    """Return what of those files no sandbox can get, and main does not have itself."""
    return repo.files.unpackable(visible(repo, treeish, main, suite), owned=_own(repo, main, suite))


def _own(repo: Repository, main: str, suite: Suite) -> set[TreeEntry]:
    return set(repo.files.choose(main, suite.reads, ()))


@lru_cache(KEYS_REMEMBERED)
def visible_key(repo: Repository, treeish: str, main: str, suite: Suite) -> str:
    """Return a name of the content of the files that a candidate's sandbox gets."""
    return trees.key(visible(repo, treeish, main, suite))


@lru_cache(PATHS_REMEMBERED)
def _is_protected(protect: tuple[str, ...], path: str) -> bool:
    """Return True if one of the globs covers the path.

    Remembered, since what steers a test run is a long list, and the paths of a repository are nearly the same
    in each of its trees.
    """
    return paths.covers(protect, path)
