"""Owns what models have cost, summed in several ways."""

from mcp_server.wire.base import Number, WireAnswer


class SpendingSum(WireAnswer):
    """What some requests to models have used. Tokens and cost are lower bounds where a count says so."""

    requests: int
    """How many requests there were."""
    input: int
    """Tokens that models read, cached ones included."""
    cached_read: int
    """Tokens of `input` that a cache held."""
    cached_write: int
    """Tokens of `input` that were put into a cache."""
    output: int
    """Tokens that models wrote, reasoning included."""
    reasoning: int
    """Tokens of `output` that were thought and not said."""
    cost_usd: Number
    """What they cost in US dollars, as far as prices are known."""
    unknown: int
    """Requests whose tokens nobody told."""
    unpriced: int
    """Requests with tokens, but without a price."""
    partial: int
    """Requests that broke off, so that their tokens are a lower bound."""
    tokens: int
    """`input` and `output` together."""

    @property
    def is_lower_bound(self) -> bool:
        """More was spent than is known."""
        return bool(self.unpriced or self.unknown or self.partial)


class AgentSpending(SpendingSum):
    """What one agent has used."""

    agent: str
    """The agent's name."""


class SessionSpending(SpendingSum):
    """What one session has used."""

    session: str | None
    """The session's id; None for clients without a session."""


class TaskSpending(SpendingSum):
    """What one task has used."""

    task: str | None
    """The task's id; None for requests under no lease."""


class ModelSpending(SpendingSum):
    """What one model has given."""

    account: str
    """The account at its vendor."""
    model: str | None
    """The model's name, if the request named one."""


class LandedSpending(SpendingSum):
    """What one landed change has used, with every attempt at its task before it."""

    task: str
    """The task."""
    agent: str
    """The agent whose submission landed."""
    commit: str | None
    """The commit of main."""
    summary: str
    """The first line of the submission's summary."""


class SpendingReport(WireAnswer):
    """What models have cost in a run."""

    total: SpendingSum
    """In all."""
    agents: tuple[AgentSpending, ...]
    """By agent."""
    sessions: tuple[SessionSpending, ...]
    """By session."""
    tasks: tuple[TaskSpending, ...]
    """By task."""
    models: tuple[ModelSpending, ...]
    """By account and model."""
    landed: tuple[LandedSpending, ...]
    """By landed change, in the order of the landings."""
