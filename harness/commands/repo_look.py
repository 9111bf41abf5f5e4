"""Owns what `harness doctor` sees of the user's repositories: whether a run can start from each, and which
files that agents could write steer it.

Rule: it asks git and reads the work tree; it changes nothing, and fetches nothing.
"""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from harness.commands.finding import Finding
from mcp_server.config import Config, Repo, protecting
from mcp_server.core import named_files, paths
from mcp_server.core.protection import Protection

LISTED_MAX = 40  # files of one list
FILE_BYTES_MAX = 200_000  # read of a script to see what it runs
BRANCHES_MAX = 6
SHA1_DIGITS = 40
GITLINK, MISSING = "160000", "?"


def look(config: Config) -> Iterator[Finding]:
    """Yield the findings of every repository: how it is, and what in its modules steers a run."""
    for repo in config.repos.values():
        place = config.root / repo.path
        problem = in_the_way(place, repo)
        name = f"repos.{repo.name}"
        if problem is not None:
            yield Finding(name, False, *problem)
            continue
        branch = f"refs/heads/{repo.branch}"
        tip = _git(place, "rev-parse", "--short", branch)
        yield Finding(name, True, f"{repo.branch} at {tip}{_notes(place, branch)}")
        yield Finding(f"steering.{repo.name}", True, steering(config, repo, place))


def in_the_way(place: Path, repo: Repo) -> tuple[str, str] | None:
    """Return why no run can start from the repository, and what to do; None if one can."""
    if _git(place, "rev-parse", "--git-dir") is None:
        return f"{place} is in no git repository", f"git -C {place} init, and commit"
    tip = _git(place, "rev-parse", "--verify", "--quiet", f"refs/heads/{repo.branch}^{{commit}}")
    if tip is None:
        return _no_branch(place, repo)
    if len(tip) != SHA1_DIGITS:
        return (
            "its objects are named by SHA-256, which the server does not read",
            "make one with SHA-1: git init --object-format=sha1 NEW, then "
            "git fast-export --all | git -C NEW fast-import",
        )
    if _git(place, "rev-parse", "--is-shallow-repository") == "true":
        return "it is a shallow clone: its history is cut off", f"git -C {place} fetch --unshallow"
    if _git(place, "config", "--get-regexp", r"^remote\..*\.promisor$") and _is_partial(place, tip):
        return (
            "it is a partial clone: objects of its history are not here",
            f"git -C {place} config --unset-all remote.origin.partialclonefilter; "
            f"git -C {place} fetch --refetch origin",
        )
    return None


def _no_branch(place: Path, repo: Repo) -> tuple[str, str]:
    listed = _git(place, "for-each-ref", "--format=%(refname:short)", "refs/heads") or ""
    branches = listed.splitlines()
    if branches:
        more = ", ..." if len(branches) > BRANCHES_MAX else ""
        named = ", ".join(branches[:BRANCHES_MAX]) + more
        return (
            f"there is no branch {repo.branch!r}; there are {named}",
            f'write branch = "{branches[0]}" below [repos.{repo.name}], or make it: '
            f"git branch {repo.branch} COMMIT",
        )
    if _git(place, "rev-parse", "--verify", "--quiet", "HEAD^{commit}") is not None:
        return (
            f"HEAD is detached, and there is no branch {repo.branch!r}",
            f"git -C {place} switch -c {repo.branch}",
        )
    return (
        f"there is no commit yet on {repo.branch}",
        f"git -C {place} add --all && git -C {place} commit -m start",
    )


def _is_partial(place: Path, tip: str) -> bool:
    objects = _git(place, "rev-list", "--objects", "--missing=print", tip) or ""
    return any(line.startswith(MISSING) for line in objects.splitlines())


def _notes(place: Path, branch: str) -> str:
    """Return what a person should know of a repository from which runs can start."""
    entries = (_git(place, "ls-tree", "-r", branch) or "").splitlines()
    submodules = [entry.partition("\t")[2] for entry in entries if entry.startswith(GITLINK)]
    if not submodules:
        return ""
    return f"; boxes are without the files of its submodules: {', '.join(submodules[:BRANCHES_MAX])}"


def steering(config: Config, repo: Repo, place: Path) -> str:
    """Return what in the repository's modules steers a run: what agents may change, since it is released, and
    what no agent may change all the same.
    """
    found = protection_of(config, repo, place)
    guarded: list[str] = []
    released: list[str] = []
    for path in (_git(place, "ls-files", "-z") or "").split("\0"):
        module = _module_of(config, repo, path)
        reason = found.steers(path) if module else None
        if reason is not None:
            into = guarded if found.why(path) else released
            into.append(f"{path} (module {module}; {reason})")
    parts = []
    if repo.unprotected:
        globs = ", ".join(repo.unprotected)
        parts.append(f"agents may change what steers a run, as far as `unprotected` releases it ({globs})")
        parts[-1] += _listed(released)
    if guarded:
        parts.append(f"in modules, and yet no agent may change it:{_listed(guarded)}")
    return "\n     ".join(parts) or "no file in a module steers a run"


def _module_of(config: Config, repo: Repo, path: str) -> str | None:
    modules = [module for module in config.modules.values() if module.repo == repo.name]
    return next((module.name for module in modules if path and paths.covers(module.paths, path)), None)


def protection_of(config: Config, repo: Repo, place: Path) -> Protection:
    """Return what is protected there, as the work tree says."""
    named = named_files.of(protecting.judging_commands(config, repo.name), lambda path: _text(place, path))
    return protecting.of(config, repo.name, named)


def _listed(lines: list[str]) -> str:
    more = [f"and {len(lines) - LISTED_MAX} more"] if len(lines) > LISTED_MAX else []
    return "".join(f"\n       {line}" for line in [*lines[:LISTED_MAX], *more])


def _text(place: Path, path: str) -> str | None:
    """Return the text of a file of the repository; None where there is none, or where a link leads out."""
    file = place / path
    try:
        if not file.resolve().is_relative_to(place.resolve()) or not file.is_file():
            return None
        with file.open("rb") as opened:
            return opened.read(FILE_BYTES_MAX).decode(errors="replace")
    except (OSError, ValueError):
        return None


def _git(place: Path, *arguments: str) -> str | None:
    """Return what git prints; None if it fails. Nothing is fetched that is not here."""
    environ = {**os.environ, "GIT_NO_LAZY_FETCH": "1", "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    ended = subprocess.run(
        ["git", "-C", str(place), *arguments],
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    return ended.stdout.decode(errors="surrogateescape").strip() if ended.returncode == 0 else None
