"""Owns what the vendors' programs have in common as agents: the way to their models and to our tools.

Rule: pure.
"""

from collections.abc import Mapping

from harness.agents.base import URL, Program, ProjectFile, Seat
from harness.connect.clients import Client, Door
from mcp_server.config import AgentSpec


class ProgramAdapter:
    """The common half of an adapter: for a program that goes on until its model has nothing left to do."""

    def __init__(self, program: Program) -> None:
        self.program = program

    def probe(self, spec: AgentSpec) -> str:
        return self.program.command

    def wants(self, seat: Seat) -> tuple[ProjectFile, ...]:
        return ()

    def ends_after(self, seat: Seat, files: Mapping[str, str]) -> bool:
        return False

    def models_url(self, seat: Seat) -> str:
        """Return the base URL of the models, as the gateway has it."""
        return f"{URL}/llm/{seat.spec.account or self.program.account}"


def tools(seat: Seat, client: Client, token: str) -> str:
    """Return the client's own configuration of our tools. `token`: how it writes a variable's value."""
    return client(Door(seat.agent, URL, token)).text


def model_option(seat: Seat, option: str, default: str | None = None) -> tuple[str, ...]:
    """Return the option that names the model; nothing if nobody chose one."""
    chosen = seat.spec.model or default
    return (option, chosen) if chosen else ()
