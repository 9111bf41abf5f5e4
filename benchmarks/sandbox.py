"""`python -m benchmarks.sandbox`: what a sandbox costs in time and memory, and what is left when things end badly.

Rule: the real server, the real engine, the real start path; all that is made carries this process's label and is removed, also on Ctrl-C.
"""

import argparse
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import fleets, kill_sweep, report, server_memory
from benchmarks.project import served
from benchmarks.report import Figure
from benchmarks.starts import Starts
from harness import sandbox
from harness.containers import BoxBroke, Engine
from harness.failure import Exit, Failed, Interrupted
from harness.image_engine import ImageFailed
from harness.images import Images
from harness.server import ServerGone, ServerSaidNo
from harness.signals import StopSignal

LABEL = "bench-"


@dataclass(frozen=True)
class Size:
    """How much is measured: batches of so many starts each so many times, connected agents, agents of the run that is killed."""

    repetitions: dict[int, int]
    agents: int
    sleepers: int


FULL = Size({1: 5, 6: 3, 24: 3}, agents=64, sleepers=6)
QUICK = Size({2: 1}, agents=8, sleepers=2)


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m benchmarks.sandbox", description="What a sandbox costs, beside plain docker run.")
    options.add_argument("--json", action="store_true", help="the last line is one JSON object with every figure, its bound and the ratio")
    options.add_argument("--markdown", action="store_true", help="print exactly the table of benchmarks/README.md")
    options.add_argument("--quick", action="store_true", help="few and small: shows that it works, not how fast it is")
    chosen = options.parse_args()
    try:
        figures, machine = measure(QUICK if chosen.quick else FULL)
    except Interrupted:
        return _failed("interrupted; everything is removed", Exit.INTERRUPTED)
    except Failed as failed:
        return _failed(str(failed), failed.exit)
    except (BoxBroke, ImageFailed, ServerGone, ServerSaidNo) as broke:
        return _failed(str(broke), Exit.INFRASTRUCTURE)
    print(report.markdown(figures, machine) if chosen.markdown else f"{report.table(figures)}\n\n{report.about(machine)}")
    if chosen.json:
        print(report.as_json(figures, machine, quick=chosen.quick))
    return Exit.DONE


def measure(size: Size) -> tuple[list[Figure], dict[str, Any]]:
    if shutil.which("docker") is None or not Path("/proc/self/fd").exists():
        raise Failed("this needs Linux and the docker command", Exit.INFRASTRUCTURE)
    with StopSignal(), Engine.connect() as engine, _label(engine) as run:
        machine = about_machine(engine)
        images = Images(engine, say=say)
        agents = [fleets.small(images.ensure("base")), fleets.player(images.ensure("scripted"))]
        with served() as project:
            starts = Starts(engine, project, run)
            starts.measure(agents, size.repetitions, say)
        with served() as project:  # a server that has served nobody yet
            say(f"{size.agents} agents connect")
            memory = server_memory.measure(project, size.agents)
        say(f"a run with {size.sleepers} agents is killed")
        return [*starts.figures(), *memory, *kill_sweep.measure(engine, size.sleepers)], machine


@contextmanager
def _label(engine: Engine) -> Iterator[str]:
    """The label of all that is made; swept at the end, and so is what a killed benchmark left."""
    sandbox.sweep_dead(engine, lambda run: not run.startswith(LABEL) or Path(f"/proc/{run.removeprefix(LABEL)}").exists())
    run = f"{LABEL}{os.getpid()}"
    try:
        yield run
    finally:
        sandbox.sweep_run(engine, run)


def about_machine(engine: Engine) -> dict[str, Any]:
    """What the figures depend on; `load before` tells whether the machine was quiet."""
    return {
        "cores": os.cpu_count(), "engine": engine.version(), "python": platform.python_version(), "kernel": platform.release(),
        "load_before": round(os.getloadavg()[0], 1),
    }  # fmt: skip


def say(line: str) -> None:
    """Progress goes to stderr: stdout is the result."""
    print(line, file=sys.stderr, flush=True)


def _failed(why: str, exit: Exit) -> int:
    print(f"benchmarks.sandbox: {why}", file=sys.stderr)
    return exit


if __name__ == "__main__":
    sys.exit(main())
