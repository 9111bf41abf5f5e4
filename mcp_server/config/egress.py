"""[egress]: where agents' tools may connect to, and whose. Rule: what comes out is in the one spelling that
connections are compared in.
"""

from collections.abc import Collection, Mapping
from typing import Any

from mcp_server.config.reading import Source, did_you_mean, read
from mcp_server.config.spec import AgentSpec, Egress
from mcp_server.core import destination

SECTION = "egress"


def read_egress(
    source: Source, document: Mapping[str, Any], tables: Collection[str], agents: Mapping[str, AgentSpec]
) -> Egress:
    """The section, or what holds without it: nothing may leave. `tables` are the names of all tables of
    agents, right or wrong.
    """
    table = document.get(SECTION, {})
    if not isinstance(table, Mapping):
        source.problem((SECTION,), "egress must be a table", "write [egress] on a line of its own")
        return Egress()
    egress = read(Egress, source, (SECTION,), table)
    if egress is None:
        return Egress()
    allow, private = (_destinations(source, key, getattr(egress, key)) for key in ("allow", "private"))
    for written, name in zip(egress.private, private):
        if name is not None and name not in allow:
            source.problem(
                (SECTION, "private"),
                f"egress.private: {written!r} is not in egress.allow",
                "add it there",
                value=written,
            )
    agent_names = {*tables, *(name for agent in agents.values() for name in agent.agents())}
    for name in egress.agents:
        if name not in agent_names:
            source.problem(
                (SECTION, "agents"),
                f"egress.agents: there is no agent {name!r}",
                did_you_mean(name, agent_names),
                value=name,
            )
    if egress.allow and not egress.agents:
        source.problem(
            (SECTION, "allow"),
            "egress.allow names places but egress.agents names nobody",
            "add agents = [...], or take the section out",
        )
    whose = dict.fromkeys(
        one for name in egress.agents for one in (agents[name].agents() if name in agents else (name,))
    )
    return Egress(tuple(filter(None, allow)), tuple(filter(None, private)), tuple(whose))


def _destinations(source: Source, key: str, written: tuple[str, ...]) -> list[str | None]:
    """In the one spelling; None for what is none."""
    found: list[str | None] = []
    for text in written:
        parsed = destination.parse(text)
        if isinstance(parsed, destination.UnfitDestination):
            hint = "each name stands for itself alone" if "*" in text else 'such as "packages.example:443"'
            source.problem((SECTION, key), f"egress.{key}: {text!r}: {parsed.reason}", hint, value=text)
            found.append(None)
        else:
            found.append(str(parsed))
    return found
