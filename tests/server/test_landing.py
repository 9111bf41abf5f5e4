"""The whole path of a change through a real server: claim, commit, test, push, land or be refused."""

from pathlib import Path

from tests.waiting import until

from . import toy
from .conftest import Server

SHOUT = {"shout/filter": "FROM=a-z TO=A-Z\n"}


def test_a_change_that_passes_lands_as_one_commit_with_its_trailers(server: Server, runner, tmp_path: Path):
    one = server.agent("one")
    claimed = one.call("claim_task")
    assert claimed["status"] == "leased" and claimed["task"]["id"] == "T01"
    commit = one.commit(one.clone(tmp_path / "one"), SHOUT)
    assert one.call("run_oracle", fence=claimed["fence"])["status"] == "passed"
    landed = one.call("push", fence=claimed["fence"], commit=commit, summary="Shout")
    assert landed["status"] == "landed"
    with server.http() as http:
        commits = http.get("/api/commits").json()["commits"]
        assert [commit["subject"] for commit in commits] == ["start", "Shout"]
        assert commits[-1]["commit"] == landed["main"] and commits[-1]["paths"] == ["shout/filter"]
        assert commits[-1]["trailers"]["Task"] == "T01" and commits[-1]["trailers"]["Agent"] == "one"
        assert http.get("/api/audit/verify").json()["ok"]
        assert http.get("/api/status").json()["suites"]["words"]["passing"] == 4
    assert one.call("release_task", fence=claimed["fence"], outcome="done")["status"] == "released"


def test_a_change_outside_the_lease_is_refused_and_main_stays(server: Server, runner, tmp_path: Path):
    one = server.agent("one")
    fence = one.call("claim_task", task="T02")["fence"]
    commit = one.commit(one.clone(tmp_path / "one"), SHOUT)
    refused = one.call("push", fence=fence, commit=commit, summary="Shout")
    assert (refused["status"], refused["code"], refused["is_error"]) == ("refused", "outside_module", True)
    with server.http() as http:
        assert len(http.get("/api/commits").json()["commits"]) == 1
    assert one.call("claim_task")["fence"] == fence  # the lease goes on


def test_a_regression_on_the_merged_commit_is_refused(server: Server, runner, tmp_path: Path):
    one = server.agent("one")
    fence = one.call("claim_task", task="T02")["fence"]
    commit = one.commit(one.clone(tmp_path / "one"), {"count/filter": "FROM=1 TO=2\n"})
    refused = one.call("push", fence=fence, commit=commit, summary="Count")
    assert refused["code"] == "regression" and "up/two" in refused["happened"]


def test_a_broken_oracle_refuses_nothing_for_good(server: Server, runner, tmp_path: Path):
    with server.http() as http:
        until(lambda: http.get("/api/status").json()["suites"]["words"]["cases"])
    one = server.agent("one")
    fence = one.call("claim_task", task="T01")["fence"]
    commit = one.commit(one.clone(tmp_path / "one"), SHOUT)
    runner.broken = 3
    refused = one.call("push", fence=fence, commit=commit, summary="Shout")
    assert refused["code"] == "oracle_broken"
    assert one.call("push", fence=fence, commit=commit, summary="Shout")["status"] == "landed"


def test_a_direct_push_to_main_is_refused_and_logged(server: Server, tmp_path: Path):
    one = server.agent("one")
    clone = one.clone(tmp_path / "one")
    one.commit(clone, SHOUT)
    said = toy.git("push", "origin", "HEAD:refs/heads/main", cwd=clone, check=False)
    assert "refs/agents/one/" in said
    assert [event["data"]["code"] for event in server.events(kind="refusal")] == ["protected_ref"]


def test_a_landing_shows_in_the_users_repository_and_leaves_branch_and_files_alone(
    server: Server, runner, tmp_path: Path
):
    one = server.agent("one")
    fence = one.call("claim_task")["fence"]
    commit = one.commit(one.clone(tmp_path / "one"), SHOUT)
    landed = one.call("push", fence=fence, commit=commit, summary="Shout")
    before = toy.git("rev-parse", "main", cwd=server.project)
    until(
        lambda: (
            toy.git(
                "rev-parse", "-q", "--verify", "refs/remotes/harness/main", cwd=server.project, check=False
            )
            == landed["main"]
        )
    )
    assert toy.git("rev-parse", "main", cwd=server.project) == before != landed["main"]
    assert toy.git("status", "--porcelain", cwd=server.project) == ""
