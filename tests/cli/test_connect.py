"""`harness connect`: tokens made, listed, revoked and written into a client's configuration."""

import json
from pathlib import Path

from harness.client import ServerClient
from harness.run.server_process import ServerProcess

from .conftest import Verb


def test_a_configuration_is_written_and_what_was_there_is_kept(
    harness: Verb, server: ServerProcess, project: Path
) -> None:
    (project / ".mcp.json").write_text('{"mcpServers": {"other": {"command": "x"}}}')
    said = harness("connect", "alice", "--client", "claude", "--write")
    assert said.returncode == 0, said.stderr
    assert ".mcp.json.before-harness" in said.stdout
    assert "keep it out of your commits" in said.stdout
    found = json.loads((project / ".mcp.json").read_text())["mcpServers"]
    assert found["other"] == {"command": "x"}
    assert found["harness"]["url"] == f"{server.url}/mcp"
    assert found["harness"]["headers"]["Authorization"].startswith("Bearer hs_")


def test_a_home_of_its_own_gets_the_codex_table_and_no_token(
    harness: Verb, server: ServerProcess, tmp_path: Path
) -> None:
    said = harness("connect", "alice", "--client", "codex", "--write", env={"HOME": str(tmp_path)})
    assert said.returncode == 0, said.stderr
    text = (tmp_path / ".codex" / "config.toml").read_text()
    assert "[mcp_servers.harness]" in text
    assert "hs_" not in text
    assert "export HARNESS_TOKEN=hs_" in said.stdout


def test_a_file_that_cannot_be_read_or_has_no_place_is_refused(
    harness: Verb, server: ServerProcess, client: ServerClient, project: Path
) -> None:
    (project / ".mcp.json").write_text("// mine\n{}")
    said = harness("connect", "alice", "--client", "claude", "--write")
    assert said.returncode == 2
    assert "was not changed" in said.stderr
    assert (project / ".mcp.json").read_text() == "// mine\n{}"
    assert "--client" in harness("connect", "alice", "--write").stderr
    assert harness("connect", "alice", "--list", "--stdio").returncode == 2
    assert [
        token.name for token in client.tokens() if token.revoked_ms is None and token.role == "agent"
    ] == []


def test_tokens_are_listed_and_revoked_by_number_or_name(
    harness: Verb, server: ServerProcess, client: ServerClient
) -> None:
    for name in ("alice", "alice", "bob"):
        assert harness("connect", name).returncode == 0
    listed = json.loads(harness("connect", "--list", "--json").stdout)
    assert [token["name"] for token in listed] == ["alice", "alice", "bob"]
    assert "bob" in harness("connect", "--list").stdout
    assert "sha256" not in listed[0]
    one = harness("connect", "--revoke", str(listed[0]["id"]))
    assert one.stdout == f"token {listed[0]['id']} of alice is revoked\n"
    assert harness("connect", "--revoke", "alice").stdout.count("is revoked") == 1
    gone = harness("connect", "--revoke", "alice")
    assert gone.returncode == 1
    assert "--list" in gone.stderr
    assert [token["name"] for token in json.loads(harness("connect", "--list", "--json").stdout)] == ["bob"]


def test_without_a_name_the_agent_is_called_as_its_person(harness: Verb, server: ServerProcess) -> None:
    said = json.loads(harness("connect", "--json", env={"LOGNAME": "carol"}).stdout)
    assert said["agent"] == "carol"
