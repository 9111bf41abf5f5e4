"""`python -m benchmarks.sandbox`: what a sandbox costs in time and memory, and what is left when things end
badly.

Rule: the real server, the real engine, the real start path.
"""

import sys
from dataclasses import dataclass

from benchmarks import fleets, kill_sweep, machine, server_memory
from benchmarks.command import say
from benchmarks.project import served
from benchmarks.report import Figure
from benchmarks.starts import Starts
from harness.boxes.containers import Engine
from harness.images.stock import Images


@dataclass(frozen=True)
class Size:
    """How much is measured: batches of so many starts each so many times, connected agents, agents of the run
    that is killed.
    """

    repetitions: dict[int, int]
    agents: int
    sleepers: int


FULL = Size({1: 5, 6: 3, 24: 3}, agents=64, sleepers=6)
QUICK = Size({2: 1}, agents=8, sleepers=2)


def measure(engine: Engine, run: str, quick: bool) -> list[Figure]:
    size, images = QUICK if quick else FULL, Images(engine, say=say)
    agents = [fleets.small(images.ensure("base")), fleets.player(images.ensure("scripted"))]
    with served() as project:
        starts = Starts(engine, project, run)
        starts.measure(agents, size.repetitions, say)
    with served() as project:  # a server that has served nobody yet
        say(f"{size.agents} agents connect")
        memory = server_memory.measure(project, size.agents)
    say(f"a run with {size.sleepers} agents is killed")
    return [*starts.figures(), *memory, *kill_sweep.measure(engine, size.sleepers)]


if __name__ == "__main__":
    sys.exit(machine.main("sandbox", "What a sandbox costs, beside plain docker run.", measure))
