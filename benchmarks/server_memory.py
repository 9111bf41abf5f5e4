"""Owns the memory of a server with many agents connected, each through its own door. Rule: the agents are
real SDK clients, in both protocol eras.
"""

import asyncio
import os
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from benchmarks.project import REPO, Served
from benchmarks.report import Figure
from harness.failure import Exit, VerbFailed

RSS_MB_MAX = 150
URL_BEHIND_A_DOOR = "http://127.0.0.1:8765/mcp"
HOLD_S = 4.0  # how long every agent has a call under way
SAMPLE_S = 0.25
CONNECT_S = 120.0
CALL_S = 60.0
MODES = ("auto", "legacy")


@dataclass(frozen=True)
class Resident:
    idle_mb: float
    connected_mb: float
    busy_mb: float


def measure(served: Served, agents: int) -> list[Figure]:
    with _sessions(served, agents) as doors:
        seen = asyncio.run(_connected(served, doors))
    about = (
        f"idle {seen.idle_mb:.1f} MB, connected {seen.connected_mb:.1f} MB, a call of each under way"
        f" {seen.busy_mb:.1f} MB"
    )
    return [
        Figure(
            "server_mb",
            max(seen.connected_mb, seen.busy_mb),
            "MB",
            f"server with {agents} connected agents",
            RSS_MB_MAX,
            about,
        ),
        Figure("server_idle_mb", seen.idle_mb, "MB"),
        Figure("server_connected_mb", seen.connected_mb, "MB"),
        Figure("server_busy_mb", seen.busy_mb, "MB"),
    ]


@contextmanager
def _sessions(served: Served, agents: int) -> Iterator[list[tuple[Path, str]]]:
    """A door and a token for each."""
    made = [
        served.admin.create_session(f"guest-{number}", "command", door=True)
        for number in range(1, agents + 1)
    ]
    try:
        yield [(served.state.doors / str(session.door) / "door.sock", session.token) for session in made]
    finally:
        for session in made:
            served.admin.end_session(session.session, "worked")


async def _connected(served: Served, doors: list[tuple[Path, str]]) -> Resident:
    pid, commit = served.server.pid, served.admin.status().main[REPO]
    idle_mb = resident_mb(pid)
    async with AsyncExitStack() as stack:
        async with asyncio.timeout(CONNECT_S):
            clients = [
                await _enter(stack, door, token, MODES[number % 2])
                for number, (door, token) in enumerate(doors)
            ]
            for client in clients:
                await client.list_tools()
                await client.call_tool("read_progress", {})
        connected_mb = resident_mb(pid)
        busy_mb = await _busy(pid, clients, commit)
    return Resident(idle_mb, connected_mb, busy_mb)


async def _enter(stack: AsyncExitStack, door: Path, token: str, mode: str) -> Client:
    opened = os.open(door.parent, os.O_RDONLY | os.O_DIRECTORY)
    stack.callback(os.close, opened)
    transport = httpx2.AsyncHTTPTransport(
        uds=f"/proc/self/fd/{opened}/{door.name}"
    )  # a socket's address has 108 bytes at most
    headers = {"Authorization": f"Bearer {token}"}
    http = await stack.enter_async_context(
        httpx2.AsyncClient(transport=transport, headers=headers, timeout=CALL_S)
    )
    return await stack.enter_async_context(
        Client(streamable_http_client(URL_BEHIND_A_DOOR, http_client=http), mode=mode)
    )


async def _busy(pid: int, clients: list[Client], commit: str) -> float:
    """The most while every agent waits for the oracle at once; no runner is up, so that they all wait on."""
    calls = [
        asyncio.create_task(client.call_tool("run_oracle", {"commit": commit, "scope": "full"}))
        for client in clients
    ]
    most_mb = 0.0
    try:
        for _ in range(round(HOLD_S / SAMPLE_S)):
            await asyncio.sleep(SAMPLE_S)
            most_mb = max(most_mb, resident_mb(pid))
        if ended := [call for call in calls if call.done()]:
            raise VerbFailed(
                f"{len(ended)} calls did not wait: {ended[0].exception() or ended[0].result()}",
                Exit.INFRASTRUCTURE,
            )
    finally:
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
    return most_mb


def resident_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise VerbFailed(f"process {pid} is gone", Exit.INFRASTRUCTURE)
