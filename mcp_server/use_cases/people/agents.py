"""The agents that a harness keeps: what each does now and why, as the harness says, also of those that never
came to a session.
"""

from dataclasses import asdict, dataclass, fields
from typing import Any

from mcp_server.store import crew as rows
from mcp_server.world import MS_PER_MINUTE, World

STATES = ("starting", "working", "waiting", "stopped")
TEXT_CHARACTERS_MAX = 400
SLOW_START_MS = 5 * MS_PER_MINUTE  # an image that has to be built first is built before


class UnreadableAgentState(Exception):
    """What was told is no agent's state; the message says where."""


@dataclass(frozen=True)
class Member:
    """`sessions`: begun so far. `last`: how the one before ended. `said`: its newest output. `gave_up`: it
    stopped though there was work.
    """

    agent: str
    kind: str
    role: str
    state: str
    reason: str
    since_ms: int
    sessions: int
    last: str
    said: str
    gave_up: bool


TYPES = {field.name: field.type for field in fields(Member)}


def read(told: Any) -> Member:
    """A member from JSON; raises Unreadable."""
    if not isinstance(told, dict) or set(told) != set(TYPES):
        raise UnreadableAgentState(f"an agent is told of by {', '.join(TYPES)}")
    if wrong := [name for name, kind in TYPES.items() if type(told[name]) is not kind]:
        raise UnreadableAgentState(f"wrong type: {', '.join(wrong)}")
    if told["state"] not in STATES:
        raise UnreadableAgentState(f"{told['state']!r} is no state: {', '.join(STATES)}")
    return Member(
        **{
            name: value[:TEXT_CHARACTERS_MAX] if isinstance(value, str) else value
            for name, value in told.items()
        }
    )


def tell(world: World, members: list[Member]) -> None:
    """Who is there, and as what. Each change of a state is an event."""
    with world.store.write() as tx:
        before = rows.all(tx)
        for one in members:
            known = before.get(one.agent)
            if known is None or (known["state"], known["reason"]) != (one.state, one.reason):
                world.record(
                    tx,
                    "agent_state",
                    agent=one.agent,
                    state=one.state,
                    reason=one.reason,
                    sessions=one.sessions,
                    gave_up=one.gave_up,
                )
        rows.put_all(tx, {one.agent: asdict(one) for one in members})
    world.bell.ring()


def known(world: World) -> dict[str, Member]:
    with world.store.read() as tx:
        return {agent: Member(**told) for agent, told in rows.all(tx).items()}


def warnings(members: dict[str, Member], now_ms: int) -> list[str]:
    """Who is missing though nobody sent it away: the first thing to know of a run."""
    found = []
    for one in members.values():
        if one.gave_up and one.sessions == 0:
            found.append(f"{one.agent} never started: {one.reason}")
        elif one.gave_up:
            found.append(f"{one.agent} stopped after {one.sessions} sessions: {one.reason}")
        elif one.state == "starting" and now_ms - one.since_ms > SLOW_START_MS:
            found.append(
                f"{one.agent} has been starting for {(now_ms - one.since_ms) // MS_PER_MINUTE} minutes"
            )
    return found
