"""The same server over stdio: what the HTTP server says is what the client hears, in both protocol eras."""

import sys
from pathlib import Path

import anyio
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from harness.server import ServerClient
from harness.server_process import ServerProcess

from .conftest import SOURCES, git

WAIT_S = 20  # progress is sent every 8 s

pytestmark = pytest.mark.timeout(120)


def proxy(project: Path) -> StdioServerParameters:
    words = ["-m", "harness", "--config", str(project / "harness.toml"), "connect", "alice", "--stdio"]
    return StdioServerParameters(command=sys.executable, args=words, cwd=str(SOURCES))


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_a_client_without_http_works_under_the_same_rules(mode: str, project: Path, server: ServerProcess, client: ServerClient) -> None:
    async def play() -> None:
        async with Client(stdio_client(proxy(project)), mode=mode) as alice:
            names = {tool.name for tool in (await alice.list_tools()).tools}
            assert {"claim_task", "push", "run_oracle", "release_task"} <= names
            claimed = await alice.call_tool("claim_task", {"task": "T01"})
            assert claimed.structured_content["status"] == "leased"
            taken = await alice.call_tool("claim_task", {"task": "T02"})
            assert taken.is_error
            fence = claimed.structured_content["fence"]
            released = await alice.call_tool("release_task", {"fence": fence, "outcome": "abandoned"})
            assert released.structured_content["status"] == "released"

    anyio.run(play)
    claims = client.events(kind="lease_granted")
    assert [(event["agent"], event["task"]) for event in claims] == [("alice", "T01")]


def test_progress_reaches_a_client_on_stdio(project: Path, server: ServerProcess) -> None:
    heard: list[float] = []
    head = git(project, "rev-parse", "HEAD")

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append(progress)

    async def play() -> None:
        async with Client(stdio_client(proxy(project))) as alice:
            # No runner is up: the call waits, and says so meanwhile.
            with anyio.move_on_after(WAIT_S):
                await alice.call_tool("run_oracle", {"commit": head, "scope": "full"}, progress_callback=hear)

    anyio.run(play)
    assert heard
