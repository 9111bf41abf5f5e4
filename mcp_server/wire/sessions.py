"""Owns what the harness and the server say to each other of sessions, of the agents that the harness keeps,
and of the tokens of clients that it does not keep.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from mcp_server.wire.base import Number, WireAnswer, WireRequest

EVENT_MARKS_MAX = 20  # kinds of events in a session's output
AGENTS_MAX = 10_000


class SessionRequest(WireRequest):
    """Begin a session of an agent."""

    agent: str
    """The agent's name."""
    kind: str
    """The kind of program that it runs."""
    door: bool
    """Open a socket for this session alone."""


class SessionGrant(WireAnswer):
    """A session that has begun."""

    session: str
    """The session's id."""
    token: str
    """The secret that the session shows with every request."""
    door: str | None
    """The directory of its socket, below the server's `doors`; None without one."""
    egress: bool = False
    """Its agent may reach hosts outside, through the server."""


class SessionEndRequest(WireRequest):
    """A session has ended."""

    outcome: str
    """What its end is called, such as `worked` or `crashed`."""
    detail: str = ""
    """Why, for people."""
    exit: int | None = None
    """The exit status of its program; None if nobody knows it."""
    heard: Annotated[
        Mapping[str, Annotated[int, Field(ge=0)]],
        Field(max_length=EVENT_MARKS_MAX),
    ] = Field(default_factory=dict)
    """By kind of event, how many its output told."""


class SessionEnded(WireAnswer):
    """What became of the lease of a session that has ended."""

    task: str | None
    """The task that it held."""
    salvage: str | None
    """The ref under which its unfinished work is kept."""


class QuotaWait(WireAnswer):
    """A pause until an account of a model gives something again."""

    account: str
    """The account's name."""
    since_ms: int
    """When the pause began."""
    until_ms: int
    """When it ends."""
    reason: str
    """Why, in the words of the vendor or of the gateway."""


class BudgetNote(WireAnswer):
    """How a budget stands."""

    scope: str
    """Whose it is: `session`, `task`, `agent` or `run`."""
    name: str
    """Which one of those."""
    measure: str
    """What is counted: `tokens`, `cost_usd`, `requests` or `minutes`."""
    used: Number
    """How much of it is used up."""
    limit: Number
    """How much there is in all."""
    percent: int
    """`used` of `limit` in percent."""
    note: str
    """The sentence for the agent."""


class SessionState(WireAnswer):
    """A session as whoever watches it has to know it."""

    id: str
    """The session's id."""
    session: str
    """The same id, under the name that other answers use."""
    agent: str
    """The agent whose session it is."""
    kind: str
    """The kind of program that it runs."""
    door: bool
    """It has a socket of its own."""
    started_ms: int
    """When it began."""
    ended_ms: int | None
    """When it ended; None while it runs."""
    outcome: str | None
    """What its end is called."""
    detail: str | None
    """Why it ended, for people."""
    calls: int
    """How many tool calls it made."""
    last_call_ms: int | None
    """When the last one was made."""
    last_call: str | None
    """The tool of the last one."""
    tools_listed: bool
    """Its program has asked for our list of tools."""
    head: str | None
    """The last commit that it uploaded."""
    branch: str | None
    """The ref of that upload."""
    state: str
    """`working` or `ended`."""
    over_budget: BudgetNote | None
    """The budget that is used up, for which the session is to be ended."""
    leases: int
    """How many leases it has held."""
    quiet_s: float
    """Seconds since it last called a tool or asked a model."""
    waiting_for_quota: QuotaWait | None
    """The pause that it is in, or was in when it ended."""


class Doing(StrEnum):
    """What an agent of the harness does."""

    STARTING = "starting"
    WORKING = "working"
    WAITING = "waiting"
    STOPPED = "stopped"


class AgentState(WireRequest):
    """What an agent of the harness does now, also one that never came to a session."""

    agent: str
    """The agent's name."""
    kind: str
    """The kind of program that it runs."""
    role: str
    """`worker`, `planner` or `reviewer`."""
    state: Doing
    """What it does."""
    reason: str
    """Why it waits or has stopped; empty otherwise."""
    since_ms: int
    """Since when state and reason are these."""
    sessions: int
    """How many sessions it has begun."""
    last: str
    """How its session before this one ended; empty before the first end."""
    said: str
    """The newest words of its output."""
    gave_up: bool
    """It stopped though there was work."""


class CrewReport(WireRequest):
    """What each agent that a harness keeps does now; agents that it does not name are not kept any more."""

    agents: Annotated[tuple[AgentState, ...], Field(max_length=AGENTS_MAX)]
    """One state for each agent."""


class TokenRequest(WireRequest):
    """Issue a token to a client that no harness keeps."""

    agent: str
    """The name under which the client will be known."""


class TokenFacts(WireAnswer):
    """A token that was issued, without what would let anybody use it."""

    id: int
    """Its number."""
    name: str
    """Whose it is: an agent's name, or a role's."""
    role: str
    """`agent`, `runner` or `admin`."""
    session: str | None
    """The session that it belongs to; None for a client that no harness keeps."""
    issued_ms: int
    """When it was issued."""
    revoked_ms: int | None
    """When it was revoked; None while it lives."""


class TokenList(WireAnswer):
    """Every token that was ever issued."""

    tokens: tuple[TokenFacts, ...]
    """By number."""


class RepoBranch(WireAnswer):
    """A repository to clone."""

    name: str
    """Its name, which is part of its address."""
    branch: str
    """The branch that is its main."""


class IssuedToken(WireAnswer):
    """A token for a client that no harness keeps."""

    agent: str
    """The name under which the client is known."""
    token: str
    """The secret, which can be read this once."""
    id: int
    """The token's number."""
    repos: tuple[RepoBranch, ...]
    """Every repository of the run."""


class RevokedToken(WireAnswer):
    """What ended with a token."""

    agent: str
    """Whose token it was."""
    ended: tuple[str, ...]
    """The tasks whose leases ended with it."""
    pinned: tuple[str, ...]
    """The tasks that are in the gate, whose leases end once the gate has refused them."""
