"""Owns the git of simulated authors: commits without a work tree, in one bare repository whose objects all
clones of a cell share.

Rule: plumbing alone, the cheapest real way, so that the cores belong to what is measured.
"""

import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.landing_changes import is_red
from benchmarks.landing_tally import History, history
from harness.failure import Exit, VerbFailed

BRANCH = "refs/heads/main"
ENV = {
    "PATH": os.environ.get("PATH", os.defpath),
    "LANG": "C.UTF-8",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_AUTHOR_NAME": "bench",
    "GIT_AUTHOR_EMAIL": "bench@localhost",
    "GIT_COMMITTER_NAME": "bench",
    "GIT_COMMITTER_EMAIL": "bench@localhost",
}


class Bare:
    """A bare repository."""

    def __init__(self, path: Path):
        self.path = path

    @classmethod
    def create(cls, path: Path) -> "Bare":
        subprocess.run(
            ["git", "init", "--quiet", "--bare", "--initial-branch=main", str(path)], check=True, env=ENV
        )
        made = cls(path)
        for key in ("gc.auto", "maintenance.auto"):
            made._git("config", key, "0")
        return made

    # -- changes

    def commit(self, base: str | None, files: Mapping[str, str | None], message: str, ref: str) -> str:
        """A commit on `base` with these files written, or taken away where they are None; `ref` is moved to
        it.
        """
        lines = [f"commit {ref}", "mark :1", "committer bench <bench@localhost> now", _data(message)]
        if base is not None:
            lines.append(f"from {base}")
        for path, text in files.items():
            lines.append(f"D {path}" if text is None else f"M 100644 inline {path}\n{_data(text)}")
        return self._git(
            "fast-import",
            "--quiet",
            "--force",
            "--date-format=now",
            stdin="\n".join([*lines, "", "get-mark :1", ""]),
        ).strip()

    def onto(self, main: str, commit: str, message: str) -> str | None:
        """What `pull --rebase` makes of one commit: its changes in a new commit on `main`; None where they
        conflict.
        """
        merged = subprocess.run(
            self._argv("merge-tree", "--write-tree", "--no-messages", main, commit),
            env=ENV,
            capture_output=True,
            text=True,
            check=False,
        )
        if merged.returncode == 1:
            return None
        if merged.returncode != 0:
            raise _failed("merge-tree", merged.stderr)
        return self._git("commit-tree", merged.stdout.split()[0], "-p", main, "-m", message).strip()

    def swap(self, new: str, old: str) -> bool:
        """What a push does on the other side: main moves from `old` to `new`, or stays where it is."""
        return (
            subprocess.run(
                self._argv("update-ref", BRANCH, new, old), env=ENV, capture_output=True, check=False
            ).returncode
            == 0
        )

    # -- what is there

    def main(self) -> str:
        return (self.path / BRANCH).read_text().strip()

    def paths(self, commit: str) -> list[str]:
        return self._git("ls-tree", "-r", "--name-only", "--full-tree", commit).splitlines()

    def history(self, first: str, modules: str) -> History:
        """Return main since `first`; a commit that touches nothing below `modules` (a prefix) coordinates."""
        log = self._git(
            "log",
            "--first-parent",
            "-m",
            "--no-renames",
            "--name-only",
            "--format=%x01%H",
            f"{first}..{BRANCH}",
        )
        return history(self._looked_at(log, modules))

    def _looked_at(self, log: str, modules: str) -> Iterator[tuple[str, bool, bool]]:
        for part in log.split("\x01")[1:]:
            commit, *changed = part.split()
            yield commit, is_red(self.paths(commit)), any(path.startswith(modules) for path in changed)

    # -- over HTTP

    def fetch(self, url: str, token: str, ref: str) -> None:
        self._git(
            "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", url, f"+{BRANCH}:{ref}", token=token
        )

    def push(self, url: str, token: str, commit: str, ref: str) -> None:
        self._git("push", "--quiet", url, f"+{commit}:{ref}", token=token)

    def _git(self, *words: str, stdin: str = "", token: str | None = None) -> str:
        env = (
            ENV
            if token is None
            else {
                **ENV,
                "GIT_CONFIG_COUNT": "1",
                "GIT_CONFIG_KEY_0": "http.extraHeader",
                "GIT_CONFIG_VALUE_0": f"Authorization: Bearer {token}",
            }
        )
        done = subprocess.run(
            self._argv(*words), env=env, input=stdin, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise _failed(" ".join(words[:3]), done.stderr)
        return done.stdout

    def _argv(self, *words: str) -> list[str]:
        return ["git", f"--git-dir={self.path}", *words]


def _data(text: str) -> str:
    return f"data {len(text.encode())}\n{text}"


def _failed(what: str, problem: str) -> VerbFailed:
    return VerbFailed(f"git {what}: {problem.strip()[-300:]}", Exit.INFRASTRUCTURE)
