"""Owns the time from a start to the first tool call, of sandboxes beside plain containers.

Rule: both ends of a time are read off the machine's one clock, and a call is made when the server has written
it down.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import docker

from benchmarks import fleets
from benchmarks.fleets import Agent, Fleet, Plain, Sandboxes
from benchmarks.project import Served
from benchmarks.report import Figure
from harness.boxes import sandbox
from harness.boxes.containers import Engine
from harness.failure import Exit, VerbFailed

CALLS_WITHIN_S = 180.0  # 24 boxes with the SDK on two busy cores take some 30
POLL_S = 0.1
SETTLE_S = 8.0  # for the server to let go of closed connections and of its git children
MORE_S_MAX = 0.5  # what a sandbox may add to the start of a plain container
MB = 1 << 20
PLAIN, OURS = "plain", "sandbox"  # the two ways
AGENTS = {"small": "small client", "player": "SDK client"}


@dataclass(frozen=True)
class Census:
    """What a batch could leave behind. `doors`: their directories; `server_fds`: open files of the server."""

    boxes: int
    volumes: int
    doors: int
    server_fds: int

    def more_than(self, other: "Census") -> dict[str, int]:
        return {name: max(0, value - getattr(other, name)) for name, value in vars(self).items()}


@dataclass(frozen=True)
class Batch:
    """Seconds from the common start to each first call, and the memory of each box once all had called."""

    calls_s: tuple[float, ...]
    memory_mb: tuple[float, ...] = ()

    @property
    def all_s(self) -> float:
        return max(self.calls_s)


@dataclass
class Starts:
    """All batches, by (agent, way, count), and what the last largest batch of sandboxes left."""

    engine: Engine
    served: Served
    run: str
    batches: dict[tuple[str, str, int], list[Batch]] = field(default_factory=dict)
    leaks: dict[str, int] = field(default_factory=dict)
    leaks_of: int = 0

    def measure(
        self, agents: Sequence[Agent], repetitions: dict[int, int], say: Callable[[str], None]
    ) -> None:
        """Plain and ours in turn, and the order turned round with each repetition: the machine's mood falls
        on both.
        """
        for turn in range(max(repetitions.values())):
            for count in [count for count, times in repetitions.items() if turn < times]:
                for agent in agents:
                    for way in (PLAIN, OURS) if turn % 2 == 0 else (OURS, PLAIN):
                        batch = self._batch(agent, way, count, largest=count == max(repetitions))
                        self.batches.setdefault((agent.name, way, count), []).append(batch)
                        say(f"{way} {agent.name} x {count}: all called after {batch.all_s:.2f} s")

    def _batch(self, agent: Agent, way: str, count: int, *, largest: bool) -> Batch:
        names = fleets.names(f"{way}-{agent.name}", count)
        if way == PLAIN:
            plain = Plain(self.engine, self.served, self.run, agent)
            plain.prepare(names)
            return self._timed(plain, names, weigh=largest)
        before = self.census()
        batch = self._timed(Sandboxes(self.engine, self.served, self.run, agent), names, weigh=largest)
        if largest:
            self.leaks, self.leaks_of = self._left(before), count
        return batch

    def _timed(self, fleet: Fleet, names: Sequence[str], *, weigh: bool) -> Batch:
        seen = self.served.admin.status().head_seq
        began_s = time.time()
        try:
            fleet.start(names)
            called = self._first_calls(fleet, set(names), seen)
            memory = memory_mb(fleet.box_ids()) if weigh else ()
        finally:
            fleet.stop()
        return Batch(tuple(at_s - began_s for at_s in called.values()), memory)

    def _first_calls(self, fleet: Fleet, names: set[str], seen: int) -> dict[str, float]:
        called: dict[str, float] = {}
        deadline = time.monotonic() + CALLS_WITHIN_S
        while time.monotonic() < deadline:
            for event in self.served.admin.events(seen, kind="tool_call"):
                seen = event.seq
                if event.data["status"] == "ok":
                    called.setdefault(str(event.agent), event.ms / 1000)
            if names <= set(called):
                return called
            if ended := fleet.early_end():
                raise VerbFailed(f"an agent ended before all had called: {ended}", Exit.INFRASTRUCTURE)
            time.sleep(POLL_S)
        raise VerbFailed(
            f"{len(names - set(called))} of {len(names)} made no call within {CALLS_WITHIN_S:.0f} s",
            Exit.INFRASTRUCTURE,
        )

    def census(self) -> Census:
        label = {sandbox.RUN: self.run}
        doors = sum(1 for _ in self.served.state.doors.iterdir())
        return Census(
            len(self.engine.list(label)),
            len(self.engine.volumes(label)),
            doors,
            open_files(self.served.server.pid),
        )

    def _left(self, before: Census) -> dict[str, int]:
        """What is more than before, once the server had time to let go."""
        deadline = time.monotonic() + SETTLE_S
        while self.census().more_than(before)["server_fds"] and time.monotonic() < deadline:
            time.sleep(POLL_S)
        return self.census().more_than(before)

    def figures(self) -> list[Figure]:
        found: list[Figure] = []
        for name, way, count in self.batches:
            if way == OURS:
                found += _beside(
                    name, count, self.batches[name, PLAIN, count], self.batches[name, OURS, count]
                )
        for name in {name: None for name, _, _ in self.batches}:
            found += self._memory(name)
        left = ", ".join(f"{what.replace('_', ' ')} {many}" for what, many in self.leaks.items())
        found.append(
            Figure(
                "leak", sum(self.leaks.values()), "", f"left after {self.leaks_of} parallel starts", 0, left
            )
        )
        return found + [Figure(f"leak_{what}", many, "", bound=0) for what, many in self.leaks.items()]

    def _memory(self, name: str) -> list[Figure]:
        plain, ours = (statistics.median(self._weights(name, way)) for way in (PLAIN, OURS))
        return [
            Figure(
                f"memory_{name}_mb",
                ours,
                "MB",
                f"memory of a sandbox, {AGENTS[name]}",
                about=f"docker run {plain:.1f} MB",
            ),
            Figure(f"memory_{name}_plain_mb", plain, "MB"),
        ]

    def _weights(self, name: str, way: str) -> list[float]:
        return [
            mb
            for key, batches in self.batches.items()
            if key[:2] == (name, way)
            for batch in batches
            for mb in batch.memory_mb
        ]


def _beside(name: str, count: int, plain: Sequence[Batch], ours: Sequence[Batch]) -> list[Figure]:
    """`more` is for each: what `count` sandboxes take longer until all have called, shared among them."""
    plain_s, ours_s = (statistics.median(batch.all_s for batch in batches) for batches in (plain, ours))
    one_plain_s, one_ours_s = (
        statistics.median(s for batch in batches for s in batch.calls_s) for batches in (plain, ours)
    )
    key, many = f"start_{name}_{count}", "sandbox" if count == 1 else "sandboxes"
    about = (
        f"until all called: docker run {plain_s:.2f} s, sandbox {ours_s:.2f} s; the median one:"
        f" {one_plain_s:.2f} s, {one_ours_s:.2f} s"
    )
    return [
        Figure(
            f"{key}_more_s",
            (ours_s - plain_s) / count,
            "s",
            f"{count} {many}, {AGENTS[name]}: more than docker run, each",
            MORE_S_MAX,
            about,
        ),
        Figure(f"{key}_plain_s", plain_s, "s"),
        Figure(f"{key}_sandbox_s", ours_s, "s"),
        Figure(f"{key}_plain_one_s", one_plain_s, "s"),
        Figure(f"{key}_sandbox_one_s", one_ours_s, "s"),
    ]


def memory_mb(box_ids: Sequence[str]) -> tuple[float, ...]:
    """What `docker stats` shows: without the file cache that the kernel would give back first."""
    client = docker.from_env()
    try:
        return tuple(
            _used(client.api.stats(box, stream=False, one_shot=True)["memory_stats"]) / MB for box in box_ids
        )
    finally:
        client.close()


def _used(memory: dict) -> int:
    cache = memory["stats"].get(
        "total_inactive_file", memory["stats"].get("inactive_file", 0)
    )  # cgroup v1, v2
    return memory["usage"] - cache


def open_files(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
