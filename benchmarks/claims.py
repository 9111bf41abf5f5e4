"""`python -m benchmarks.claims`: what a claim costs at the real door, and who wins it.

Rule: the real server in a process of its own, over TCP; beside it in the same run, on the same machine, by the same clients, the
SDK's own round trip of an empty tool, and claiming by a lock file that is committed and pushed.
"""

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from benchmarks import command, empty_server, lock_files, project
from benchmarks.command import cpu_s, say
from benchmarks.door_clients import Timed, Wire
from benchmarks.project import Served
from benchmarks.report import Figure
from harness.failure import Exit, Failed

RATIO_MAX = 2.0  # a claim over an empty tool, at the median
CLAIMS_PER_S_MIN = 400.0
TIMES_LOCK_FILES_MIN = 100.0
LOCK_WORKERS = 6
CALL_S = 60.0


@dataclass(frozen=True)
class Size:
    """Agents at once; claims of each agent; races of all of them for one task; SDK calls; lock-file claims; turns of the pair with the empty tool."""

    agents: tuple[int, ...]
    claims: int
    races: int
    sdk_calls: int
    lock_claims: int
    turns: int


FULL = Size((1, 16, 64), claims=1600, races=20, sdk_calls=200, lock_claims=60, turns=5)
QUICK = Size((1, 4), claims=40, races=2, sdk_calls=10, lock_claims=12, turns=1)


@dataclass
class Load:
    """One batch of calls, by so many agents at once."""

    took_s: list[float] = field(default_factory=list)
    wall_s: float = 0.0
    server_cpu_s: float = 0.0

    @property
    def per_s(self) -> float:
        return len(self.took_s) / self.wall_s

    def quantile_ms(self, share: float) -> float:
        return sorted(self.took_s)[min(len(self.took_s) - 1, int(share * len(self.took_s)))] * 1000

    @property
    def cpu_ms(self) -> float:
        return self.server_cpu_s / len(self.took_s) * 1000


def measure(size: Size) -> tuple[list[Figure], dict[str, Any]]:
    machine = command.about()
    figures: list[Figure] = []
    with project.served(tasks=max(size.agents)) as served, _empty() as (empty_pid, empty_port):
        door = Door(served, max(size.agents))
        say("the empty tool and a claim, in turn")
        figures += _beside_the_empty_tool(door, Door.of_empty(empty_pid, empty_port), size)
        loads = {}
        for agents in size.agents:
            say(f"{agents} agents claim and give back")
            loads[agents] = asyncio.run(door.claims(agents, size.claims))
        figures += _throughput(loads)
        say("races for one task")
        figures += _races(door, size)
    say(f"{LOCK_WORKERS} workers claim by lock file, commit and push")
    with tempfile.TemporaryDirectory(prefix="harness-bench-") as scratch:
        tally, wall_s = lock_files.measure(Path(scratch), LOCK_WORKERS, size.lock_claims)
    return figures + _beside_lock_files(loads, tally, wall_s), machine


class Door:
    """Agents at one MCP door."""

    def __init__(self, served: Served, agents: int):
        tokens = [served.admin.create_session(f"claimer-{number}", "command", door=False)["token"] for number in range(agents)]
        self.pid, self._port, self._tokens = served.server.pid, int(served.server.url.rpartition(":")[2]), tokens

    @classmethod
    def of_empty(cls, pid: int, port: int) -> "Door":
        made = cls.__new__(cls)
        made.pid, made._port, made._tokens = pid, port, ["none"]
        return made

    async def claims(self, agents: int, claims: int) -> Load:
        """Each agent claims a task of its own and gives it back; the claims are what is timed, together with all that they wait for."""
        wires = [Wire(self._port, token) for token in self._tokens[:agents]]
        load, each = Load(), max(1, claims // agents)
        try:
            for number, wire in enumerate(wires):  # connect, and let every agent's first call be over
                await self._give_back(wire, (await _claimed(wire, number)).answer["fence"])
            spent, began = cpu_s(self.pid), time.perf_counter()
            given_back = await asyncio.gather(*(self._claiming(wire, number, each, load) for number, wire in enumerate(wires)))
            # A claim and its giving back take turns; the share of the time that the claims had is theirs.
            busy_s, wall_s = sum(load.took_s), time.perf_counter() - began
            share = busy_s / (busy_s + sum(given_back))
            load.wall_s, load.server_cpu_s = wall_s * share, (cpu_s(self.pid) - spent) * share
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
            answers = [timed.answer for timed in await asyncio.gather(*(wire.call("claim_task", task=project.task(0)) for wire in wires))]
            winners = [number for number, answer in enumerate(answers) if answer.get("status") == "leased"]
            for number in winners:
                await self._give_back(wires[number], answers[number]["fence"])
        finally:
            for wire in wires:
                wire.close()
        return len(winners), sum(answer.get("status") == "refused" and answer.get("code") == "held" for answer in answers)

    async def by_sdk(self, tool: str, calls: int) -> Load:
        """One SDK client, one call after the other; claims are given back in between, unmeasured."""
        load, spent = Load(), 0.0
        async with AsyncExitStack() as stack:
            headers = {"Authorization": f"Bearer {self._tokens[0]}"}
            http = await stack.enter_async_context(httpx2.AsyncClient(headers=headers, timeout=CALL_S, verify=False))
            client = await stack.enter_async_context(Client(streamable_http_client(f"http://127.0.0.1:{self._port}/mcp", http_client=http)))
            for _ in range(calls):
                before, began = cpu_s(self.pid), time.perf_counter()
                result = await client.call_tool(tool, {})
                load.took_s.append(time.perf_counter() - began)
                spent += cpu_s(self.pid) - before
                if tool == "claim_task":
                    assert result.structured_content is not None
                    await client.call_tool("release_task", {"fence": result.structured_content["fence"], "outcome": "abandoned"})
        load.wall_s, load.server_cpu_s = sum(load.took_s), spent
        return load

    async def empty_calls(self, calls: int) -> Load:
        wire, load = Wire(self._port, self._tokens[0]), Load()
        try:
            await wire.call(empty_server.NAME)
            spent, began = cpu_s(self.pid), time.perf_counter()
            for _ in range(calls):
                load.took_s.append((await wire.call(empty_server.NAME)).took_s)
            load.wall_s, load.server_cpu_s = time.perf_counter() - began, cpu_s(self.pid) - spent
        finally:
            wire.close()
        return load


async def _claimed(wire: Wire, number: int) -> Timed:
    timed = await wire.call("claim_task", task=project.task(number))
    if timed.answer.get("status") != "leased":
        raise Failed(f"a free task was not given: {timed.answer}", Exit.INFRASTRUCTURE)
    return timed


def _beside_the_empty_tool(door: Door, empty: Door, size: Size) -> list[Figure]:
    """In turn, and the order turned round each time: the machine's mood falls on both. The figure is the median of the turns' ratios."""
    pairs: dict[str, list[tuple[Load, Load]]] = {"sdk": [], "wire": []}
    for turn in range(size.turns):
        calls = {
            ("sdk", "empty"): lambda: empty.by_sdk(empty_server.NAME, size.sdk_calls // size.turns),
            ("sdk", "claim"): lambda: door.by_sdk("claim_task", size.sdk_calls // size.turns),
            ("wire", "empty"): lambda: empty.empty_calls(size.sdk_calls),
            ("wire", "claim"): lambda: door.claims(1, size.sdk_calls),
        }
        order = list(calls) if turn % 2 == 0 else list(reversed(calls))
        loads = {name: asyncio.run(calls[name]()) for name in order}
        for client in pairs:
            pairs[client].append((loads[client, "empty"], loads[client, "claim"]))
    return [figure for client, label in (("sdk", "SDK client"), ("wire", "plain client")) for figure in _ratio(client, label, pairs[client])]


def _ratio(key: str, label: str, pairs: Sequence[tuple[Load, Load]]) -> list[Figure]:
    empty_ms, claim_ms = ([load.quantile_ms(0.5) for load in side] for side in zip(*pairs, strict=True))
    ratio = statistics.median(claim / empty for empty, claim in zip(empty_ms, claim_ms, strict=True))
    cpu = [statistics.median(load.cpu_ms for load in side) for side in zip(*pairs, strict=True)]
    fastest = [min(min(load.took_s) for load in side) * 1000 for side in zip(*pairs, strict=True)]
    about = f"p50 {min(empty_ms):.2f} ms and {min(claim_ms):.2f} ms; the fastest {fastest[0]:.2f} and {fastest[1]:.2f}; server CPU {cpu[0]:.2f} and {cpu[1]:.2f}"
    return [
        Figure(f"{key}_ratio", ratio, "times", f"a claim over an empty tool at p50, {label}", RATIO_MAX if key == "sdk" else None, about),
        Figure(f"{key}_empty_p50_ms", min(empty_ms), "ms"), Figure(f"{key}_claim_p50_ms", min(claim_ms), "ms"),
        Figure(f"{key}_fastest_ratio", fastest[1] / fastest[0], "times"),
        Figure(f"{key}_empty_cpu_ms", cpu[0], "ms"), Figure(f"{key}_claim_cpu_ms", cpu[1], "ms"),
    ]  # fmt: skip


def _throughput(loads: dict[int, Load]) -> list[Figure]:
    found = []
    for agents, load in loads.items():
        many = "agent" if agents == 1 else "agents"
        about = f"p50 {load.quantile_ms(0.5):.1f} ms, p99 {load.quantile_ms(0.99):.1f} ms, {len(load.took_s)} claims, server CPU {load.cpu_ms:.2f} ms each"
        least = CLAIMS_PER_S_MIN if agents == max(loads) else None
        found += [
            Figure(f"claims_per_s_{agents}", load.per_s, "/s", f"claims, {agents} {many} at once", least, about, at_least=True),
            Figure(f"p50_ms_{agents}", load.quantile_ms(0.5), "ms"), Figure(f"p99_ms_{agents}", load.quantile_ms(0.99), "ms"),
            Figure(f"cpu_ms_{agents}", load.cpu_ms, "ms"),
        ]  # fmt: skip
    return found


def _races(door: Door, size: Size) -> list[Figure]:
    found = []
    for agents in (many for many in size.agents if many > 1):
        results = [asyncio.run(door.race(agents)) for _ in range(size.races)]
        wrong = sum(result != (1, agents - 1) for result in results)
        found.append(Figure(f"races_wrong_{agents}", wrong, "", f"races of {agents} without exactly one winner", 0, f"{len(results)} races"))
    return found


def _beside_lock_files(loads: dict[int, Load], tally: lock_files.Tally, wall_s: float) -> list[Figure]:
    per_s = len(tally.took_s) / wall_s
    ours = loads[max(loads)].per_s
    p50_ms = statistics.median(tally.took_s) * 1000
    about = f"{per_s:.1f}/s by {LOCK_WORKERS} workers, p50 {p50_ms:.0f} ms, {tally.rejected} of {tally.rejected + len(tally.took_s)} pushes rejected"
    return [
        Figure("times_lock_files", ours / per_s, "times", "claims per second over lock files on main", TIMES_LOCK_FILES_MIN, about, at_least=True),
        Figure("lock_files_per_s", per_s, "/s"), Figure("lock_files_p50_ms", p50_ms, "ms"), Figure("lock_files_rejected", tally.rejected, ""),
    ]  # fmt: skip


@contextmanager
def _empty() -> Iterator[tuple[int, int]]:
    serving = subprocess.Popen([sys.executable, "-m", "benchmarks.empty_server"], cwd=Path(__file__).parents[1], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert serving.stdout is not None
        line = serving.stdout.readline()
        if not line:
            raise Failed("the empty server did not start", Exit.INFRASTRUCTURE)
        yield serving.pid, int(line)
    finally:
        serving.kill()
        serving.wait()


if __name__ == "__main__":
    sys.exit(command.main("claims", "What a claim costs, beside an empty tool and beside lock files.", lambda quick: measure(QUICK if quick else FULL)))
