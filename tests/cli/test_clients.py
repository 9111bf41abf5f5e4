"""Each client's configuration has the quirks without which that client does not come in."""

import json
import tomllib

import pytest

from harness.agents.kinds import CLIENTS
from harness.connect import clients
from harness.connect.clients import Door

DOOR = Door("alice", "http://127.0.0.1:8765", "hs_secret")
BEARER = {"Authorization": "Bearer hs_secret"}


def entry(client: str, *path: str) -> dict:
    found = json.loads(CLIENTS[client](DOOR).text)
    for name in path:
        found = found[name]
    return found


@pytest.mark.parametrize("client", CLIENTS)
def test_every_client_is_told_where_and_who(client: str) -> None:
    setting = CLIENTS[client](DOOR)
    everything = "\n".join([setting.text, *setting.also])
    assert "http://127.0.0.1:8765/mcp" in everything
    assert "hs_secret" in everything
    assert (setting.file is None) == (client == "generic")


def test_claude_takes_an_entry_without_type_for_stdio() -> None:
    found = entry("claude", "mcpServers", "harness")
    assert found["type"] == "http"
    assert found["headers"] == BEARER
    assert found["alwaysLoad"] is True


def test_codex_reads_toml_and_the_token_from_a_variable() -> None:
    setting = CLIENTS["codex"](DOOR)
    found = tomllib.loads(setting.text)["mcp_servers"]["harness"]
    assert found["bearer_token_env_var"] == "HARNESS_TOKEN"
    assert found["required"] is True
    assert found["tool_timeout_sec"] >= 600
    assert "export HARNESS_TOKEN=hs_secret" in setting.also
    assert "headers" not in found


def test_gemini_wants_http_url_and_trust() -> None:
    found = entry("gemini", "mcpServers", "harness")
    assert (found["httpUrl"], found["trust"], found["headers"]) == (DOOR.mcp_url, True, BEARER)


def test_vscode_names_its_table_servers() -> None:
    assert entry("vscode", "servers", "harness")["headers"] == BEARER


def test_opencode_is_kept_from_oauth() -> None:
    assert entry("opencode", "mcp", "harness")["oauth"] is False


def test_the_git_commands_carry_the_token_and_the_agents_own_ref() -> None:
    assert clients.clone_command(DOOR, "engine") == (
        'git clone -c http.extraHeader="Authorization: Bearer hs_secret" http://127.0.0.1:8765/git/engine.git'
    )
    assert clients.upload_command(DOOR) == "git push -f origin HEAD:refs/agents/alice/work"
