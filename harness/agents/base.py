"""Owns what the supervisor knows of any kind of agent. Rule: an adapter is pure: values in, values out; it
reads no file and starts nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Protocol

from harness.connect.clients import Client
from harness.images.stock import Order
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
    """Who works, in which of its sessions (1 = the first of this run), and the finished text of its
    prompt.
    """

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
    """How one kind of agent is started, and what its output says."""

    def probe(self, spec: AgentSpec) -> str:
        """Return the program that the image must have."""

    def wants(self, seat: Seat) -> tuple[ProjectFile, ...]:
        """Return what the session needs of the project."""

    def launch(self, seat: Seat, files: Mapping[str, str]) -> Launch:
        """Return how the session is started. `files`: what there was of `wants`, by target."""

    def parse(self, line: str) -> AgentEvent | None:
        """Return what one line of output tells; None if it tells nothing."""

    def ends_after(self, seat: Seat, files: Mapping[str, str]) -> bool:
        """Return True if a session that ended well was this agent's last, whatever tasks are open."""


@dataclass(frozen=True, kw_only=True)
class Program:
    """What is particular to a vendor's program. It answers `--version`, has to list our tools soon after its
    start, and asks a model by way of the gateway.
    """

    command: str
    account: str  # of the gateway, where the table names none; it has the name of the API
    api: str  # what the vendor calls the API that it speaks
    any_model: bool = False  # it asks whatever model its account has, not only its vendor's


@dataclass(frozen=True, kw_only=True)
class AgentKind:
    """All that the harness knows of one kind of agents. It stands as KIND in the module of that name in
    kinds/, and nowhere else is a kind named.
    """

    name: str  # of its module, of a table in harness.toml, of `--agent`
    title: str  # what people call it
    image: str  # the folder below images/ that its sandboxes are made of, where the table names no image
    adapter: Adapter
    program: Program | None  # None: no vendor's program
    client: Client | None = None  # how `harness connect` configures the same program
    needs: str | None = None  # the key without which a table of this kind is refused
    waits_itself: bool = False  # it waits for tasks inside its session, where waiting costs nothing

    def image_order(self, image: str | None, environment: str | None = None) -> Order:
        """Return the order for the image that the agent's table names, or else for the kind's own, on the
        environment of that name.
        """
        return Order(users=image) if image else Order(self.image, environment=environment)

    def account_of(self, spec: AgentSpec) -> str | None:
        """Return the gateway's account that the agent asks models through; None if nobody can tell."""
        return spec.account or (self.program.account if self.program else None)
