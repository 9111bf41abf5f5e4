"""Several changes in the gate at once: what nothing has touched lands without another run, whatever landed meanwhile."""

from pathlib import Path

from . import several, wide
from .conftest import Agent, Server


def begin(server: Server, number: int, where: Path, files: dict[str, str]) -> tuple[Agent, int, str]:
    one = server.agent(f"agent-{number}")
    fence = one.call("claim_task", task=f"M{number:02}")["fence"]
    return one, fence, one.commit(one.clone(where / one.name), files)


def started(server: Server) -> list[tuple[str, str]]:
    return [(event["data"]["suite"], event["data"]["commit"]) for event in server.events(kind="job_started")]


def test_changes_that_no_suite_reads_together_land_side_by_side_with_one_run_each(tmp_path: Path, until):
    """All are under test at once; each lands when its own run is good, on whatever main is then."""
    server = Server(several.disjoint(tmp_path / "project", 6), tmp_path / "state", 1.5)
    try:
        with several.runners(server, 4) as runners:
            pushes = [begin(server, n, tmp_path, {f"m{n:02}/x": f"{n}\n"}) for n in range(6)]
            with server.http() as http:
                until(lambda: all(suite["cases"] for suite in http.get("/api/status").json()["suites"].values()))
            measured = len(started(server))
            for runner in runners:
                runner.hold.clear()
            for one, fence, commit in pushes:
                assert one.call("push", fence=fence, commit=commit, summary="x")["status"] == "testing"
            until(lambda: [one["data"]["state"] for one in server.events(kind="submission")].count("testing") == 6)
            for runner in runners:
                runner.hold.set()
            answers = several.at_once(pushes)
            assert {answer["status"] for answer in answers} == {"landed"}, answers
            runs = started(server)[measured:]
            assert sorted(suite for suite, _ in runs) == [wide.module(n) for n in range(6)], "each suite once for its own change, and no other"
            with server.http() as http:
                commits = http.get("/api/commits").json()["commits"][1:]
                assert http.get("/api/audit/verify").json()["problems"] == []
            assert len(commits) == 6 and all(after["parents"] == [before["commit"]] for before, after in zip(commits, commits[1:], strict=False))
            assert several.untested(server) == []
    finally:
        server.stop()
