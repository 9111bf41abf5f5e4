"""What a tool makes of other files: a landing may take it away, and bring it only where a person calls it data."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from . import toy
from .conftest import Server
from .wide import refused

CACHES = ("count/app.pyc", "count/data/old.pyc")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    toml = toy.TOML.replace('reference = "tr', 'artifacts = ["count/data/**"]\nreference = "tr')
    project = toy.project(tmp_path / "project", toml)
    for name in CACHES:
        (project / name).parent.mkdir(exist_ok=True)
        (project / name).write_text("1\n")
    toy.git("add", "-Af", cwd=project)
    toy.git("commit", "-qm", "careless", cwd=project)
    made = Server(project, tmp_path / "state")
    yield made
    made.stop()


def test_a_cache_on_main_may_be_taken_away_and_not_altered(server: Server, runner, tmp_path: Path):
    one = server.agent("one")
    fence = one.call("claim_task", task="T02")["fence"]
    clone = one.clone(tmp_path / "one")
    altered = one.commit(clone, {"count/app.pyc": "2\n", "count/data/old.pyc": "2\n"})
    answer = refused(one.call("push", fence=fence, commit=altered, summary="x"), "protected_path")
    assert "count/app.pyc (cache)" in answer["happened"] and "old.pyc" not in answer["happened"]
    (clone / "count/app.pyc").unlink()
    gone = one.commit(clone, {"count/data/new.o": "\x7fELF"})
    assert one.call("push", fence=fence, commit=gone, summary="x")["status"] == "landed"
