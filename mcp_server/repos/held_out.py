"""Held-out cases: read once, at the start, from the server's own disk, and kept in memory under names that
tell nothing.

Rule: no repository holds them; agents learn how many main passes, people also which file.
"""

import hashlib
import hmac
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from mcp_server.config import Config
from mcp_server.repos.repository import Repository
from oracle import globs
from oracle.cases.files import BadCases, CaseProblem
from oracle.cases.spec import Case, Suite
from oracle.suites import kinds

PREFIX = "held-out/"  # of every id; no case on main may be called so
ID_DIGITS = 12


@dataclass(frozen=True)
class HeldOut:
    """The hidden cases of one suite by id; `key` names their content."""

    cases: Mapping[str, Case] = field(default_factory=dict)
    key: str = ""


def load(suite: Suite, files: Mapping[str, bytes], secret: str) -> HeldOut:
    """Return the cases under ids that only `secret` could tell from others.

    Raise BadCases, naming file and line.
    """
    if not suite.held_out:
        return HeldOut()
    if problems := _globs_without_files(suite, files):
        raise BadCases(problems)
    cases = {}
    for case in kinds.load(suite.held_out, sorted(files.items()), suite):
        id = _secret_id(case, secret)
        cases[id] = replace(case, id=id, hidden=True)
    content = repr(sorted((path, hashlib.sha256(text).hexdigest()) for path, text in files.items()))
    return HeldOut(cases, hashlib.sha256(f"{secret} {content}".encode()).hexdigest())


def _globs_without_files(suite: Suite, files: Mapping[str, bytes]) -> list[CaseProblem]:
    empty = [glob for glob in suite.held_out if not any(globs.matches(glob, path) for path in files)]
    problem = f"oracle.{suite.name}.held_out names no file (it is relative to harness.toml)"
    return [CaseProblem(glob, 1, problem) for glob in empty]


def _secret_id(case: Case, secret: str) -> str:
    digest = hmac.new(secret.encode(), f"{case.file}\0{case.id}".encode(), hashlib.sha256).hexdigest()
    return PREFIX + digest[:ID_DIGITS]


def files_of(suite: Suite, root: Path) -> dict[str, bytes]:
    """Return the files that the suite holds out, by their path from `root`.

    Raise BadCases with every file that cannot be read.
    """
    files: dict[str, bytes] = {}
    problems = []
    for glob in suite.held_out:
        base = globs.fixed_prefix(glob)
        for path in _below(root / base, base):
            if not globs.matches(glob, path) or path in files:
                continue
            try:
                files[path] = (root / path).read_bytes()
            except OSError as error:
                problems.append(CaseProblem(path, 1, f"cannot be read: {error.strerror}"))
    if problems:
        raise BadCases(problems)
    return files


def in_repositories(
    config: Config, repos: Mapping[str, Repository], files: Mapping[str, bytes]
) -> list[CaseProblem]:
    """Return a problem for each file that agents could read, since main of a repository tracks it or the
    history holds its content.
    """
    problems = []
    for name, spec in config.repos.items():
        repo, top = repos[name], (config.root / spec.path).resolve()
        on_main = {entry.path for entry in repo.objects.ls_tree(repo.refs.branch_tip(spec.branch))}
        tracked = {path for path in files if _path_below(config.root / path, top) in on_main}
        others = {path: content for path, content in files.items() if path not in tracked}
        in_history = repo.commits.ever_held(spec.branch, others)
        problems += [
            CaseProblem(path, 1, f"it is held out, and repository {name} tracks it: agents read it there")
            for path in sorted(tracked)
        ]
        problems += [
            CaseProblem(
                path,
                1,
                f"it is held out, and the history of repository {name} holds its content: "
                "agents read it there",
            )
            for path in in_history
        ]
    return problems


def _path_below(file: Path, top: Path) -> str | None:
    """Return the path of the file from `top`, or None if it lies elsewhere."""
    resolved = file.resolve()
    return resolved.relative_to(top).as_posix() if resolved.is_relative_to(top) else None


def _below(directory: Path, prefix: str) -> Iterable[str]:
    """Yield the path of every file below the directory, each with the prefix."""
    for parent, _, names in os.walk(directory):
        for name in names:
            yield prefix + Path(parent, name).relative_to(directory).as_posix()
