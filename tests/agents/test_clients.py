"""Each of the five programs, in its own hardened container without a network, does a task from the brief to the landing."""

from collections.abc import Callable
from pathlib import Path

import pytest

from harness import sandbox
from harness.containers import Engine

from .place import KINDS, agent, doing_t01, one, place

pytestmark = pytest.mark.timeout(600)

APIS = {"claude": "anthropic", "codex": "responses", "gemini": "gemini", "opencode": "chat", "qwen": "chat"}
# Nothing but this, with every switch that is known; in a sandbox the answer is that there is no such host.
LOOKED_UP = {"opencode": {"the npm registry"}}


@pytest.mark.parametrize("kind", KINDS)
def test_a_real_program_claims_fails_once_mends_and_lands(kind: str, tmp_path: Path, engine: Engine, watched: Callable[[str], str]) -> None:
    with place(tmp_path, one(doing_t01(kind)), agent(kind, more=watched(kind))) as here:
        (ended,) = here.up_until(lambda: here.events("session_ended"))
        print(here.log())
        assert "shout/filter" in here.landed_files()
        calls = [(event["data"]["tool"], event["data"]["status"]) for event in here.events("tool_call")]
        assert calls == [("claim_task", "leased"), ("run_oracle", "failed"), ("run_oracle", "passed"), ("push", "landed")]
        assert (ended["agent"], ended["data"]["outcome"], ended["data"]["exit"]) == (f"{kind}-1", "worked", 0)
        assert here.looked_up() <= LOOKED_UP.get(kind, set()), "it asked for hosts of its own"
        turns = here.models.turns
        assert {turn.api for turn in turns} == {APIS[kind]}
        assert "Nobody will answer a question" in turns[0].asked.text
        assert len(here.events("model_request")) == len(here.models.requests)
        assert engine.list({sandbox.RUN: here.state.label}) == []
