"""Environments on a real server: main's lock files reach whoever builds, and what main passes is known with
them.
"""

import base64
from pathlib import Path

import pytest

from harness.client import ServerClient

from . import toy
from .conftest import Server

TOML = (
    toy.TOML
    + """
[oracle.unit]
kind = "command"
repo = "toy"
command = "sh test.sh"
canary = "none"

[environments.tools]
locks = ["locks/*"]
setup = ["cat locks/one"]
"""
)


@pytest.fixture
def client(tmp_path: Path):
    root = toy.project(tmp_path / "project", TOML)
    (root / "locks").mkdir()
    (root / "locks/one").write_bytes(b"1\x00\xff")
    (root / "locks/link").symlink_to("one")
    (root / "other").write_text("no lock")
    toy.git("add", "-A", cwd=root)
    toy.git("commit", "-qm", "locks", cwd=root)
    server = Server(root, tmp_path / "state")
    try:
        with ServerClient(server.url, server.token("runner")) as client:
            yield server, client
    finally:
        server.stop()


def test_whoever_builds_gets_the_files_that_the_table_names_and_no_other(client: tuple[Server, ServerClient]):
    environment = client[1].environment("tools")
    assert [(file.path, file.content) for file in environment.files] == [("locks/one", b"1\x00\xff")]
    assert environment.setup == ("cat locks/one",) and environment.image is None


def test_a_runner_is_told_by_what_name_to_know_an_environment_and_a_changed_lock_file_changes_it(
    client: tuple[Server, ServerClient],
):
    server, runner = client
    before = runner.runner_suites()
    assert [suite.environment for suite in before.suites] == [None, "tools"]
    assert "locks/*" in before.suites[1].protect
    after = {}
    for file in ("other", "locks/one"):
        server.stop()
        (server.project / file).write_text("2")
        toy.git("commit", "-qam", file, cwd=server.project)
        server.start()  # which takes in what main is now
        with ServerClient(server.url, server.token("runner")) as again:
            after[file] = again.runner_suites().environments
            content = again.environment("tools").files[0].content
    assert after["other"] == before.environments and after["locks/one"] != before.environments
    assert content == b"2"


def test_content_travels_as_base64(client: tuple[Server, ServerClient]):
    with client[0].http() as http:
        [file] = http.get("/api/environments/tools").json()["files"]
    assert base64.b64decode(file["content"]) == b"1\x00\xff"
