"""What main has itself is the user's business: submodules and links that leave the tree stop no run and no
landing, and a change still brings none of its own.
"""

import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import toy
from .conftest import Agent, Server
from .test_oracle_jobs import claim, finish
from .wide import refused, settled

TOML = """
[run]
name = "app"
[repos.toy]
path = "."
[modules.app]
paths = ["app/**"]
[oracle.unit]
kind = "command"
command = "sh tests/run.sh"
results = "tap"
"""
FILES = {
    "harness.toml": TOML,
    "app/app.py": "main's\n",
    "tests/run.sh": "echo\n",
    "tasks/1.md": toy.task("T01", "app").replace('suite = "words"\n', ""),
}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Main has a submodule and a link out of the tree."""
    project = toy.repository(tmp_path / "project", FILES)
    commit = toy.git("rev-parse", "HEAD", cwd=project)
    (project / "app/host").symlink_to("/etc/hostname")
    toy.git("add", "app/host", cwd=project)
    toy.git("update-index", "--add", "--cacheinfo", f"160000,{commit},app/vendor", cwd=project)
    toy.git("commit", "-qm", "as users have it", cwd=project)
    made = Server(project, tmp_path / "state", wait_s=0.3)
    yield made
    made.stop()


def answered(server: Server) -> dict[str, tarfile.TarInfo]:
    """Answer the next job with a pass, and return what is in its tree."""
    job = claim(server, wait_s=20)
    assert job is not None
    with server.http("runner") as http:
        told = http.get(f"/api/jobs/{job['job']}/tree.tar")
    assert told.status_code == 200
    assert finish(server, job["job"], {"status": "passed", "outcomes": {"adds": "pass"}}) == 200
    return {entry.name: entry for entry in tarfile.open(fileobj=io.BytesIO(told.content))}


def worker(server: Server, where: Path) -> tuple[Agent, int, Path]:
    one = server.agent("one")
    fence = one.call("claim_task", task="T01")["fence"]
    return one, fence, one.clone(where / "one")


def test_a_tree_with_mains_own_link_and_submodule_is_handed_out_and_lands(server: Server, tmp_path: Path):
    measured = answered(server)
    assert measured["app/host"].linkname == "/etc/hostname" and "app/vendor" not in measured
    one, fence, clone = worker(server, tmp_path)
    commit = one.commit(clone, {"app/app.py": "mine\n"})
    assert one.call("run_oracle", fence=fence)["status"] == "running"
    answered(server)
    one.call("push", fence=fence, commit=commit, summary="x")
    answer = settled(one, "push", fence=fence, commit=commit, summary="x")
    assert answer["status"] == "landed", answer


@pytest.mark.parametrize("name", ["app/host", "app/other"])
def test_a_change_brings_no_link_of_its_own_that_leaves_the_tree(server: Server, tmp_path: Path, name: str):
    answered(server)
    one, fence, clone = worker(server, tmp_path)
    (clone / name).unlink(missing_ok=True)
    os.symlink("/etc/passwd", clone / name)
    commit = one.commit(clone, {"app/app.py": "mine\n"})
    answer = refused(one.call("run_oracle", fence=fence), "protected_path")
    assert f"{name} (symlink)" in answer["happened"]
    one.call("push", fence=fence, commit=commit, summary="x")
    refused(settled(one, "push", fence=fence, commit=commit, summary="x"), "protected_path")
