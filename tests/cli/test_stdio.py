"""The same server over stdio: what the HTTP server says is what the client hears, in both protocol eras."""

import sys
from pathlib import Path

import anyio
import pytest
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.stdio import stdio_client

from harness.client import ServerClient
from harness.run.server_process import ServerProcess, start_server
from harness.run.state import StateDirectory

from .conftest import SOURCES, Verb, git

WAIT_S = 20  # progress is sent every 8 s


def proxy(project: Path) -> StdioServerParameters:
    words = ["-m", "harness", "--config", str(project / "harness.toml"), "connect", "alice", "--stdio"]
    return StdioServerParameters(command=sys.executable, args=words, cwd=str(SOURCES))


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_a_client_without_http_works_under_the_same_rules(
    mode: str, project: Path, server: ServerProcess, client: ServerClient
) -> None:
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
    assert [(event.agent, event.task) for event in claims] == [("alice", "T01")]


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


def test_a_client_on_stdio_reads_main_and_pushes_a_patch(project: Path, server: ServerProcess) -> None:
    async def play() -> None:
        async with Client(stdio_client(proxy(project))) as alice:
            assert [resource.uri for resource in (await alice.list_resources()).resources] == [
                "harness://toy/"
            ]
            assert (await alice.list_resource_templates()).resource_templates
            listing = await alice.read_resource("harness://toy/pkg/")
            assert listing.contents[0].text == "__init__.py"
            with pytest.raises(MCPError, match="lists what there is"):
                await alice.read_resource("harness://toy/nothing")
            fence = (await alice.call_tool("claim_task", {"task": "T01"})).structured_content["fence"]
            refused = await alice.call_tool(
                "push",
                {"fence": fence, "summary": "x", "patch": "--- /dev/null\n+++ b/docs/x\n@@ -0,0 +1 @@\n+1\n"},
            )
            assert refused.structured_content["code"] == "outside_module"

    anyio.run(play)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_a_client_on_stdio_outlives_its_server_and_finds_it_again(
    mode: str, project: Path, server: ServerProcess, state: StateDirectory
) -> None:
    """The port is another one after the restart."""

    async def play() -> None:
        async with Client(stdio_client(proxy(project)), mode=mode) as alice:
            claimed = await alice.call_tool("claim_task", {"task": "T01"})
            server.stop()
            away = await alice.call_tool("list_tasks", {})
            assert away.is_error
            assert "does not answer" in away.content[0].text
            with pytest.raises(MCPError, match="does not answer"):
                await alice.list_resources()
            again = start_server(project / "harness.toml", state.root)
            try:
                back = await alice.call_tool("claim_task", {})
                assert back.structured_content["fence"] == claimed.structured_content["fence"]
            finally:
                again.stop()

    anyio.run(play)


def test_where_no_run_is_up_the_proxy_says_so_and_ends(project: Path, harness: Verb) -> None:
    said = harness("connect", "alice", "--stdio")
    assert said.returncode == 1
    assert "no run is up" in said.stderr
    assert said.stderr.count("\n") == 1
