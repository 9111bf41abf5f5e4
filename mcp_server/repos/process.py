"""The git process: one call with a clean environment, a time limit and a limit on its output; and the gates
of its command line.

Rule: nothing reaches git's command line but fixed words, full object ids and whole names of refs. GitPython
starts the process, and nothing else of it is used. Everything is synchronous.
"""

import io
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from git.cmd import Git

from mcp_server.repos.settings import ENVIRONMENT, LIMITED, OPTIONS

# The longest honest call is the first import of a large repository.
GIT_TIME_S = 120.0
# A tree that lists longer than this is a bomb: 2 kB of trees can name 10^10 files.
OUTPUT_BYTES_MAX = 64 * 1024 * 1024
CHUNK_BYTES = 256 * 1024
PROBLEM_CHARACTERS_MAX = 500

OID = re.compile(r"[0-9a-f]{40}")
NO_REF = re.compile(r"[\x00-\x20~^:?*\[\\\x7f]|\.\.|@\{|//|/\.|\.lock(/|$)|[./]$")
ZERO = "0" * 40


class GitFailed(Exception):
    """Git ended otherwise than it should; the message carries its last words."""


class GitOutputTooLarge(Exception):
    """The answer is over its limit. Where an agent chose the commit, this is a fact about that commit."""


@dataclass(frozen=True)
class GitResult:
    """How one git process ended."""

    status: int
    out: bytes
    problem: str  # what it wrote to stderr


class BareGit:
    """Git, run on one bare repository on the disk."""

    def __init__(self, path: Path, variables: Mapping[str, str] | None = None):
        """`variables` are set in the environment of every process, beside those that all git has."""
        self.path = Path(path)
        self._environment = ENVIRONMENT | dict(variables or {})
        self._python_git = Git(str(self.path))

    def run(
        self,
        verb: str,
        *arguments: str,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        ok: tuple[int, ...] = (0,),
        limit: int = OUTPUT_BYTES_MAX,
        within: tuple[str, ...] = LIMITED,
        time_s: float = GIT_TIME_S,
    ) -> GitResult:
        """Run `git VERB ARGUMENTS` to its end, and return its exit status and output.

        `ok` are the exit statuses that the caller understands, `limit` is in bytes of output, `within` is the
        command that git is started by. Raise GitFailed for any other status and GitOutputTooLarge over the
        limit.
        """
        # `env -i`, since GitPython can only add to the server's environment.
        clean = [f"{key}={value}" for key, value in (self._environment | dict(env or {})).items()]
        git = [program(), f"--git-dir={self.path}", *OPTIONS, verb, *arguments]
        sink = _Sink(limit)
        with tempfile.TemporaryFile() as stdin_file:
            stdin_file.write(stdin)
            stdin_file.seek(0)
            status, _, problem = self._python_git.execute(
                ["/usr/bin/env", "-i", *clean, *within, *git],
                istream=stdin_file,
                output_stream=sink,
                max_chunk_size=CHUNK_BYTES,
                kill_after_timeout=time_s,
                with_extended_output=True,
                with_exceptions=False,
                shell=False,
            )
        if status not in ok:
            last_words = problem.strip()[-PROBLEM_CHARACTERS_MAX:]
            raise GitFailed(f"git {verb} ended with {status}: {last_words}")
        return GitResult(status, sink.getvalue(), problem)


class _Sink(io.BytesIO):
    """A buffer that takes so much and no more."""

    def __init__(self, limit: int):
        super().__init__()
        self._limit = limit

    def write(self, chunk: bytes) -> int:  # type: ignore[override]
        if self.tell() + len(chunk) > self._limit:
            raise GitOutputTooLarge(f"git answered more than {self._limit:,} bytes")
        return super().write(chunk)


@cache
def program() -> str:
    """Return the path of the git program. Raise GitFailed if there is none."""
    path = shutil.which("git")
    if path is None:
        raise GitFailed("git is not installed")
    return path


def full_oid(oid: str) -> str:
    """Return `oid`. Raise ValueError if it is not a full object id.

    This is the gate for everything that reaches git's command line as an object, so it is never an option.
    """
    if not OID.fullmatch(oid):
        raise ValueError(f"not a full object id: {oid!r}")
    return oid


def full_ref(ref: str) -> str:
    """Return `ref`. Raise ValueError if it is not the whole name of a ref, as git allows it."""
    if not ref.startswith("refs/") or NO_REF.search(ref):
        raise ValueError(f"not a ref: {ref!r}")
    return ref


def lines(raw: bytes) -> list[str]:
    """Return the lines of git's output as git means them, each without its end.

    `str.splitlines` would also break at U+2028 and others, which a ref's name may hold.
    """
    return text(raw).split("\n")[:-1]


def text(raw: bytes) -> str:
    """Return the bytes as text that `raw_bytes` turns into the same bytes again."""
    return raw.decode("utf-8", "surrogateescape")


def raw_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
