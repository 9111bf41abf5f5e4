"""The git process: one call with a clean environment, a time limit and a limit on its output; and the gates
of its command line.

Rule: nothing reaches git's command line but fixed words, full object ids and whole names of refs.
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

GIT_TIME_S = 120.0  # the longest honest call is the first import of a large repository
OUTPUT_BYTES_MAX = (
    64 * 1024 * 1024
)  # a tree that lists longer than this is a bomb (2 kB of trees can name 10^10 files)
CHUNK_BYTES = 256 * 1024

OID = re.compile(r"[0-9a-f]{40}")
NO_REF = re.compile(r"[\x00-\x20~^:?*\[\\\x7f]|\.\.|@\{|//|/\.|\.lock(/|$)|[./]$")
ZERO = "0" * 40


class GitFailed(Exception):
    """Git ended otherwise than it should; the message carries its last words."""


class GitOutputTooLarge(Exception):
    """The answer is over its limit. Where an agent chose the commit, this is a fact about that commit."""


class Bare:
    """A bare repository on the disk, and git run on it."""

    def __init__(self, path: Path):
        self.path = Path(path)
        self._git_in = Git(str(self.path))

    def _git(
        self,
        verb: str,
        *arguments: str,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        ok: tuple[int, ...] = (0,),
        limit: int = OUTPUT_BYTES_MAX,
        within: tuple[str, ...] = LIMITED,
        time_s: float = GIT_TIME_S,
    ) -> "GitResult":
        # `env -i`, since GitPython can only add to the server's environment.
        clean = [f"{key}={value}" for key, value in (ENVIRONMENT | dict(env or {})).items()]
        git = [program(), f"--git-dir={self.path}", *OPTIONS, verb, *arguments]
        sink = _Sink(limit)
        with tempfile.TemporaryFile() as given:
            given.write(stdin)
            given.seek(0)
            status, _, problem = self._git_in.execute(
                ["/usr/bin/env", "-i", *clean, *within, *git],
                istream=given,
                output_stream=sink,
                max_chunk_size=CHUNK_BYTES,
                kill_after_timeout=time_s,
                with_extended_output=True,
                with_exceptions=False,
                shell=False,
            )
        if status not in ok:
            raise GitFailed(f"git {verb} ended with {status}: {problem.strip()[-500:]}")
        return GitResult(status, sink.getvalue(), problem)


@dataclass(frozen=True)
class GitResult:
    status: int
    out: bytes
    problem: str  # what it wrote to stderr


class _Sink(io.BytesIO):
    """A buffer that takes so much and no more."""

    def __init__(self, limit: int):
        super().__init__()
        self._limit = limit

    def write(self, chunk: bytes) -> int:
        if self.tell() + len(chunk) > self._limit:
            raise GitOutputTooLarge(f"git answered more than {self._limit:,} bytes")
        return super().write(chunk)


@cache
def program() -> str:
    """Where git is."""
    found = shutil.which("git")
    if found is None:
        raise GitFailed("git is not installed")
    return found


def full_oid(oid: str) -> str:
    """The gate for everything that reaches git's command line as an object: full ids only, so never an
    option.
    """
    if not OID.fullmatch(oid):
        raise ValueError(f"not a full object id: {oid!r}")
    return oid


def full_ref(ref: str) -> str:
    if not ref.startswith("refs/") or NO_REF.search(ref):
        raise ValueError(f"not a ref: {ref!r}")
    return ref


def lines(raw: bytes) -> list[str]:
    """Lines as git means them: str.splitlines would also break at U+2028 and others, which a ref's name may
    hold.
    """
    return text(raw).split("\n")[:-1]


def text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
