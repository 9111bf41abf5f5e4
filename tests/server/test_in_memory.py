"""The tools through the SDK's client without a socket: the app itself in this loop, in both eras of the
protocol.
"""

import asyncio
from pathlib import Path

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from mcp_server import config
from mcp_server.bell import Bell
from mcp_server.core.principal import AGENT
from mcp_server.edge import app
from mcp_server.use_cases.people import credentials

from . import toy


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_an_agent_lists_claims_and_is_refused_in_memory(tmp_path: Path, mode: str):
    asyncio.run(_play(tmp_path, mode))


async def _play(tmp_path: Path, mode: str) -> None:
    loaded = config.load(toy.project(tmp_path / "project") / "harness.toml")
    assert isinstance(loaded, config.Config)
    world = app.open_world(loaded, app.StateDir(tmp_path / "state"), Bell())
    with world.store.write() as tx:
        tokens = {name: credentials.issue(tx, name, AGENT, world.now_ms()) for name in ("one", "two")}
    served = app.build(world)
    async with served.router.lifespan_context(served):
        assert (
            len((await _client(served, tokens["one"], mode, lambda client: client.list_tools())).tools) == 10
        )
        first = await _client(
            served, tokens["one"], mode, lambda client: client.call_tool("claim_task", {"task": "T01"})
        )
        second = await _client(
            served, tokens["two"], mode, lambda client: client.call_tool("claim_task", {"task": "T01"})
        )
    assert first.structured_content["status"] == "leased"
    assert (second.is_error, second.structured_content["code"]) == (True, "held")
    world.store.close()


async def _client(served, token: str, mode: str, act):
    transport = httpx2.ASGITransport(served)
    async with (
        httpx2.AsyncClient(transport=transport, headers={"Authorization": f"Bearer {token}"}) as http,
        Client(streamable_http_client("http://127.0.0.1:8765/mcp", http_client=http), mode=mode) as client,
    ):
        return await act(client)
