"""`python -m benchmarks.claims`: what a claim costs at the real door, and who wins it.

Rule: the real server in a process of its own, over TCP; beside it in the same run, on the same machine, by
the same clients, the SDK's own round trip of an empty tool, and claiming by a lock file that is committed and
pushed.
"""

import asyncio
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import command, empty_server, lock_files, project
from benchmarks.command import say
from benchmarks.doors import Door, Load
from benchmarks.report import Figure
from harness.failure import Exit, VerbFailed

RATIO_MAX = 2.0  # a claim over an empty tool, at the median
CLAIMS_PER_S_MIN = 400.0
TIMES_LOCK_FILES_MIN = 100.0
LOCK_WORKERS = 6


@dataclass(frozen=True)
class Size:
    """Agents at once; claims of each agent; races of all of them for one task; SDK calls; lock-file claims;
    turns of the pair with the empty tool.
    """

    agents: tuple[int, ...]
    claims: int
    races: int
    sdk_calls: int
    lock_claims: int
    turns: int


FULL = Size((1, 16, 64), claims=1600, races=20, sdk_calls=200, lock_claims=60, turns=5)
QUICK = Size((1, 4), claims=40, races=2, sdk_calls=10, lock_claims=12, turns=1)


def measure(size: Size) -> tuple[list[Figure], dict[str, Any]]:
    machine = command.about()
    figures: list[Figure] = []
    with project.served(tasks=max(size.agents)) as served, _empty() as (empty_pid, empty_port):
        door, empty = Door(served, max(size.agents)), Door.of_empty(empty_pid, empty_port)
        say("the empty tool and a claim, in turn")
        figures += _beside_the_empty_tool(door, empty, size)
        loads = {}
        for agents in size.agents:
            say(f"{agents} agents claim and give back")
            loads[agents] = asyncio.run(door.claims(agents, size.claims))
        say(f"{max(size.agents)} clients call the empty tool")
        figures += _throughput(loads, asyncio.run(empty.empty_calls(max(size.agents), size.claims)))
        say("races for one task")
        figures += _races(door, size)
    say(f"{LOCK_WORKERS} workers claim by lock file, commit and push")
    with tempfile.TemporaryDirectory(prefix="harness-bench-") as scratch:
        tally, wall_s = lock_files.measure(Path(scratch), LOCK_WORKERS, size.lock_claims)
    return figures + _beside_lock_files(loads, tally, wall_s), machine


def _beside_the_empty_tool(door: Door, empty: Door, size: Size) -> list[Figure]:
    """In turn, and the order turned round each time: the machine's mood falls on both. The figure is the
    median of the turns' ratios.
    """
    pairs: dict[str, list[tuple[Load, Load]]] = {"sdk": [], "wire": []}
    for turn in range(size.turns):
        calls = {
            ("sdk", "empty"): lambda: empty.by_sdk(empty_server.NAME, size.sdk_calls // size.turns),
            ("sdk", "claim"): lambda: door.by_sdk("claim_task", size.sdk_calls // size.turns),
            ("wire", "empty"): lambda: empty.empty_calls(1, size.sdk_calls),
            ("wire", "claim"): lambda: door.claims(1, size.sdk_calls),
        }
        order = list(calls) if turn % 2 == 0 else list(reversed(calls))
        loads = {name: asyncio.run(calls[name]()) for name in order}
        for client in pairs:
            pairs[client].append((loads[client, "empty"], loads[client, "claim"]))
    return [
        figure
        for client, label in (("sdk", "SDK client"), ("wire", "plain client"))
        for figure in _ratio(client, label, pairs[client])
    ]


def _ratio(key: str, label: str, pairs: Sequence[tuple[Load, Load]]) -> list[Figure]:
    empty_ms, claim_ms = ([load.quantile_ms(0.5) for load in side] for side in zip(*pairs, strict=True))
    ratio = statistics.median(claim / empty for empty, claim in zip(empty_ms, claim_ms, strict=True))
    cpu = [statistics.median(load.cpu_ms for load in side) for side in zip(*pairs, strict=True)]
    fastest = [min(min(load.took_s) for load in side) * 1000 for side in zip(*pairs, strict=True)]
    about = (
        f"p50 {min(empty_ms):.2f} ms and {min(claim_ms):.2f} ms; the fastest {fastest[0]:.2f} and"
        f" {fastest[1]:.2f}; server CPU {cpu[0]:.2f} and {cpu[1]:.2f}"
    )
    return [
        Figure(
            f"{key}_ratio",
            ratio,
            "times",
            f"a claim over an empty tool at p50, {label}",
            RATIO_MAX if key == "sdk" else None,
            about,
        ),
        Figure(f"{key}_empty_p50_ms", min(empty_ms), "ms"),
        Figure(f"{key}_claim_p50_ms", min(claim_ms), "ms"),
        Figure(f"{key}_fastest_ratio", fastest[1] / fastest[0], "times"),
        Figure(f"{key}_empty_cpu_ms", cpu[0], "ms"),
        Figure(f"{key}_claim_cpu_ms", cpu[1], "ms"),
    ]


def _throughput(loads: dict[int, Load], empty: Load) -> list[Figure]:
    """Beside what the SDK allows here: its own empty tool with as many clients, which cost as much."""
    found = []
    for agents, load in loads.items():
        many = "agent" if agents == 1 else "agents"
        about = (
            f"p50 {load.quantile_ms(0.5):.1f} ms, p99 {load.quantile_ms(0.99):.1f} ms, {len(load.took_s)}"
            f" claims, server CPU {load.cpu_ms:.2f} ms each"
        )
        least = CLAIMS_PER_S_MIN if agents == max(loads) else None
        found += [
            Figure(
                f"claims_per_s_{agents}",
                load.per_s,
                "/s",
                f"claims, {agents} {many} at once",
                least,
                about,
                at_least=True,
            ),
            Figure(f"p50_ms_{agents}", load.quantile_ms(0.5), "ms"),
            Figure(f"p99_ms_{agents}", load.quantile_ms(0.99), "ms"),
            Figure(f"cpu_ms_{agents}", load.cpu_ms, "ms"),
        ]
    many = max(loads)
    about = (
        f"server CPU {empty.cpu_ms:.2f} ms each, the clients' {empty.client_ms:.2f}; at claims the clients'"
        f" {loads[many].client_ms:.2f}"
    )
    found.append(
        Figure(
            f"empty_per_s_{many}",
            empty.per_s,
            "/s",
            f"calls of the SDK's empty tool, {many} at once",
            None,
            about,
        )
    )
    return [
        *found,
        Figure(f"empty_cpu_ms_{many}", empty.cpu_ms, "ms"),
        Figure(f"client_cpu_ms_{many}", loads[many].client_ms, "ms"),
    ]


def _races(door: Door, size: Size) -> list[Figure]:
    found = []
    for agents in (many for many in size.agents if many > 1):
        results = [asyncio.run(door.race(agents)) for _ in range(size.races)]
        wrong = sum(result != (1, agents - 1) for result in results)
        found.append(
            Figure(
                f"races_wrong_{agents}",
                wrong,
                "",
                f"races of {agents} without exactly one winner",
                0,
                f"{len(results)} races",
            )
        )
    return found


def _beside_lock_files(loads: dict[int, Load], tally: lock_files.Tally, wall_s: float) -> list[Figure]:
    per_s = len(tally.took_s) / wall_s
    ours = loads[max(loads)].per_s
    p50_ms = statistics.median(tally.took_s) * 1000
    about = (
        f"{per_s:.1f}/s by {LOCK_WORKERS} workers, p50 {p50_ms:.0f} ms, {tally.rejected} of"
        f" {tally.rejected + len(tally.took_s)} pushes rejected"
    )
    return [
        Figure(
            "times_lock_files",
            ours / per_s,
            "times",
            "claims per second over lock files on main",
            TIMES_LOCK_FILES_MIN,
            about,
            at_least=True,
        ),
        Figure("lock_files_per_s", per_s, "/s"),
        Figure("lock_files_p50_ms", p50_ms, "ms"),
        Figure("lock_files_rejected", tally.rejected, ""),
    ]


@contextmanager
def _empty() -> Iterator[tuple[int, int]]:
    serving = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.empty_server"],
        cwd=Path(__file__).parents[1],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert serving.stdout is not None
        line = serving.stdout.readline()
        if not line:
            raise VerbFailed("the empty server did not start", Exit.INFRASTRUCTURE)
        yield serving.pid, int(line)
    finally:
        serving.kill()
        serving.wait()


if __name__ == "__main__":
    sys.exit(
        command.main(
            "claims",
            "What a claim costs, beside an empty tool and beside lock files.",
            lambda quick: measure(QUICK if quick else FULL),
        )
    )
