"""Two Claude Codes, two Codexes and two Gemini CLIs finish a small project by one real `harness up`."""

from pathlib import Path

import pytest

from harness.boxes import sandbox
from harness.boxes.containers import Engine

from .letters import LETTERS, agent, any_two, script
from .place import place

pytestmark = [pytest.mark.agents, pytest.mark.timeout(1200)]

KINDS = ("claude", "codex", "gemini")
NAMES = [f"{kind}-{number}" for kind in KINDS for number in (1, 2)]


def test_six_agents_of_three_vendors_finish_the_project(engine: Engine, tmp_path: Path) -> None:
    agents = "".join(agent(kind, count=2) for kind in KINDS)
    with place(tmp_path, [script(name, any_two()) for name in NAMES], agents, LETTERS) as here:
        told = here.up()
        assert "no task is left" in told
        status = here.json("status")
        assert (status["tasks"]["done"], status["landings"]) == (len(LETTERS), len(LETTERS))
        assert {f"letters/{letter}/map" for letter in LETTERS} <= set(here.landed_files().split())
        assert here.harness("audit", "verify").returncode == 0
        landed = {event["agent"] for event in here.events("landed")}
        assert len({name.rpartition("-")[0] for name in landed}) > 1, (
            "the quick ones may leave nothing to a slow one, but not all to one vendor"
        )
        report = here.json("report")
        # Changes that gathered while another was tested are one commit: how many there are is a matter of timing.
        assert 1 <= report["work_commits"] <= len(LETTERS)
        assert report["coordination_commits"] == 0
        assert engine.list({sandbox.RUN: here.state.label}) == []
