"""Owns the calls whose time is measured: agents at one MCP door, who claim and give back, race, or call a
tool that does nothing.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from benchmarks import empty_server, project
from benchmarks.command import cpu_s
from benchmarks.door_clients import Timed, Wire
from benchmarks.project import Served
from harness.failure import Exit, VerbFailed

CALL_S = 60.0


@dataclass
class Load:
    """One batch of calls, by so many agents at once."""

    took_s: list[float] = field(default_factory=list)
    wall_s: float = 0.0
    server_cpu_s: float = 0.0
    client_cpu_s: float = 0.0

    @property
    def per_s(self) -> float:
        return len(self.took_s) / self.wall_s

    def quantile_ms(self, share: float) -> float:
        return sorted(self.took_s)[min(len(self.took_s) - 1, int(share * len(self.took_s)))] * 1000

    @property
    def cpu_ms(self) -> float:
        return self.server_cpu_s / len(self.took_s) * 1000

    @property
    def client_ms(self) -> float:
        """Of our own processor time, which the server cannot have."""
        return self.client_cpu_s / len(self.took_s) * 1000

    @contextmanager
    def timed(self, server: int) -> Iterator[None]:
        spent, own, began = cpu_s(server), time.process_time(), time.perf_counter()
        yield
        self.wall_s, self.server_cpu_s, self.client_cpu_s = (
            time.perf_counter() - began,
            cpu_s(server) - spent,
            time.process_time() - own,
        )

    def take(self, share: float) -> None:
        """Only this share of what was spent is the load's."""
        self.wall_s, self.server_cpu_s, self.client_cpu_s = (
            self.wall_s * share,
            self.server_cpu_s * share,
            self.client_cpu_s * share,
        )


class Door:
    """Agents at one MCP door."""

    def __init__(self, served: Served, agents: int):
        tokens = [
            served.admin.create_session(f"claimer-{number}", "command", door=False).token
            for number in range(agents)
        ]
        self.pid, self._port, self._tokens = (
            served.server.pid,
            int(served.server.url.rpartition(":")[2]),
            tokens,
        )

    @classmethod
    def of_empty(cls, pid: int, port: int) -> "Door":
        made = cls.__new__(cls)
        made.pid, made._port, made._tokens = pid, port, ["none"]
        return made

    async def claims(self, agents: int, claims: int) -> Load:
        """Each agent claims a task of its own and gives it back; the claims are what is timed, together with
        all that they wait for.
        """
        wires = [Wire(self._port, token) for token in self._tokens[:agents]]
        load, each = Load(), max(1, claims // agents)
        try:
            for number, wire in enumerate(wires):  # connect, and let every agent's first call be over
                await self._give_back(wire, (await _claimed(wire, number)).answer["fence"])
            with load.timed(self.pid):
                given_back = await asyncio.gather(
                    *(self._claiming(wire, number, each, load) for number, wire in enumerate(wires))
                )
            # A claim and its giving back take turns; the share of the time that the claims had is theirs.
            load.take(sum(load.took_s) / (sum(load.took_s) + sum(given_back)))
        finally:
            for wire in wires:
                wire.close()
        return load

    async def _claiming(self, wire: Wire, number: int, times: int, load: Load) -> float:
        gave_back_s = 0.0
        for _ in range(times):
            claimed = await _claimed(wire, number)
            load.took_s.append(claimed.took_s)
            gave_back_s += (await self._give_back(wire, claimed.answer["fence"])).took_s
        return gave_back_s

    @staticmethod
    async def _give_back(wire: Wire, fence: int) -> Timed:
        return await wire.call("release_task", fence=fence, outcome="abandoned")

    async def race(self, agents: int) -> tuple[int, int]:
        """All for the task of the first: how many got it, and how many were refused in words."""
        wires = [Wire(self._port, token) for token in self._tokens[:agents]]
        try:
            answers = [
                timed.answer
                for timed in await asyncio.gather(
                    *(wire.call("claim_task", task=project.task(0)) for wire in wires)
                )
            ]
            winners = [number for number, answer in enumerate(answers) if answer.get("status") == "leased"]
            for number in winners:
                await self._give_back(wires[number], answers[number]["fence"])
        finally:
            for wire in wires:
                wire.close()
        return len(winners), sum(
            answer.get("status") == "refused" and answer.get("code") == "held" for answer in answers
        )

    async def by_sdk(self, tool: str, calls: int) -> Load:
        """One SDK client, one call after the other; claims are given back in between, unmeasured."""
        load, spent = Load(), 0.0
        async with AsyncExitStack() as stack:
            headers = {"Authorization": f"Bearer {self._tokens[0]}"}
            http = await stack.enter_async_context(
                httpx2.AsyncClient(headers=headers, timeout=CALL_S, verify=False)
            )
            client = await stack.enter_async_context(
                Client(streamable_http_client(f"http://127.0.0.1:{self._port}/mcp", http_client=http))
            )
            for _ in range(calls):
                before, began = cpu_s(self.pid), time.perf_counter()
                result = await client.call_tool(tool, {})
                load.took_s.append(time.perf_counter() - began)
                spent += cpu_s(self.pid) - before
                if tool == "claim_task":
                    assert result.structured_content is not None
                    await client.call_tool(
                        "release_task", {"fence": result.structured_content["fence"], "outcome": "abandoned"}
                    )
        load.wall_s, load.server_cpu_s = sum(load.took_s), spent
        return load

    async def empty_calls(self, agents: int, calls: int) -> Load:
        """Of the empty tool, by so many at once."""
        wires, load, each = (
            [Wire(self._port, self._tokens[0]) for _ in range(agents)],
            Load(),
            max(1, calls // agents),
        )
        try:
            await asyncio.gather(*(wire.call(empty_server.NAME) for wire in wires))
            with load.timed(self.pid):
                await asyncio.gather(*(self._calling(wire, each, load) for wire in wires))
        finally:
            for wire in wires:
                wire.close()
        return load

    @staticmethod
    async def _calling(wire: Wire, times: int, load: Load) -> None:
        for _ in range(times):
            load.took_s.append((await wire.call(empty_server.NAME)).took_s)


async def _claimed(wire: Wire, number: int) -> Timed:
    timed = await wire.call("claim_task", task=project.task(number))
    if timed.answer.get("status") != "leased":
        raise VerbFailed(f"a free task was not given: {timed.answer}", Exit.INFRASTRUCTURE)
    return timed
