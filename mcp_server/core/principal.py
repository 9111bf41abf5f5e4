"""Who acts: a name, what it may be, and its session. Rule: nothing else says who someone is."""

from dataclasses import dataclass

AGENT, RUNNER, ADMIN = "agent", "runner", "admin"


@dataclass(frozen=True)
class Principal:
    """The holder of a token. `name` is the agent's name, or the role's for the operator and the runner."""

    name: str
    role: str
    session: str | None = None
