"""What agents send, however long or strange: a bounded part of it stays, with a hash of what was cut."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from mcp_server.audit import ARGUMENTS_BYTES_MAX, bounded
from mcp_server.models.apis import Form
from mcp_server.models.usage import UsageReader
from tests.fake_models import FakeModels, Script, Step
from tests.gateway.place import asking, place

from . import toy
from .conftest import Server

LONG = "x" * 300_000


def logged(server: Server) -> dict[str, int]:
    """The bytes of the longest event of each kind, and of the longest name of a task."""
    with sqlite3.connect(server.state / "state.db") as database:
        rows = database.execute("SELECT kind, max(length(body)), max(length(task)) FROM events GROUP BY kind")
        return {kind: max(body, task or 0) for kind, body, task in rows}


@pytest.mark.parametrize(
    ("tool", "args"),
    [
        ("claim_task", {"task": LONG}),
        ("claim_task", {LONG: "x"}),
        ("claim_task", {f"name-{number}": "x" * 100 for number in range(3_000)}),
        ("x" * 5_000, {}),
        ("create_task", {"title": "t", "module": "shout", "brief": "b", "needs": ["n" * 100] * 3_000}),
        ("create_task", {"title": "t", "module": LONG, "brief": "b"}),
        ("push", {"fence": 1, "summary": "s", "commit": LONG}),
        ("write_note", {"topic": LONG, "text": LONG}),
    ],
    ids=lambda value: (
        value[:12] if isinstance(value, str) else ",".join(name[:12] for name in list(value)[:3])
    ),
)
def test_a_call_of_any_length_stays_short_in_the_log(server: Server, tool: str, args: dict[str, Any]):
    agent = server.agent("wordy")
    agent.call(tool, **args)
    assert max(logged(server).values()) < 2 * ARGUMENTS_BYTES_MAX
    assert server.events(kind="tool_call"), "and it can be read"
    assert agent.call("list_tasks")["is_error"] is False


def test_what_is_cut_of_the_arguments_is_told_by_its_hash():
    cases = [f"case-{number}" for number in range(5_000)]
    kept = bounded({"cases": cases, "scope": "fast", "token": "t" * 50})
    assert kept["scope"] == "fast" and kept["token"] == "(secret)"
    assert kept["cases"]["bytes"] == len(json.dumps(cases, separators=(",", ":")))
    assert len(kept["cases"]["sha256"]) == 64
    assert bounded({"cases": cases[:50]}) == {"cases": cases[:50]}, "what is short stays whole"


def test_a_model_s_name_of_any_length_is_recorded_short(tmp_path: Path):
    """A refused one: of an answered request the vendor's own name is recorded."""
    served = 'models = ["claude-*"]'
    with (
        FakeModels(Script((Step("done"),), turns="any")) as models,
        place(tmp_path, models, more=served) as made,
    ):
        agent = made.agent()
        made.ask(agent, asking("messages", stream=False, model="m" * 200_000))
        (request,) = made.counted(agent)
        assert isinstance(request["model"], str) and len(request["model"]) < 300
        assert max(logged(made.server).values()) < ARGUMENTS_BYTES_MAX


@pytest.mark.parametrize("figure", [12.5, "12", -1, True, [12], 1 << 60])
@pytest.mark.parametrize(
    ("form", "body"),
    [
        (Form.MESSAGES, {"usage": {"input_tokens": 7, "output_tokens": "?"}}),
        (Form.CHAT, {"usage": {"prompt_tokens": 7, "completion_tokens": "?"}}),
        (Form.RESPONSES, {"usage": {"input_tokens": 7, "output_tokens": "?"}}),
        (Form.GENERATE, {"usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": "?"}}),
    ],
)
def test_a_usage_that_is_no_whole_number_is_unknown(form: Form, body: dict, figure: object):
    def read(value: object) -> bool:
        reader = UsageReader(form, content_type="application/json")
        reader.feed(json.dumps(body).replace('"?"', json.dumps(value)).encode())
        reader.end()
        return reader.usage.is_known

    assert read(12) and read(None)
    assert not read(figure)


def test_a_clock_that_jumps_back_keeps_no_dead_agents_lease(tmp_path: Path):
    made = Server(toy.project(tmp_path / "project"), tmp_path / "state")
    try:
        dead, next_one = made.agent("dead"), made.agent("next")
        task = dead.call("claim_task")["task"]["id"]
        hour_ms = 3_600_000
        made.clock.ahead_ms -= 2 * hour_ms
        assert next_one.call("claim_task", task=task)["is_error"]
        assert made.world is not None
        made.clock.ahead_ms += made.world.lease_ms + 1_000
        assert next_one.call("claim_task", task=task)["task"]["id"] == task
    finally:
        made.stop()
