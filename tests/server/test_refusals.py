"""Every refused call of a tool is in the log once as a call and once as a refusal, in both protocol eras."""

from collections.abc import Iterator
from typing import Any

import pytest

from . import wide
from .conftest import Agent, Server
from .test_tools import RIGHT, TOOLS, in_client
from .wide import refused

NO_FENCE = 999_999
REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("claim_task", {"task": "Z99"}, "unknown_task"),
    ("claim_task", {"task": 7}, "bad_request"),
    ("release_task", {"fence": NO_FENCE, "outcome": "abandoned"}, "not_leased"),
    ("run_oracle", {"fence": NO_FENCE}, "not_leased"),
    ("run_oracle", {"commit": "a" * 40}, "commit_unknown"),
    ("push", {"fence": NO_FENCE, "commit": "a" * 40, "summary": "s"}, "not_leased"),
    ("push", {"fence": NO_FENCE, "patch": "no patch", "summary": "s"}, "not_leased"),
    ("push", {"fence": NO_FENCE, "summary": "neither a commit nor a patch"}, "bad_request"),
    ("submit_report", {"fence": NO_FENCE, "markdown": "m"}, "not_leased"),
    ("create_task", {"title": "t", "module": "nowhere", "brief": "b"}, "bad_request"),
    ("write_note", {"topic": "long", "text": "x" * 4_001}, "bad_request"),
    ("write_note", {"topic": "no text"}, "bad_request"),
    *((tool, RIGHT[tool] | {"no_such_argument": 1}, "bad_request") for tool in sorted(TOOLS)),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with wide.serving(tmp_path_factory.mktemp("refusals")) as made:
        yield made


def logged(agent: Agent, kind: str) -> list[tuple[str, str]]:
    """Return tool and code of every event of `kind` that is this agent's."""
    events = agent.server.events(kind=kind, agent=agent.name)
    return [(event["data"]["tool"], event["data"]["code"]) for event in events]


@pytest.mark.parametrize("mode", ["auto", "legacy"])
@pytest.mark.parametrize("number", range(len(REFUSED)), ids=lambda at: f"{REFUSED[at][0]}-{at}")
def test_a_refused_call_is_logged_once_as_a_call_and_once_as_a_refusal(
    server: Server, mode: str, number: int
):
    tool, arguments, code = REFUSED[number]
    one = server.agent(f"refused-{mode}-{number}")
    one.mode = mode
    refused(one.call(tool, **arguments), code)
    assert logged(one, "tool_call") == [(tool, code)]
    assert logged(one, "refusal") == [(tool, code)]


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_a_call_of_no_tool_of_ours_is_logged_as_a_refusal_too(server: Server, mode: str):
    one = server.agent(f"explorer-{mode}")
    one.mode = mode
    result = in_client(one, lambda client: client.call_tool("drop_database", {"now": True}))
    assert result.is_error and result.structured_content["code"] == "bad_request"
    assert logged(one, "tool_call") == logged(one, "refusal") == [("drop_database", "bad_request")]


def test_a_patch_that_is_refused_under_a_live_lease_is_one_refusal_of_its_task(server: Server):
    one = server.agent("patcher")
    fence = one.call("claim_task", task="M11")["fence"]
    refused(one.call("push", fence=fence, patch="no patch", summary="s"), "bad_request")
    [event] = server.events(kind="refusal", agent=one.name)
    assert (event["task"], event["fence"], event["data"]["tool"]) == ("M11", fence, "push")
    one.call("release_task", fence=fence, outcome="abandoned")


def test_a_submission_that_the_gate_refuses_is_one_refusal_however_often_it_is_asked_for(tmp_path):
    with wide.serving(tmp_path) as server, wide.running(server):
        one = server.agent("strayer")
        fence = one.call("claim_task", task="M12")["fence"]
        commit = one.commit(one.clone(tmp_path / "one"), {"m13/x": "1\n"})
        for _ in range(3):
            told = wide.settled(one, "push", fence=fence, commit=commit, summary="out of its paths")
            refused(told, "outside_module")
        assert logged(one, "refusal") == [("push", "outside_module")]
        calls = [code for tool, code in logged(one, "tool_call") if tool == "push" and code is not None]
        assert calls == ["outside_module"] * 3
