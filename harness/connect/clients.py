"""Owns what an MCP client needs to know of our server, and how editors are configured; pure.

Rule: every quirk is in the one function of its client, with the reason; all of them set long time-outs,
because a push may wait for the oracle.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from harness.connect import merging

SERVER_NAME = "harness"
TOOL_TIMEOUT_S = 1800
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
        """The text of a file that holds nothing else."""
        return self.merged("")

    def merged(self, before: str) -> str:
        """Return the file's text with the entry in it, all else as it was. Raise UnreadableConfig if it
        cannot be kept.
        """
        merge = merging.toml if (self.file or "").endswith(".toml") else merging.json
        return merge(before, (*self.tables, SERVER_NAME), self.entry)


Client = Callable[[Door], Setting]


def cursor(door: Door) -> Setting:
    return Setting(".cursor/mcp.json", SERVERS, {"url": door.mcp_url, "headers": door.headers})


def vscode(door: Door) -> Setting:
    # The table is named `servers` here.
    entry = {"type": "http", "url": door.mcp_url, "headers": door.headers}
    return Setting(".vscode/mcp.json", ("servers",), entry)


def generic(door: Door) -> Setting:
    entry = {"type": "http", "url": door.mcp_url, "headers": door.headers}
    return Setting(None, SERVERS, entry)


# The clients that no sandbox starts; those that one does stand with their kind, in harness/agents/kinds.
OTHERS: Mapping[str, Client] = {"cursor": cursor, "vscode": vscode, "generic": generic}


def clone_command(door: Door, repo: str) -> str:
    """Return the command for a clone. It keeps the header in its own configuration, so that fetch and
    push need nothing more.
    """
    return f'git clone -c http.extraHeader="Authorization: Bearer {door.token}" {door.url}/git/{repo}.git'


def upload_command(door: Door) -> str:
    """Return the command that uploads: before `run_oracle` and `push` the server must have the commit, and
    main itself takes no push.
    """
    return f"git push -f origin HEAD:refs/agents/{door.agent}/work"
