"""Each of the five programs, in its own hardened container without a network, does a task from the brief to
the landing.
"""

import re
from collections.abc import Callable, Iterator

import pytest

from harness.agents.kinds import PROGRAMS
from harness.boxes import sandbox
from harness.boxes.containers import Engine

from .images import SINK
from .letters import KINDS, LETTERS, agent, script, whole
from .place import Place, place

pytestmark = [pytest.mark.agents, pytest.mark.timeout(1200)]

TOKEN = re.compile(r"\bhs_[A-Za-z0-9_-]{20}")
LETTER = dict(zip(KINDS, LETTERS, strict=False))
# what the scripted model calls the APIs
APIS = {
    "Anthropic Messages": "anthropic",
    "OpenAI Responses": "responses",
    "OpenAI Chat": "chat",
    "Gemini": "gemini",
}
LOOKS_UP_NPM = (
    "opencode"  # with every switch that is known; in a sandbox the answer is that there is no such host
)


@pytest.fixture(scope="module")
def ran(
    engine: Engine, image: Callable[..., str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    """A run in which each kind has had one session."""
    scripts = [script(f"{kind}-1", whole(LETTER[kind], kind)) for kind in KINDS]
    agents = "".join(agent(kind, more=image(kind, "watched", SINK)) for kind in KINDS)
    with place(tmp_path_factory.mktemp("clients"), scripts, agents, LETTER.values()) as here:
        here.up_until(
            lambda: (
                {event["agent"] for event in here.events("session_ended")} == {f"{kind}-1" for kind in KINDS}
            )
        )
        yield here
        assert engine.list({sandbox.RUN: here.state.label}) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_real_program_claims_fails_once_mends_and_lands(kind: str, ran: Place) -> None:
    print(ran.log(f"{kind}-1"))
    calls = [
        (event["data"]["tool"], event["data"]["status"])
        for event in ran.events("tool_call")
        if event["agent"] == f"{kind}-1"
    ]
    assert calls[:4] == [
        ("claim_task", "leased"),
        ("run_oracle", "failed"),
        ("run_oracle", "passed"),
        ("push", "landed"),
    ]
    assert f"letters/{LETTER[kind]}/map" in ran.landed_files()
    ended = next(event for event in ran.events("session_ended") if event["agent"] == f"{kind}-1")
    assert (ended["data"]["outcome"], ended["data"]["exit"]) == ("worked", 0)


@pytest.mark.parametrize("kind", KINDS)
def test_it_asks_its_own_model_by_way_of_the_gateway_and_nobody_else(kind: str, ran: Place) -> None:
    hosts = ran.looked_up(f"{kind}-1")
    assert hosts == set() or (
        kind == LOOKS_UP_NPM and {host.partition(".")[0] for host in hosts} == {"registry"}
    ), hosts
    turns = [turn for turn in ran.models.turns if turn.asked and f"You are {kind}-1," in turn.asked.text]
    assert {turn.api for turn in turns} == {APIS[PROGRAMS[kind].program.api]}
    counted = [event for event in ran.events("model_request") if event["agent"] == f"{kind}-1"]
    assert len(counted) >= len(turns) == 8
    assert {event["data"]["status"] for event in counted} - {None} == {200}, (
        "None: a later session was stopped in its first request"
    )
    assert "nobody will answer a question" in turns[0].asked.text, "it was not told its prompt"
    assert f"Letter {LETTER[kind]} becomes" in turns[1].asked.text, "it was not told its brief"


@pytest.mark.parametrize("kind", KINDS)
def test_its_token_is_neither_in_its_log_nor_sent_to_its_model(kind: str, ran: Place) -> None:
    assert not TOKEN.search(ran.log(f"{kind}-1"))
    for turn in ran.models.requests:
        assert not TOKEN.search(f"{turn.request.headers} {turn.request.body!r}")
