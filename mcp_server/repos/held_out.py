"""Held-out cases: read once, at the start, from the server's own disk, and kept in memory under names that
tell nothing.

Rule: no repository holds them; agents learn how many there are and how many pass, people also which file.
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
from oracle.cases import files as formats
from oracle.cases.files import BadCases, CaseProblem
from oracle.cases.spec import Case, Suite

PREFIX = "held-out/"  # of every id; no case on main may be called so
ID_DIGITS = 12


@dataclass(frozen=True)
class HeldOut:
    """The hidden cases of one suite by id; `key` names their content."""

    cases: Mapping[str, Case] = field(default_factory=dict)
    key: str = ""


def load(suite: Suite, files: Mapping[str, bytes], secret: str) -> HeldOut:
    """The cases under ids that only `secret` could tell from others. Raises BadCases, naming file and line."""
    if not suite.held_out:
        return HeldOut()
    if empty := [glob for glob in suite.held_out if not any(globs.matches(glob, path) for path in files)]:
        raise BadCases(
            [
                CaseProblem(
                    glob, 1, f"oracle.{suite.name}.held_out names no file (it is relative to harness.toml)"
                )
                for glob in empty
            ]
        )
    found = {}
    for case in formats.load(suite.held_out, sorted(files.items()), suite):
        told = hmac.new(secret.encode(), f"{case.file}\0{case.id}".encode(), hashlib.sha256).hexdigest()
        found[PREFIX + told[:ID_DIGITS]] = case
    cases = {id: replace(case, id=id, hidden=True) for id, case in found.items()}
    content = repr(sorted((path, hashlib.sha256(text).hexdigest()) for path, text in files.items()))
    return HeldOut(cases, hashlib.sha256(f"{secret} {content}".encode()).hexdigest())


def files_of(suite: Suite, root: Path) -> dict[str, bytes]:
    """The files that the suite holds out, by their path from `root`. What cannot be read is a problem of its
    own.
    """
    found: dict[str, bytes] = {}
    problems = []
    for glob in suite.held_out:
        base = globs.fixed_prefix(glob)
        for path in _below(root / base, base):
            if globs.matches(glob, path) and path not in found:
                try:
                    found[path] = (root / path).read_bytes()
                except OSError as error:
                    problems.append(CaseProblem(path, 1, f"cannot be read: {error.strerror}"))
    if problems:
        raise BadCases(problems)
    return found


def in_repositories(
    config: Config, repos: Mapping[str, Repository], files: Mapping[str, bytes]
) -> list[CaseProblem]:
    """Files that agents could read: those that main of a repository tracks, and those whose content is in its
    history.
    """
    problems = []
    for name, spec in config.repos.items():
        repo, top = repos[name], (config.root / spec.path).resolve()
        tracked = {entry.path for entry in repo.objects.ls_tree(repo.refs.branch_tip(spec.branch))}
        here = {path: (config.root / path).resolve() for path in files}
        inside = {
            path
            for path, file in here.items()
            if file.is_relative_to(top) and file.relative_to(top).as_posix() in tracked
        }
        known = repo.commits.ever_held(
            spec.branch, {path: content for path, content in files.items() if path not in inside}
        )
        problems += [
            CaseProblem(path, 1, f"it is held out, and repository {name} tracks it: agents read it there")
            for path in sorted(inside)
        ]
        problems += [
            CaseProblem(
                path,
                1,
                f"it is held out, and the history of repository {name} holds its content: agents read it there",
            )
            for path in known
        ]
    return problems


def _below(directory: Path, prefix: str) -> Iterable[str]:
    for parent, _, names in os.walk(directory):
        for name in names:
            yield prefix + Path(parent, name).relative_to(directory).as_posix()
