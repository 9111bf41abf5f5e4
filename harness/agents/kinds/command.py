"""Owns kind "command": any command line as an agent. Rule: pure; it knows nothing about the command."""

from collections.abc import Mapping

from harness.agents.base import AgentEvent, AgentKind, Launch, Mark, ProjectFile, Seat
from mcp_server.config import AgentSpec

MATERIALS = "materials"


class CommandLine:
    def probe(self, spec: AgentSpec) -> str:
        return _argv(spec)[0]

    def wants(self, seat: Seat) -> tuple[ProjectFile, ...]:
        if not seat.spec.materials:
            return ()
        return (ProjectFile(seat.spec.materials.replace("{agent}", seat.agent), MATERIALS),)

    def launch(self, seat: Seat, files: Mapping[str, str]) -> Launch:
        env = {"HARNESS_PROMPT": seat.prompt, **seat.spec.env}
        if seat.spec.model:
            env.setdefault("HARNESS_MODEL", seat.spec.model)
        return Launch(_argv(seat.spec), env, dict(files))

    def parse(self, line: str) -> AgentEvent | None:
        return AgentEvent(Mark.SAID, line) if line.strip() else None

    def ends_after(self, seat: Seat, files: Mapping[str, str]) -> bool:
        return False


def _argv(spec: AgentSpec) -> tuple[str, ...]:
    """Return the command's words: a string is a shell's; a list is taken as it is."""
    if isinstance(spec.command, str):
        return ("/bin/sh", "-c", spec.command)
    return tuple(spec.command or ())


KIND = AgentKind(
    name="command",
    title="any command",
    image="base",
    adapter=CommandLine(),
    program=None,
    needs="command",
)
