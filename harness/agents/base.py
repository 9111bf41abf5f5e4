"""Owns what the supervisor knows of any kind of agent. Rule: an adapter is pure: values in, values out; it
reads no file and starts nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Protocol

from mcp_server.config import AgentSpec

HOME = PurePosixPath("/home/agent")  # a tmpfs in the sandbox; `files` of a launch are written below it
URL = "http://127.0.0.1:8765"  # the server, as a sandbox sees it
# as the whole value of a variable it stands for the session's token, which no adapter ever sees
TOKEN = "$HARNESS_TOKEN"


class Mark(StrEnum):
    """What a line of output says about the session as a whole."""

    SAID = "said"
    TOOL = "tool"
    RESULT = "result"
    QUOTA = "quota"
    AUTH = "auth"
    ASKED = "asked"
    ERROR = "error"


@dataclass(frozen=True)
class AgentEvent:
    """One thing that an agent's output tells. Of a quota: `wait_until_ms` is when it ends, or `wait_s` how
    long it lasts from now on.
    """

    mark: Mark
    text: str
    wait_until_ms: int | None = None
    wait_s: float | None = None


@dataclass(frozen=True)
class ProjectFile:
    """A file or a directory of the project that the session needs below its home directory."""

    source: str  # relative to harness.toml
    target: str  # relative to the home directory
    required: bool = True


@dataclass(frozen=True)
class Seat:
    """Who works, in which of its sessions (1 = the first of this run), and the finished text that it is told."""

    agent: str
    spec: AgentSpec
    number: int = 1
    prompt: str = ""


@dataclass(frozen=True)
class Launch:
    """The command of a session, its environment and the files it finds in its home directory."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)


class Adapter(Protocol):
    def probe(self, spec: AgentSpec) -> str:
        """The program that the image must have."""

    def wants(self, seat: Seat) -> tuple[ProjectFile, ...]: ...

    def launch(self, seat: Seat, files: Mapping[str, str]) -> Launch:
        """files: what was found of `wants`, by target."""

    def parse(self, line: str) -> AgentEvent | None: ...

    def ends_after(self, seat: Seat, files: Mapping[str, str]) -> bool:
        """True if a session that ended well was this agent's last, whatever tasks are open."""
