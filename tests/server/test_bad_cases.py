"""Case files that cannot be read: no run begins with them, and a server that meets them says where and goes
on.
"""

import asyncio
from pathlib import Path

import pytest

from mcp_server import config
from mcp_server.bell import Bell
from mcp_server.edge import app
from mcp_server.world import World
from oracle.cases.files import BadCases

from . import toy, wide
from .conftest import Server
from .wide import refused, settled

BAD = {
    "oracle/cases/up/0.txt": b"-- case: a\nABC\n-- case: a\nABC\n",
    "oracle/cases/up/latin.txt": b"one\ntwo \xe9\n",
    "oracle/cases/up/large.txt": b"x" * (2 << 20),
    "oracle/cases/up/none.txt": b"",
}
PLACES = [
    "oracle/cases/up/0.txt:4:",
    "oracle/cases/up/large.txt:1:",
    "oracle/cases/up/latin.txt:2:",
    "oracle/cases/up/none.txt:1:",
]


def write(where: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (where / name).write_bytes(content)


def test_no_server_starts_on_cases_that_cannot_be_read_and_every_problem_is_told(tmp_path: Path):
    project = wide.project(tmp_path / "project")
    write(project, BAD)
    toy.git("add", "-A", cwd=project)
    toy.git("commit", "-qm", "bad", cwd=project)
    with pytest.raises(BadCases) as told:
        asyncio.run(opened(project, tmp_path / "state"))
    assert places(str(told.value)) == PLACES


async def opened(project: Path, state: Path) -> World:
    loaded = config.load(project / "harness.toml")
    assert isinstance(loaded, config.Config)
    return app.open_world(loaded, app.StateDir(state), Bell())


def places(text: str) -> list[str]:
    return [line.partition(" ")[0] for line in text.splitlines()]


def test_a_server_whose_main_has_gone_bad_answers_broken_with_the_place_and_stays_up(tmp_path: Path):
    with wide.serving(tmp_path) as server, wide.running(server) as runner:
        one = server.agent("honest")
        claimed = one.call("claim_task", task="M00")
        clone = one.clone(tmp_path / "clone")
        commit = one.commit(clone, {"m00/filter": "FROM=a-z\nTO=A-Z\n"})
        spoil(server, tmp_path / "spoiler")
        before = len(runner.jobs)
        for scope in ({}, {"scope": "module"}, {"scope": "fast"}, {"scope": "full"}, {"cases": ["up/*"]}):
            told = settled(one, "run_oracle", fence=claimed["fence"], **scope)
            assert told["status"] == "broken" and PLACES[1] in told["text"], scope
        pushed = refused(
            settled(one, "push", fence=claimed["fence"], commit=commit, summary="x"), "oracle_broken"
        )
        assert PLACES[1] in pushed["happened"] and "main is unchanged" in pushed["holds"]
        assert (
            one.call("claim_task")["fence"] == claimed["fence"] and "M00" in one.call("read_progress")["text"]
        )
        with server.http() as http:
            for route in ("/api/oracle/run", "/api/oracle/check"):
                answer = http.post(route, json={})
                assert (answer.status_code, answer.json()["error"]) == (409, "bad_cases")
                assert places(answer.json()["message"]) == PLACES
            assert http.get("/api/status").json()["suites"]["words"]["passing"] == 0
        assert len(runner.jobs) == before, "no runner was bothered"
        app.tick(server.world)
        mend(server)
        assert settled(one, "push", fence=claimed["fence"], commit=commit, summary="x")["status"] == "landed"


def spoil(server: Server, where: Path) -> None:
    """Main moves to a commit with bad cases, behind the gate's back."""
    bare = server.state / "repos/toy.git"
    toy.git("clone", "-q", str(bare), str(where), cwd=where.parent)
    write(where, BAD)
    toy.git("add", "-A", cwd=where)
    toy.git("-c", "user.name=x", "-c", "user.email=x@x", "commit", "-qm", "bad", cwd=where)
    toy.git("fetch", "-q", str(where), "HEAD:refs/import/spoilt", cwd=bare)
    toy.git("update-ref", "refs/heads/main", "refs/import/spoilt", cwd=bare)


def mend(server: Server) -> None:
    toy.git("update-ref", "refs/heads/main", "refs/heads/main~1", cwd=server.state / "repos/toy.git")


def test_a_change_that_would_put_unreadable_cases_on_main_is_refused_by_file_and_line(tmp_path: Path):
    text = wide.toml().replace(
        'protect = ["oracle/**", "harness.toml", "tasks/**"]', 'protect = ["harness.toml"]'
    )
    project = wide.project(tmp_path / "project")
    (project / "harness.toml").write_text(
        text.replace('paths = ["m05/**"]', 'paths = ["m05/**", "oracle/**"]')
    )
    toy.git("commit", "-qam", "anybody may write cases", cwd=project)
    server = Server(project, tmp_path / "state", wide.WAIT_S)
    try:
        with wide.running(server):
            one = server.agent("author")
            fence = one.call("claim_task", task="M05")["fence"]
            clone = one.clone(tmp_path / "clone")
            bad = one.commit(clone, {"oracle/cases/new/a.txt": "-- case: 1\nx\n-- case: 1\ny\n"})
            told = refused(settled(one, "push", fence=fence, commit=bad, summary="x"), "bad_cases")
            assert "oracle/cases/new/a.txt:4:" in told["happened"]
            good = one.commit(clone, {"oracle/cases/new/a.txt": "-- case: 1\nx\n-- case: 2\ny\n"})
            assert settled(one, "push", fence=fence, commit=good, summary="x")["status"] == "landed"
    finally:
        server.stop()
