"""Leases over a real server: time, activity, deaths, pins, and what the next holder finds."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.waiting import until

from . import toy, wide
from .conftest import Agent, Server
from .wide import refused, settled

LEASE_MS = 60_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with wide.serving(tmp_path_factory.mktemp("leases")) as made:
        yield made


def end(agent: Agent, outcome: str = "crashed") -> dict:
    with agent.server.http("runner") as http:
        return http.post(
            f"/api/sessions/{agent.session}/end", json={"outcome": outcome, "detail": "", "exit": 137}
        ).json()


def state(server: Server, task: str) -> dict:
    with server.http() as http:
        return http.get(f"/api/tasks/{task}").json()


def ended(server: Server, fence: int) -> list[str]:
    return [event["data"]["reason"] for event in server.events(kind="lease_ended") if event["fence"] == fence]


def test_a_lease_whose_time_is_up_gives_its_task_back_with_what_was_uploaded(server: Server, tmp_path: Path):
    one, two = server.agent("silent"), server.agent("heir")
    first = one.call("claim_task", task="M01")
    commit = one.commit(one.clone(tmp_path / "one"), {"m01/half": "1\n"})
    server.clock.ahead_ms += LEASE_MS - 5_000
    refused(two.call("claim_task", task="M01"), "held")
    server.clock.ahead_ms += 6_000
    second = two.call("claim_task", task="M01")
    assert second["status"] == "leased" and second["fence"] > first["fence"]
    assert (second["salvage"]["commit"], second["salvage"]["agent"]) == (commit, "silent")
    clone = two.clone(tmp_path / "two")
    toy.git("fetch", "-q", "origin", second["salvage"]["ref"], cwd=clone)
    assert toy.git("rev-parse", "FETCH_HEAD", cwd=clone) == commit
    toy.git("merge", "-q", "--no-edit", commit, cwd=clone)
    assert (clone / "m01/half").read_text() == "1\n"
    assert ended(server, first["fence"]) == ["expired"]
    stale = refused(one.call("push", fence=first["fence"], commit=commit, summary="late"), "stale_fence")
    assert "heir" in stale["holds"]
    with server.http() as http:
        assert http.get("/api/status").json()["landings"] == 0


def test_an_expired_lease_is_not_revived_by_a_call_of_its_holder(server: Server):
    one = server.agent("sleeper")
    fence = one.call("claim_task", task="M02")["fence"]
    server.clock.ahead_ms += LEASE_MS + 1
    one.call("list_tasks")
    assert ended(server, fence) == ["expired"] and state(server, "M02")["state"] == "open"
    again = one.call("claim_task", task="M02")
    assert again["fence"] > fence
    one.call("release_task", fence=again["fence"], outcome="abandoned")


def test_any_call_renews(server: Server, tmp_path: Path):
    one = server.agent("worker")
    fence = one.call("claim_task", task="M03")["fence"]
    clone = one.clone(tmp_path / "one")
    for act in (
        lambda: one.call("read_notes"),
        lambda: one.call("list_tasks"),
        lambda: refused(one.call("claim_task", task="nothing"), "held"),
        lambda: one.call("write_note", topic="t", text="x", colour="red"),
        lambda: one.commit(clone, {"m03/x": "1\n"}),
        lambda: one.clone(tmp_path / "another"),
    ):
        server.clock.ahead_ms += LEASE_MS * 9 // 10
        act()
    assert ended(server, fence) == [] and one.call("claim_task")["fence"] == fence
    one.call("release_task", fence=fence, outcome="abandoned")


def test_a_refused_git_push_renews_too_and_others_calls_do_not(server: Server, tmp_path: Path):
    one, two = server.agent("busy"), server.agent("bystander")
    fence = one.call("claim_task", task="M04")["fence"]
    clone = one.clone(tmp_path / "one")
    toy.git("commit", "-q", "--allow-empty", "-m", "x", cwd=clone)
    server.clock.ahead_ms += LEASE_MS // 2
    toy.git("push", "origin", "HEAD:refs/heads/main", cwd=clone, check=False)
    server.clock.ahead_ms += LEASE_MS * 2 // 3
    two.call("list_tasks")
    assert ended(server, fence) == []
    server.clock.ahead_ms += LEASE_MS // 2
    two.call("list_tasks")
    assert ended(server, fence) == ["expired"]


def test_the_end_of_a_session_frees_its_task_at_once_and_only_once(server: Server, tmp_path: Path):
    one, two = server.agent("mortal"), server.agent("next")
    first = one.call("claim_task", task="M05")
    commit = one.commit(one.clone(tmp_path / "one"), {"m05/x": "1\n"})
    left = end(one)
    assert left == {"salvage": f"refs/salvage/M05/{first['fence']}", "task": "M05"}
    assert two.call("claim_task", task="M05")["salvage"]["commit"] == commit
    assert end(one) == {"salvage": None, "task": None}
    assert (
        ended(server, first["fence"]) == ["session_ended"]
        and len(server.events(kind="session_ended", agent="mortal")) == 1
    )
    assert end(two)["salvage"], "what was salvaged once is not lost when the heir dies without a commit"


def test_a_session_that_uploaded_nothing_leaves_nothing(server: Server):
    one = server.agent("idler")
    one.call("claim_task", task="M06")
    assert end(one, "idle") == {"salvage": None, "task": "M06"}
    assert state(server, "M06")["salvage"] is None


def test_an_unknown_session_cannot_end(server: Server):
    with server.http("runner") as http:
        assert http.post("/api/sessions/S999/end", json={"outcome": "idle"}).status_code == 404


def test_salvage_that_is_on_main_already_is_not_offered(server: Server, tmp_path: Path):
    one, two = server.agent("reader"), server.agent("after")
    one.call("claim_task", task="M07")
    clone = one.clone(tmp_path / "one")
    toy.git("push", "-q", "origin", "HEAD:refs/agents/reader/work", cwd=clone)
    end(one)
    assert two.call("claim_task", task="M07")["salvage"] is None
    end(two)


def test_an_agent_without_a_session_holds_a_lease_by_its_token_and_loses_it_by_time(
    server: Server, tmp_path: Path
):
    one = server.agent("remote", session=False)
    fence = one.call("claim_task", task="M08")["fence"]
    commit = one.commit(one.clone(tmp_path / "one"), {"m08/x": "1\n"})
    with server.http() as http:
        [row] = [row for row in http.get("/api/status").json()["agents"] if row["agent"] == "remote"]
    assert (row["state"], row["session"], row["task"], row["fence"]) == ("connected", None, "M08", fence)
    server.clock.ahead_ms += LEASE_MS + 1
    assert server.agent("local").call("claim_task", task="M08")["salvage"]["commit"] == commit


def test_a_lease_in_the_gate_is_pinned_against_time_and_against_its_sessions_death(
    server: Server, tmp_path: Path
):
    one, two = server.agent("finisher"), server.agent("waiting")
    fence = one.call("claim_task", task="M09")["fence"]
    commit = one.commit(one.clone(tmp_path / "one"), {"m09/x": "1\n"})
    assert (
        one.call("push", fence=fence, commit=commit, summary="Last words")["status"] == "testing"
    )  # no runner is there
    server.clock.ahead_ms += 10 * LEASE_MS
    refused(two.call("claim_task", task="M09"), "held")
    assert end(one)["task"] == "M09"
    refused(two.call("claim_task", task="M09"), "held")
    assert ended(server, fence) == []
    with wide.running(server):
        until(lambda: state(server, "M09")["state"] == "done")
    assert ended(server, fence) == ["landed"]
    [event] = server.events(kind="landed", agent="finisher")
    assert event["fence"] == fence


def test_a_dead_sessions_submission_that_is_refused_ends_its_lease_and_is_salvaged(
    server: Server, tmp_path: Path
):
    one, two = server.agent("unlucky"), server.agent("lucky")
    fence = one.call("claim_task", task="M00")["fence"]
    commit = one.commit(one.clone(tmp_path / "one"), {"m00/x": "not enough for low/*\n"})
    assert one.call("push", fence=fence, commit=commit, summary="Try")["status"] == "testing"
    end(one)
    with wide.running(server):
        until(lambda: ended(server, fence))
    assert ended(server, fence) == ["session_ended"]
    assert two.call("claim_task", task="M00")["salvage"]["commit"] == commit
    end(two)


def test_an_agents_next_session_takes_over_what_its_last_one_left_in_the_gate(server: Server, tmp_path: Path):
    one = server.agent("again")
    fence = one.call("claim_task", task="M00")["fence"]
    commit = one.commit(one.clone(tmp_path / "one"), {"m00/y": "not enough either\n"})
    assert one.call("push", fence=fence, commit=commit, summary="Try")["status"] == "testing"
    end(one)
    later = server.agent("again")
    resumed = later.call("claim_task")
    assert (resumed["fence"], resumed["salvage"]["commit"]) == (fence, commit)
    clone = later.clone(tmp_path / "two")
    toy.git("fetch", "-q", "origin", resumed["salvage"]["ref"], cwd=clone)
    with wide.running(server):
        refused(settled(later, "push", fence=fence, commit=commit, summary="Try"), "oracle_failed")
    assert ended(server, fence) == [] and later.call("claim_task")["fence"] == fence
    assert end(later)["task"] == "M00"


def test_a_task_opened_again_after_its_landing_gets_a_new_fence(server: Server, tmp_path: Path):
    first = server.agent("first-time")
    fence = first.call("claim_task", task="M10")["fence"]
    commit = first.commit(first.clone(tmp_path / "one"), {"m10/x": "1\n"})
    with wide.running(server):
        assert settled(first, "push", fence=fence, commit=commit, summary="Done")["status"] == "landed"
    with server.http() as http:
        assert http.post("/api/tasks/M10/reopen", json={"reason": "once more"}).json()["state"] == "open"
        assert http.post("/api/tasks/M10/reopen", json={"reason": "twice"}).status_code == 409
    one = server.agent("second-time")
    claimed = one.call("claim_task", task="M10")
    fences = [event["fence"] for event in server.events(kind="lease_granted")]
    assert claimed["fence"] == max(fences) and fences == sorted(set(fences)) and claimed["salvage"] is None


def revoke(server: Server, name: str, **query: str) -> dict:
    with server.http() as http:
        id = next(
            token["id"]
            for token in http.get("/api/tokens").json()["tokens"]
            if token["name"] == name and token["revoked_ms"] is None
        )
        return http.delete(f"/api/tokens/{id}", params=query).json()


def test_a_revoked_token_ends_its_lease_at_once_and_its_work_is_kept(server: Server, tmp_path: Path):
    one = server.agent("connected", session=False)
    first = one.call("claim_task", task="M31")
    commit = one.commit(one.clone(tmp_path / "one"), {"m31/half": "1\n"})
    assert revoke(server, "connected") == {"agent": "connected", "ended": ["M31"], "pinned": []}
    assert ended(server, first["fence"]) == ["token_revoked"] and state(server, "M31")["state"] == "open"
    heir = server.agent("successor").call("claim_task", task="M31")
    assert heir["salvage"]["commit"] == commit


def test_a_lease_lives_on_with_another_token_of_its_holder_or_when_a_client_hands_its_own_in(server: Server):
    one = server.agent("twice", session=False)
    server.agent("twice", session=False)
    fence = one.call("claim_task", task="M32")["fence"]
    assert revoke(server, "twice")["ended"] == []
    assert revoke(server, "twice", lease="keep")["ended"] == []
    assert state(server, "M32")["state"] == "leased" and ended(server, fence) == []
    again = server.agent("twice", session=False)
    assert again.call("claim_task")["fence"] == fence
    assert revoke(server, "twice")["ended"] == ["M32"]


def test_a_revoked_holder_whose_work_is_in_the_gate_loses_it_only_by_the_verdict(
    server: Server, tmp_path: Path
):
    with wide.running(server) as runner:
        runner.hold.clear()
        one = server.agent("pinned", session=False)
        fence = one.call("claim_task", task="M33")["fence"]
        commit = one.commit(one.clone(tmp_path / "one"), {"m33/filter": "FROM=A-Z\nTO=a-z\n"})
        assert one.call("push", fence=fence, commit=commit, summary="Loses a case")["status"] == "testing"
        assert revoke(server, "pinned") == {"agent": "pinned", "ended": [], "pinned": ["M33"]}
        assert state(server, "M33")["state"] == "leased"
        runner.hold.set()
        until(lambda: state(server, "M33")["state"] == "open")
        assert state(server, "M33")["salvage"]["commit"] == commit
