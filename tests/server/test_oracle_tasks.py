"""`from-oracle` over HTTP: failures on main become tasks once, and those that anybody's landing has mended
are closed.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.waiting import until

from . import toy, wide
from .conftest import Server
from .wide import settled


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    project = wide.project(tmp_path / "project")
    (project / "main.sh").write_text('echo "at ./m03/README:1" >&2\n' + wide.MAIN)
    (project / "oracle/cases/low/2.txt").write_text("ghi\n")
    (project / "harness.toml").write_text(
        wide.toml().replace(
            "[agents.worker]", '[oracle.words.flaky]\n"low/2" = "2999-01-01"\n\n[agents.worker]'
        )
    )
    toy.git("add", "-A", cwd=project)
    toy.git("commit", "-qm", "says where", cwd=project)
    made = Server(project, tmp_path / "state", wide.WAIT_S)
    try:
        with wide.running(made):
            yield made
    finally:
        made.stop()


def from_oracle(server: Server, **wanted) -> dict:
    def told() -> dict | None:
        with server.http() as http:
            answer = http.post("/api/tasks/from-oracle", json=wanted).json()
        return None if "running" in answer else answer

    return until(told)


def task(server: Server, id: str) -> dict:
    with server.http() as http:
        return http.get(f"/api/tasks/{id}").json()


def test_each_cause_gets_one_task_and_what_passes_since_is_closed(server: Server, tmp_path: Path):
    tried = from_oracle(server, dry_run=True)
    assert [made["task"] for made in tried["made"]] == [None, None], "low/2 is flaky"
    with server.http() as http:
        before = len(http.get("/api/tasks").json()["tasks"])
    first = from_oracle(server, limit=1)
    assert (len(first["made"]), first["left_out"]) == (1, 1)
    second = from_oracle(server)
    assert (
        second["kept"] == [first["made"][0]["task"]]
        and len(second["made"]) == 1
        and second["made"][0]["module"] == "m03"
    )
    third = from_oracle(server)
    assert third["made"] == [] and len(third["kept"]) == 2
    by_case = {
        task(server, made["task"])["cases"][0]: made["task"] for made in first["made"] + second["made"]
    }
    assert set(by_case) == {"words:low/0", "words:low/1"}
    told = task(server, by_case["words:low/0"])
    assert (
        told["source"].startswith("oracle:words:") and "    abc" in told["brief"] and "ABC" in told["brief"]
    )
    with server.http() as http:
        assert len(http.get("/api/tasks").json()["tasks"]) == before + 2

    holder, other = server.agent("holder"), server.agent("other")
    claimed = holder.call("claim_task", task=by_case["words:low/1"])
    assert claimed["failing_cases"] == ["low/1"] and claimed["paths"] == ["m03/**"]
    clone = other.clone(tmp_path / "other")
    land(other, clone, "M01", {"m01/filter": "FROM=a-z\nTO=A-Z\n"})
    closed = until(lambda: (found := task(server, by_case["words:low/0"]))["state"] == "done" and found)
    assert closed["reason"].startswith("every case of it passes on main, at ")
    assert [
        event["data"]["state"] for event in server.events(kind="task_state", task=by_case["words:low/0"])
    ] == ["done"]
    assert task(server, by_case["words:low/1"])["state"] == "leased", "nobody is robbed of a lease"
    holder.call("release_task", fence=claimed["fence"], outcome="blocked", note="cannot say")
    until(lambda: task(server, by_case["words:low/1"])["state"] == "done")
    assert from_oracle(server) == {
        "made": [],
        "closed": [],
        "kept": [],
        "no_module": [],
        "left_out": 0,
    }


def land(agent, clone: Path, id: str, files: dict[str, str]) -> None:
    fence = agent.call("claim_task", task=id)["fence"]
    commit = agent.commit(clone, files)
    assert settled(agent, "push", fence=fence, commit=commit, summary="x")["status"] == "landed"


def test_a_task_made_of_failures_lands_like_any_other(server: Server, tmp_path: Path):
    made = from_oracle(server)["made"]
    one = server.agent("mender")
    claimed = one.call("claim_task", task=made[0]["task"])
    case = claimed["failing_cases"][0]
    letters = {"low/0": ("abc", "ABC"), "low/1": ("xyz", "XYZ")}[case]
    commit = one.commit(one.clone(tmp_path / "one"), {"m03/filter": f"FROM={letters[0]}\nTO={letters[1]}\n"})
    assert settled(one, "run_oracle", fence=claimed["fence"])["status"] == "passed"
    assert settled(one, "push", fence=claimed["fence"], commit=commit, summary="Mend")["status"] == "landed"
    assert (
        task(server, made[0]["task"])["state"] == "done" and task(server, made[1]["task"])["state"] == "open"
    )


def test_what_cannot_be_done_is_said(server: Server):
    with server.http() as http:
        assert (
            http.post("/api/tasks/from-oracle", json={"module": "nowhere"}).json()["error"] == "bad_request"
        )
        assert http.post("/api/tasks/from-oracle", json={"suite": "nowhere"}).status_code == 404
        assert http.post("/api/tasks/from-oracle", json={"limit": "x"}).status_code == 400
