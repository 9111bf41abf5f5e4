"""Owns the agents that a harness keeps: what each does now and why, as the harness says, also of those that
never came to a session.
"""

from collections.abc import Iterable, Mapping

from mcp_server.store import crew as rows
from mcp_server.wire.sessions import AgentState, Doing
from mcp_server.world import MS_PER_MINUTE, World

TEXT_CHARACTERS_MAX = 400
SLOW_START_MS = 5 * MS_PER_MINUTE  # an image that has to be built first is built before


def record_states(world: World, reported: Iterable[AgentState]) -> None:
    """Keep these agents and no others. Each change of a state or of its reason is an event."""
    agent_states = [_cut(agent_state) for agent_state in reported]
    with world.store.write() as tx:
        rows_before = rows.all(tx)
        for agent_state in agent_states:
            before = rows_before.get(agent_state.agent)
            if before is None or _is_news(AgentState.of_json(before), agent_state):
                world.record(
                    tx,
                    "agent_state",
                    agent=agent_state.agent,
                    state=str(agent_state.state),
                    reason=agent_state.reason,
                    sessions=agent_state.sessions,
                    gave_up=agent_state.gave_up,
                )
        rows.put_all(tx, {agent_state.agent: agent_state.render() for agent_state in agent_states})
    world.bell.ring()


def _cut(agent_state: AgentState) -> AgentState:
    """Return the state with its texts cut to what is kept of each."""
    return agent_state.changed(
        **{
            name: value[:TEXT_CHARACTERS_MAX]
            for name, value in agent_state
            if isinstance(value, str) and not isinstance(value, Doing)
        }
    )


def _is_news(before: AgentState, after: AgentState) -> bool:
    return (before.state, before.reason) != (after.state, after.reason)


def states(world: World) -> dict[str, AgentState]:
    """Return the last state of each agent by its name."""
    with world.store.read() as tx:
        return {agent: AgentState.of_json(row) for agent, row in rows.all(tx).items()}


def warnings(agent_states: Mapping[str, AgentState], now_ms: int) -> list[str]:
    """Return a sentence for each agent that is missing though nobody sent it away."""
    sentences = []
    for agent_state in agent_states.values():
        agent, for_ms = agent_state.agent, now_ms - agent_state.since_ms
        if agent_state.gave_up and agent_state.sessions == 0:
            sentences.append(f"{agent} never started: {agent_state.reason}")
        elif agent_state.gave_up:
            sentences.append(f"{agent} stopped after {agent_state.sessions} sessions: {agent_state.reason}")
        elif agent_state.state is Doing.STARTING and for_ms > SLOW_START_MS:
            sentences.append(f"{agent} has been starting for {for_ms // MS_PER_MINUTE} minutes")
    return sentences
