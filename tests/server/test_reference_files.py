"""Files of main that a reference reads: served to runners, kept from candidates, and part of what every
answer depends on.
"""

import io
import tarfile
from pathlib import Path

import pytest

from mcp_server import config

from . import toy
from .conftest import Server

TOML = toy.TOML.replace(
    'reference = "tr a-z A-Z"', 'reference = "sh ref/up.sh"\nreference_reads = ["ref/**"]'
)
SCRIPT = "tr a-z A-Z\n"
ANSWER = {"output": "ABC\n", "exit": 0}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    made = toy.project(tmp_path / "project", TOML)
    return committed(made, {"ref/up.sh": SCRIPT, "ref/data/table.csv": "a,A\n"})


def committed(project: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text)
    toy.git("add", "-A", cwd=project)
    toy.git("commit", "-qm", "owner", cwd=project)
    return project


def judged(server: Server) -> dict:
    """A job of main, answered by a runner whose reference knew the answer to one case."""
    with server.http() as http:
        [wanted] = http.post("/api/oracle/run", json={}).json()["jobs"].values()
        job = http.post("/api/jobs/claim", json={"runner": "r", "wait_s": 5}).json()
        assert job["job"] == wanted
        outcomes = {case["id"]: "pass" for case in job["cases"]}
        verdict = {"status": "passed", "outcomes": outcomes}
        done = http.post(
            f"/api/jobs/{wanted}/result",
            json={"runner": "r", "verdict": verdict, "reference": {"low/one": ANSWER}},
        )
        assert done.status_code == 200
    return job


def names(server: Server, path: str) -> dict[str, str]:
    with server.http("runner") as http, tarfile.open(fileobj=io.BytesIO(http.get(path).content)) as tar:
        return {entry.name: tar.extractfile(entry).read().decode() for entry in tar if entry.isfile()}


def test_the_references_files_reach_the_runner_and_no_candidate(tmp_path: Path, project: Path):
    server = Server(project, tmp_path / "state")
    try:
        job = judged(server)
        assert names(server, f"/api/jobs/{job['job']}/reference.tar") == {
            "ref/up.sh": SCRIPT,
            "ref/data/table.csv": "a,A\n",
        }
        tree = names(server, f"/api/jobs/{job['job']}/tree.tar")
        assert "main.sh" in tree and not [name for name in tree if name.startswith("ref")]
        with server.http("runner") as http:
            assert http.get("/api/jobs/999/reference.tar").status_code == 404
    finally:
        server.stop()


def test_when_the_files_change_nothing_that_was_known_counts_and_when_others_change_it_does(
    tmp_path: Path, project: Path
):
    server = Server(project, tmp_path / "state")
    try:
        first = judged(server)
        assert (first["known_reference"], len(first["cases"])) == ({}, 4)
        changed = again(server, {"ref/data/table.csv": "a,B\n"})
        assert changed["tree_key"] == first["tree_key"] and changed["reference_key"] != first["reference_key"]
        assert (changed["known_reference"], len(changed["cases"])) == ({}, 4), (
            "the same tree passed, against another reference"
        )
        other = again(server, {"main.sh": toy.MAIN + "# the same\n"})
        assert (other["known_reference"], other["reference_key"]) == (
            {"low/one": ANSWER},
            changed["reference_key"],
        )
    finally:
        server.stop()


def again(server: Server, files: dict[str, str]) -> dict:
    """A job of main after its owner has changed it."""
    server.stop()
    committed(server.project, files)
    server.start()
    return judged(server)


@pytest.mark.parametrize("protect", ['protect = ["oracle/**"]', ""])
def test_no_agent_may_change_them_whatever_is_protected(project: Path, protect: str):
    (project / "harness.toml").write_text(
        TOML.replace('protect = ["oracle/**", "harness.toml", "tasks/**"]', protect)
    )
    loaded = config.load(project / "harness.toml")
    assert isinstance(loaded, config.Config) and "ref/**" in loaded.suites["words"].protect
