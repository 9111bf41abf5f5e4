"""Owns how each known MCP client is told of our server; pure.

Rule: every quirk is in the one function of its client, with the reason; all of them set long time-outs, because a
push may wait for the oracle.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

SERVER_NAME = "harness"
TOOL_TIMEOUT_S = 1800
STARTUP_TIMEOUT_S = 30
TOKEN_VARIABLE = "HARNESS_TOKEN"


@dataclass(frozen=True)
class Door:
    """What a client needs to come in."""

    agent: str
    url: str
    token: str

    @property
    def mcp_url(self) -> str:
        return f"{self.url}/mcp"

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


@dataclass(frozen=True)
class Setting:
    """Where the text belongs, and what else to do."""

    file: str
    text: str
    also: tuple[str, ...] = ()


def claude(door: Door) -> Setting:
    # With only `url` it takes the entry for stdio; without alwaysLoad the tools are hidden behind a search.
    entry = {
        "type": "http", "url": door.mcp_url, "headers": door.headers, "timeout": TOOL_TIMEOUT_S * 1000, "alwaysLoad": True,
    }
    return Setting(".mcp.json", _servers(entry), ("claude --mcp-config .mcp.json --strict-mcp-config",))


def codex(door: Door) -> Setting:
    # It ignores `headers`; required = true is the only way in which any client stops without its tools.
    text = "\n".join([
        f"[mcp_servers.{SERVER_NAME}]",
        f"url = {json.dumps(door.mcp_url)}",
        f"bearer_token_env_var = {json.dumps(TOKEN_VARIABLE)}",
        "required = true",
        f"startup_timeout_sec = {STARTUP_TIMEOUT_S}",
        f"tool_timeout_sec = {TOOL_TIMEOUT_S}",
    ])
    return Setting("~/.codex/config.toml", text, (f"export {TOKEN_VARIABLE}={door.token}", "codex"))


def gemini(door: Door) -> Setting:
    # `httpUrl` means streamable HTTP, `url` the older SSE; without trust it asks before every call.
    entry = {"httpUrl": door.mcp_url, "headers": door.headers, "trust": True, "timeout": TOOL_TIMEOUT_S * 1000}
    return Setting(".gemini/settings.json", _servers(entry), ("gemini",))


def cursor(door: Door) -> Setting:
    return Setting(".cursor/mcp.json", _servers({"url": door.mcp_url, "headers": door.headers}))


def vscode(door: Door) -> Setting:
    # The table is named `servers` here.
    entry = {"type": "http", "url": door.mcp_url, "headers": door.headers}
    return Setting(".vscode/mcp.json", _json({"servers": {SERVER_NAME: entry}}))


def opencode(door: Door) -> Setting:
    # Without oauth = false it starts an OAuth discovery; its default time limit is 60 s.
    entry = {
        "type": "remote", "url": door.mcp_url, "enabled": True, "headers": door.headers, "oauth": False,
        "timeout": TOOL_TIMEOUT_S * 1000,
    }
    return Setting("opencode.json", _json({"mcp": {SERVER_NAME: entry}}), ("opencode",))


def generic(door: Door) -> Setting:
    entry = {"type": "http", "url": door.mcp_url, "headers": door.headers}
    return Setting("your client's MCP configuration (streamable HTTP)", _servers(entry))


CLIENTS: dict[str, Callable[[Door], Setting]] = {
    "claude": claude, "codex": codex, "gemini": gemini, "cursor": cursor, "vscode": vscode, "opencode": opencode,
    "generic": generic,
}


def clone_command(door: Door, repo: str) -> str:
    """The clone keeps the header in its own configuration, so that fetch and push need nothing more."""
    return f'git clone -c http.extraHeader="Authorization: Bearer {door.token}" {door.url}/git/{repo}.git'


def upload_command(door: Door) -> str:
    """Before `run_oracle` and `push` the server must have the commit; main itself takes no push."""
    return f"git push -f origin HEAD:refs/agents/{door.agent}/work"


def _servers(entry: dict[str, Any]) -> str:
    return _json({"mcpServers": {SERVER_NAME: entry}})


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2)
