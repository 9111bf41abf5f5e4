"""Who may hold a lease, and what the server says of the agents that a harness keeps."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mcp_server.core import role
from mcp_server.core.refusal import Code
from mcp_server.core.role import Role
from tests.server import toy
from tests.server.conftest import Server

TABLES = """
[agents.planner]
kind = "command"
command = ["true"]
role = "planner"
prompt = "Plan."

[agents.reviewer]
kind = "command"
command = ["true"]
role = "reviewer"
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(toy.project(tmp_path / "project", toy.TOML + TABLES), tmp_path / "state")
    yield made
    made.stop()


def test_only_a_worker_gets_a_lease() -> None:
    assert role.refusal(Role.WORKER) is None
    for other in (Role.PLANNER, Role.REVIEWER):
        refused = role.refusal(other)
        assert refused is not None
        assert (refused.code, refused.happened) == (
            Code.ROLE,
            f"you are a {other}, so no task is leased to you",
        )


@pytest.mark.parametrize("name", ["planner-1", "reviewer-1", "planner-7"])
def test_who_plans_or_reviews_is_refused_a_lease_by_the_name_of_its_token_alone(
    server: Server, name: str
) -> None:
    for agent in (server.agent(name), server.agent(name, session=False)):
        for refused in (
            agent.call("claim_task"),
            agent.call("claim_task", task="T01"),
            agent.call("push", fence=1, commit="0" * 40, summary="x"),
        ):
            assert (refused["status"], refused["code"]) == ("refused", "role")
        made = agent.call("create_task", title="New", module="count", brief="Do it.")
        assert made["status"] == "created"
        assert (
            agent.call("write_note", topic="review/count", text="Read up to the start.")["status"]
            == "written"
        )
    with server.http() as http:
        assert {task["state"] for task in http.get("/api/tasks").json()["tasks"]} == {"open"}
    refusals = [event["data"]["tool"] for event in server.events(kind="refusal", agent=name)]
    assert refusals == ["claim_task", "claim_task", "push"] * 2


def test_a_client_that_connects_is_a_worker(server: Server) -> None:
    assert server.agent("planner", session=False).call("claim_task")["status"] == "leased"


def member(agent: str, **more: object) -> dict:
    plain = {
        "kind": "claude",
        "role": "worker",
        "state": "working",
        "reason": "",
        "since_ms": 5,
        "sessions": 1,
        "last": "",
        "said": "",
        "gave_up": False,
    }
    return {"agent": agent} | plain | more


def tell(server: Server, *members: dict, role: str = "runner") -> int:
    with server.http(role) as http:
        return http.put("/api/crew", json={"agents": list(members)}).status_code


def status(server: Server) -> dict:
    with server.http() as http:
        return http.get("/api/status").json()


def test_the_status_tells_of_agents_that_never_came_to_a_session(server: Server) -> None:
    worker = server.agent("worker-1")
    gone = member(
        "claude-2",
        state="stopped",
        reason="preflight: claude: not found in the image x",
        sessions=0,
        gave_up=True,
    )
    tired = member(
        "codex-1",
        state="stopped",
        reason="3 sessions in a row ended the same way: idle",
        sessions=3,
        gave_up=True,
    )
    well = member("gemini-1", state="stopped", reason="no task is left", sessions=4)
    assert (
        tell(server, gone, tired, well, member("worker-1", sessions=2, said="reading", role="worker")) == 200
    )
    told = status(server)
    assert told["warnings"] == [
        "claude-2 never started: preflight: claude: not found in the image x",
        "codex-1 stopped after 3 sessions: 3 sessions in a row ended the same way: idle",
    ]
    rows = {row["agent"]: row for row in told["agents"]}
    assert list(rows) == ["claude-2", "codex-1", "gemini-1", "worker-1"]
    assert (
        rows["worker-1"]["session"],
        rows["worker-1"]["live"],
        rows["worker-1"]["sessions"],
        rows["worker-1"]["said"],
    ) == (worker.session, True, 2, "reading")
    assert (rows["claude-2"]["session"], rows["claude-2"]["live"], rows["claude-2"]["state"]) == (
        None,
        False,
        "stopped",
    )


def test_an_agent_that_starts_for_long_is_told_of(server: Server) -> None:
    tell(server, member("claude-1", state="starting", sessions=0, since_ms=server.clock() - 7 * 60_000))
    assert status(server)["warnings"] == ["claude-1 has been starting for 7 minutes"]


def test_what_is_told_of_the_crew_outlives_the_server_and_is_replaced_by_the_next(server: Server) -> None:
    tell(server, member("claude-1"), member("claude-2", state="waiting", reason="no task is free now"))
    server.stop()
    server.start()
    assert [(row["agent"], row["reason"]) for row in status(server)["agents"]] == [
        ("claude-1", ""),
        ("claude-2", "no task is free now"),
    ]
    tell(server, member("claude-2", state="waiting", reason="no task is free now", sessions=9))
    assert [(row["agent"], row["sessions"]) for row in status(server)["agents"]] == [("claude-2", 9)]
    changes = [(event["agent"], event["data"]["state"]) for event in server.events(kind="agent_state")]
    assert changes == [("claude-1", "working"), ("claude-2", "waiting")]  # a count that grows is no event


@pytest.mark.parametrize(
    "wrong",
    [
        {"state": "tired"},
        {"sessions": "3"},
        {"gave_up": 1},
        {"more": 1},
        {"agent": "a/b"},
        {"agent": "admin"},
    ],
)
def test_a_crew_that_makes_no_sense_changes_nothing(server: Server, wrong: dict) -> None:
    tell(server, member("claude-1"))
    assert tell(server, member("claude-2") | wrong) == 400
    assert [row["agent"] for row in status(server)["agents"]] == ["claude-1"]


def test_an_agent_may_not_speak_for_the_crew(server: Server) -> None:
    token = server.agent("worker-1").token
    with server.http() as http:
        assert (
            http.put(
                "/api/crew", json={"agents": []}, headers={"Authorization": f"Bearer {token}"}
            ).status_code
            == 403
        )


def test_a_sessions_facts_tell_its_leases_its_silence_and_its_last_end(server: Server) -> None:
    first = server.agent("worker-1")
    with server.http("runner") as http:

        def facts(session: str | None) -> dict:
            return http.get(f"/api/sessions/{session}").json()

        assert (facts(first.session)["leases"], facts(first.session)["tools_listed"]) == (0, False)
        assert first.call("claim_task")["status"] == "leased"
        assert facts(first.session)["leases"] == 1
        server.clock.ahead_ms += 30_000
        assert facts(first.session)["quiet_s"] >= 30
        first.call("list_tasks")
        assert facts(first.session)["quiet_s"] < 30
        ended = {"outcome": "crashed", "detail": "exit 7", "exit": 7, "heard": {"tool": 3}}
        assert http.post(f"/api/sessions/{first.session}/end", json=ended).status_code == 200
        for bad in ({"tool": "3"}, {"tool": -1}, {str(n): 1 for n in range(50)}):
            assert (
                http.post(f"/api/sessions/{first.session}/end", json=ended | {"heard": bad}).status_code
                == 400
            )
    second = server.agent("worker-1")
    [row] = status(server)["agents"]
    assert (row["session"], row["live"], row["outcome"], row["detail"]) == (
        second.session,
        True,
        "crashed",
        "exit 7",
    )
    assert server.events(kind="session_ended")[0]["data"]["heard"] == {"tool": 3}
