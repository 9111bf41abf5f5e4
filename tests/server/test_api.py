"""The JSON routes: strict bodies, stable error codes, and what status, tasks and sessions tell."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from . import wide
from .conftest import Server
from .wide import settled


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with wide.serving(tmp_path_factory.mktemp("api")) as made, wide.running(made):
        yield made


def call(server: Server, method: str, path: str, json: object = None, **more) -> tuple[int, dict]:
    with server.http() as http:
        answer = http.request(method, path, json=json, **more)
        return answer.status_code, answer.json() if answer.content else {}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/sessions", {"agent": "a", "kind": "k"}),
        ("/api/sessions", {"agent": "a", "kind": "k", "door": "yes"}),
        ("/api/sessions", {"agent": "a", "kind": "k", "door": False, "admin": True}),
        ("/api/sessions", ["agent"]),
        ("/api/tokens", {"agent": 7}),
        ("/api/tasks", {"title": "t"}),
        ("/api/tasks", {"title": "t", "module": "m01", "brief": "b", "paths": "m01/**"}),
        ("/api/jobs/claim", {"wait_s": 1}),
        ("/api/oracle/run", {"suite": 7}),
    ],
    ids=str,
)
def test_a_body_with_wrong_or_missing_fields_is_a_bad_request(server: Server, path: str, body: object):
    status, answer = call(server, "POST", path, body)
    assert (status, answer["error"]) == (400, "bad_request") and answer["message"]


def test_a_body_that_is_no_json_is_a_bad_request(server: Server):
    with server.http() as http:
        assert http.post("/api/tokens", content=b"{agent").json()["error"] == "bad_request"


@pytest.mark.parametrize(
    "path",
    [
        "/api/tasks/none",
        "/api/jobs/999",
        "/api/jobs/x",
        "/api/jobs/99999999999999999999999",
        "/api/sessions/S999",
        "/api/commits?repo=none",
    ],
)
def test_what_does_not_exist_is_not_found_and_says_so(server: Server, path: str):
    status, answer = call(server, "GET", path)
    assert status == 404 and answer["error"].startswith("unknown") and answer["message"]


def test_a_task_is_added_once_shown_and_refused_where_it_makes_no_sense(server: Server):
    made = {
        "title": "Extra",
        "module": "m01",
        "brief": "Do it",
        "paths": ["m01/sub/**"],
        "needs": ["M02"],
        "cases": ["low/*"],
    }
    status, first = call(server, "POST", "/api/tasks", made)
    assert status == 200 and call(server, "POST", "/api/tasks", made) == (200, first)
    assert (first["state"], first["suite"], first["source"]) == ("open", "words", "admin")
    assert call(server, "GET", f"/api/tasks/{first['id']}")[1] == first | {"holder": None, "report": None}
    status, refused = call(server, "POST", "/api/tasks", made | {"title": "Other", "paths": ["m02/**"]})
    assert (status, refused["error"]) == (409, "bad_request")


def test_reopening_is_for_tasks_that_are_over(server: Server):
    assert call(server, "POST", "/api/tasks/M03/reopen", {"reason": "x"})[1]["error"] == "bad_request"
    assert call(server, "POST", "/api/tasks/none/reopen", {"reason": "x"})[1]["error"] == "unknown_task"
    one = server.agent("blocker")
    fence = one.call("claim_task", task="M03")["fence"]
    one.call("release_task", fence=fence, outcome="blocked", note="why")
    assert call(server, "GET", "/api/tasks/M03")[1]["reason"] == "why"
    assert call(server, "POST", "/api/tasks/M03/reopen", {"reason": "solved"})[1]["state"] == "open"


def test_status_tells_agents_tasks_landings_and_refusals(server: Server, tmp_path: Path):
    one = server.agent("teller")
    claimed = one.call("claim_task", task="M04")
    commit = one.commit(one.clone(tmp_path / "one"), {"m04/x": "1\n"})
    one.call("claim_task", task="M05")
    status = call(server, "GET", "/api/status")[1]
    [row] = [row for row in status["agents"] if row["agent"] == "teller"]
    assert (row["state"], row["task"], row["fence"], row["last_call"], row["refusals"], row["landings"]) == (
        "working",
        "M04",
        claimed["fence"],
        "claim_task",
        1,
        0,
    )
    assert 0 < row["lease_left_s"] <= 60 and status["tasks"]["claimed"] >= 1 and status["finished"] is False
    landed = settled(one, "push", fence=claimed["fence"], commit=commit, summary="x")
    status = call(server, "GET", "/api/status")[1]
    [row] = [row for row in status["agents"] if row["agent"] == "teller"]
    assert (row["landings"], row["task"], status["main"]["toy"], status["submissions"]) == (
        1,
        None,
        landed["main"],
        [],
    )
    assert (
        status["refusals"]["held"] >= 1
        and status["landings"] == 1
        and status["suites"]["words"]["cases"] == 4
    )
    assert status["head_seq"] == max(event["seq"] for event in server.events())


def test_a_session_tells_what_it_did(server: Server, tmp_path: Path):
    one = server.agent("counted")
    fence = one.call("claim_task", task="M06")["fence"]
    head = one.commit(one.clone(tmp_path / "one"), {"m06/x": "1\n"})
    told = call(server, "GET", f"/api/sessions/{one.session}")[1]
    assert (
        told["session"],
        told["agent"],
        told["state"],
        told["calls"],
        told["head"],
        told["tools_listed"],
    ) == (one.session, "counted", "working", 1, head, True)
    one.call("release_task", fence=fence, outcome="abandoned")
    call(server, "POST", f"/api/sessions/{one.session}/end", {"outcome": "worked", "detail": "", "exit": 0})
    told = call(server, "GET", f"/api/sessions/{one.session}")[1]
    assert (told["state"], told["outcome"]) == ("ended", "worked")


def test_a_token_comes_with_what_a_clone_needs(server: Server):
    status, made = call(server, "POST", "/api/tokens", {"agent": "remote"})
    assert (
        status == 200 and made["agent"] == "remote" and made["repos"] == [{"name": "toy", "branch": "main"}]
    )
    assert made["token"] not in str(call(server, "GET", "/api/tokens")[1])


def test_a_waiting_runner_gets_a_job_as_soon_as_there_is_one_and_nothing_otherwise(server: Server):
    assert call(server, "POST", "/api/jobs/claim", {"runner": "second", "wait_s": 0})[0] == 204
    assert call(server, "POST", "/api/oracle/run", {"fresh": True})[0] == 200


def test_an_environment_is_asked_for_by_its_name_and_an_unknown_one_is_not_found(server: Server):
    status, answer = call(server, "GET", "/api/environments/none")
    assert (status, answer["error"]) == (404, "unknown_environment") and "'none'" in answer["message"]
