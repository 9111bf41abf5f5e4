"""Owns what the vendors' programs have in common as agents: the way to their models and to our tools. Rule:
pure.
"""

from collections.abc import Callable, Mapping

from harness.agents.base import URL, ProjectFile, Seat
from harness.connect.clients import Door, Setting
from mcp_server.config import AgentSpec


class Client:
    """A program of the same name as its kind, which goes on until its model has nothing left to do."""

    kind: str

    def probe(self, spec: AgentSpec) -> str:
        return self.kind

    def wants(self, seat: Seat) -> tuple[ProjectFile, ...]:
        return ()

    def ends_after(self, seat: Seat, files: Mapping[str, str]) -> bool:
        return False

    def api(self, seat: Seat) -> str:
        """The base URL of the models, as the gateway has it."""
        return f"{URL}/llm/{seat.spec.pays}"


def tools(seat: Seat, client: Callable[[Door], Setting], token: str) -> str:
    """The client's own configuration of our tools. `token`: how it writes a variable's value."""
    return client(Door(seat.agent, URL, token)).text


def model(seat: Seat, option: str, default: str | None = None) -> tuple[str, ...]:
    """The option that names the model; none if nobody chose one."""
    chosen = seat.spec.model or default
    return (option, chosen) if chosen else ()
