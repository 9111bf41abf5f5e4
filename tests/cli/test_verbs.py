"""The verbs as a person types them: what is printed, and the exit status."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.run.server_process import ServerProcess
from harness.run.state import StateDirectory

from .conftest import Verb, git, make_project, running_server


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One project for all: these verbs look, or add, and disturb nobody."""
    return make_project(tmp_path_factory.mktemp("verbs") / "toy")


@pytest.fixture(scope="module")
def server(project: Path) -> Iterator[ServerProcess]:
    with running_server(project) as process:
        yield process


def test_status_of_a_run_and_after_it(harness: Verb, server: ServerProcess) -> None:
    said = harness("status", "--json")
    shown = json.loads(said.stdout)
    assert (said.returncode, shown["up"], shown["tasks"]["open"]) == (0, True, 2)
    assert "tasks: 0 done" in harness("status").stdout


def test_tasks_are_listed_shown_added(harness: Verb, server: ServerProcess) -> None:
    assert "Write subtract" in harness("tasks", "list").stdout
    assert "Write add, in pkg/." in harness("tasks", "show", "T01").stdout
    added = harness("tasks", "add", "Write docs", "--module", "docs", "--brief", "Say what it does.")
    assert (added.returncode, added.stdout.strip()) == (0, "T03")
    assert {task["id"] for task in json.loads(harness("tasks", "list", "--json").stdout)} == {
        "T01",
        "T02",
        "T03",
    }


def test_what_the_server_refuses_is_one_line_and_status_1(harness: Verb, server: ServerProcess) -> None:
    for words in (
        ("tasks", "show", "T99"),
        ("tasks", "add", "x", "--module", "nowhere"),
        ("tasks", "reopen", "T01", "--reason", "x"),
    ):
        said = harness(*words)
        assert said.returncode == 1, words
        assert said.stderr.startswith("harness: the server refused: ")


def test_a_server_elsewhere_is_reached_by_url_and_token_file(
    harness: Verb, server: ServerProcess, state: StateDirectory, tmp_path: Path
) -> None:
    token = state.root / "tokens" / "admin"
    said = harness("--server", server.url, "--token-file", str(token), "status", "--json", cwd=tmp_path)
    assert json.loads(said.stdout)["run"] == "toy"
    environment = {"HARNESS_SERVER": server.url, "HARNESS_TOKEN_FILE": str(token)}
    assert json.loads(harness("status", "--json", cwd=tmp_path, env=environment).stdout)["run"] == "toy"


def test_a_wrong_token_is_refused(harness: Verb, server: ServerProcess, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("hs_wrong")
    assert harness("--server", server.url, "--token-file", str(tmp_path / "token"), "status").returncode == 1


def test_the_log_is_verified_queried_exported(harness: Verb, server: ServerProcess, tmp_path: Path) -> None:
    verified = harness("audit", "verify")
    assert (verified.returncode, verified.stdout[:8]) == (0, "audit ok")
    assert "task_created T01" in harness("audit", "query", "--task", "T01").stdout
    assert len(harness("audit", "query", "--limit", "2", "--json").stdout.splitlines()) == 2
    assert harness("audit", "export", "-o", str(tmp_path / "log.jsonl")).returncode == 0
    exported = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [event["seq"] for event in exported] == list(range(1, len(exported) + 1))


def test_a_commit_of_main_is_shown(harness: Verb, server: ServerProcess, project: Path) -> None:
    head = git(project, "rev-parse", "HEAD")
    said = harness("audit", "show", head[:8])
    assert said.returncode == 0
    assert f"commit {head}" in said.stdout
    assert harness("audit", "show", "deadbeef").returncode == 1


def test_the_figures_of_a_run_are_reported(harness: Verb, server: ServerProcess, tmp_path: Path) -> None:
    said = harness("report", "--json", "-o", str(tmp_path / "report.json"))
    figures = json.loads(said.stdout)
    assert (figures["landed"], figures["coordination_commits"], figures["red_commits"]) == (0, 0, None)
    assert json.loads((tmp_path / "report.json").read_text()) == figures


def test_connect_mints_a_token_that_clones_and_uploads(
    harness: Verb, server: ServerProcess, tmp_path: Path
) -> None:
    said = json.loads(harness("connect", "alice", "--client", "claude", "--json").stdout)
    assert json.loads(said["config"])["mcpServers"]["harness"]["url"] == f"{server.url}/mcp"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    _shell(said["repos"][0]["clone"], elsewhere)
    clone = elsewhere / "toy"
    (clone / "pkg" / "add.py").write_text("def add(a, b): return a + b\n")
    git(clone, "add", "--all")
    git(clone, "commit", "--quiet", "--message=add")
    _shell(said["upload"], clone)
    assert "refs/agents/alice/work" in git(clone, "ls-remote", "origin")


def test_connect_prints_text_for_people(harness: Verb, server: ServerProcess) -> None:
    said = harness("connect", "alice", "--client", "codex").stdout
    assert said.startswith("# ~/.codex/config.toml\n[mcp_servers.harness]")
    assert "git clone -c http.extraHeader=" in said
    assert harness("connect", "alice", "--client", "cluade").returncode == 2


def _shell(command: str, directory: Path) -> None:
    done = subprocess.run(["sh", "-c", command], cwd=directory, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
