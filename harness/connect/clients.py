"""Owns how each known MCP client is told of our server; pure.

Rule: every quirk is in the one function of its client, with the reason; all of them set long time-outs,
because a push may wait for the oracle.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from harness.connect import merging

SERVER_NAME = "harness"
TOOL_TIMEOUT_S = 1800
STARTUP_TIMEOUT_S = 30
TOKEN_VARIABLE = "HARNESS_TOKEN"
SERVERS = ("mcpServers",)


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
    """The entry, the tables that it lies in, the file of these, and what else to do. `file` is None where
    nobody knows it.
    """

    file: str | None
    tables: tuple[str, ...]
    entry: dict[str, Any]
    also: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """As a file that holds nothing else."""
        return self.merged("")

    def merged(self, before: str) -> str:
        """The file's text with the entry in it, all else as it was. Raises merging.Unreadable."""
        merge = merging.toml if (self.file or "").endswith(".toml") else merging.json
        return merge(before, (*self.tables, SERVER_NAME), self.entry)


def claude(door: Door) -> Setting:
    # With only `url` it takes the entry for stdio; without alwaysLoad the tools are hidden behind a search.
    entry = {
        "type": "http",
        "url": door.mcp_url,
        "headers": door.headers,
        "timeout": TOOL_TIMEOUT_S * 1000,
        "alwaysLoad": True,
    }
    return Setting(".mcp.json", SERVERS, entry, ("claude --mcp-config .mcp.json --strict-mcp-config",))


def codex(door: Door) -> Setting:
    # It ignores `headers`; required = true is the only way in which any client stops without its tools.
    entry = {
        "url": door.mcp_url,
        "bearer_token_env_var": TOKEN_VARIABLE,
        "required": True,
        "startup_timeout_sec": STARTUP_TIMEOUT_S,
        "tool_timeout_sec": TOOL_TIMEOUT_S,
    }
    return Setting(
        "~/.codex/config.toml", ("mcp_servers",), entry, (f"export {TOKEN_VARIABLE}={door.token}", "codex")
    )


def gemini(door: Door) -> Setting:
    # `httpUrl` means streamable HTTP, `url` the older SSE; without trust it asks before every call.
    entry = {
        "httpUrl": door.mcp_url,
        "headers": door.headers,
        "trust": True,
        "timeout": TOOL_TIMEOUT_S * 1000,
    }
    return Setting(".gemini/settings.json", SERVERS, entry, ("gemini",))


def cursor(door: Door) -> Setting:
    return Setting(".cursor/mcp.json", SERVERS, {"url": door.mcp_url, "headers": door.headers})


def vscode(door: Door) -> Setting:
    # The table is named `servers` here.
    entry = {"type": "http", "url": door.mcp_url, "headers": door.headers}
    return Setting(".vscode/mcp.json", ("servers",), entry)


def opencode(door: Door) -> Setting:
    # Without oauth = false it starts an OAuth discovery; its default time limit is 60 s.
    entry = {
        "type": "remote",
        "url": door.mcp_url,
        "enabled": True,
        "headers": door.headers,
        "oauth": False,
        "timeout": TOOL_TIMEOUT_S * 1000,
    }
    return Setting("opencode.json", ("mcp",), entry, ("opencode",))


def generic(door: Door) -> Setting:
    entry = {"type": "http", "url": door.mcp_url, "headers": door.headers}
    return Setting(None, SERVERS, entry)


CLIENTS: dict[str, Callable[[Door], Setting]] = {
    "claude": claude,
    "codex": codex,
    "gemini": gemini,
    "cursor": cursor,
    "vscode": vscode,
    "opencode": opencode,
    "generic": generic,
}


def clone_command(door: Door, repo: str) -> str:
    """The clone keeps the header in its own configuration, so that fetch and push need nothing more."""
    return f'git clone -c http.extraHeader="Authorization: Bearer {door.token}" {door.url}/git/{repo}.git'


def upload_command(door: Door) -> str:
    """Before `run_oracle` and `push` the server must have the commit; main itself takes no push."""
    return f"git push -f origin HEAD:refs/agents/{door.agent}/work"
