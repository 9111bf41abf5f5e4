"""Trees that are too large for boxes: refused before any of them sees one, and told as what they are."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mcp_server import config
from mcp_server.repos import cat_file

from . import toy
from .conftest import Server
from .wide import refused

KIB = 1024


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    toml = toy.TOML.replace('branch = "main"', 'branch = "main"\ntree_mib_max = 0.5\ngrowth_mib_max = 0.25')
    made = Server(toy.project(tmp_path / "project", toml), tmp_path / "state")
    yield made
    made.stop()


def test_one_landing_adds_only_so_much_and_nothing_stands_in_the_way_of_the_next(
    server: Server, runner: toy.LocalRunner, tmp_path: Path
):
    one = server.agent("one")
    fence = one.call("claim_task", task="T02")["fence"]
    clone = one.clone(tmp_path / "one")
    zeros = {f"count/zeros{number}": "\0" * 150 * KIB for number in range(2)}
    too_much = one.commit(clone, zeros)
    assert (
        "count/zeros0" in refused(one.call("run_oracle", fence=fence, scope="full"), "too_large")["happened"]
    )
    answer = refused(one.call("push", fence=fence, commit=too_much, summary="x"), "too_large")
    assert (
        "count/zeros0 (0.1 MiB), count/zeros1" in answer["happened"] and "growth_mib_max" in answer["holds"]
    )
    for name in zeros:
        (clone / name).unlink()
    assert not any(job["commit"] == too_much for job in runner.jobs), "no box has seen it"
    assert (
        one.call("push", fence=fence, commit=one.commit(clone, {"count/x": "1\n"}), summary="x")["status"]
        == "landed"
    )


def test_main_grows_only_so_far(server: Server, runner: toy.LocalRunner, tmp_path: Path):
    one = server.agent("one")
    clone = one.clone(tmp_path / "one")
    for number, ends in enumerate(("landed", "landed", "refused")):
        fence = one.call("claim_task", task="T02")["fence"]
        commit = one.commit(clone, {f"count/zeros{number}": f"{number}" * 200 * KIB})
        answer = one.call("push", fence=fence, commit=commit, summary="x")
        assert answer["status"] == ends, answer
        with server.http() as http:
            http.post("/api/tasks/T02/reopen", json={"reason": "again"})
    assert "tree_mib_max" in answer["holds"] and "with the change, main would have" in answer["happened"]


def test_a_tree_that_no_box_can_be_given_breaks_its_run_at_once_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Main itself may be too large; the limit is lowered here, since 256 MiB take their time."""
    project = toy.project(tmp_path / "project")
    (project / "zeros").write_bytes(bytes(2 * KIB * KIB))
    toy.git("add", "-A", cwd=project)
    toy.git("commit", "-qm", "large", cwd=project)
    monkeypatch.setattr(cat_file, "BATCH_BYTES_MAX", KIB * KIB)
    server = Server(project, tmp_path / "state")
    try:
        with server.http() as http, server.http("runner") as runner:
            [wanted] = http.post("/api/oracle/run", json={"fresh": True}).json()["jobs"].values()
            claimed = None
            while claimed is None or claimed["job"] != wanted:
                claimed = runner.post("/api/jobs/claim", json={"runner": "r"}).json()
            assert runner.get(f"/api/jobs/{wanted}/tree.tar").status_code == 404
            verdict = http.get(f"/api/jobs/{wanted}").json()["verdict"]
        assert verdict["status"] == "broken"
        assert verdict["reason"] == "the tree has 2 MiB, and a box can be given 240 MiB"
    finally:
        server.stop()


def test_a_limit_that_no_box_can_keep_is_no_setting(tmp_path: Path):
    toml = toy.TOML.replace('branch = "main"', 'branch = "main"\ntree_mib_max = 500\ngrowth_mib_max = 0')
    problems = config.load(toy.project(tmp_path / "project", toml) / "harness.toml")
    assert [str(problem).partition(": ")[2].partition(" (")[0] for problem in problems] == [
        "repos.toy.tree_mib_max is 500",
        "repos.toy.growth_mib_max is 0",
    ]
