"""Owns what all measurements with containers share: the options, the machine's description, the label of what they make, the ways they end.

Rule: all that is made carries this process's label and is removed, also on Ctrl-C.
"""

import argparse
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.report import Figure
from harness import sandbox
from harness.containers import BoxBroke, Engine
from harness.failure import Exit, Failed, Interrupted
from harness.image_engine import ImageFailed
from harness.server import ServerGone, ServerSaidNo
from harness.signals import StopSignal

LABEL = "bench-"

Measure = Callable[[Engine, str, bool], Sequence[Figure]]
"""Measures on this engine, under this run label; True = few and small."""


def main(name: str, description: str, measure: Measure) -> int:
    options = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=description)
    options.add_argument("--json", action="store_true", help="the last line is one JSON object with every figure, its bound and the ratio")
    options.add_argument("--markdown", action="store_true", help="print exactly the table of benchmarks/README.md")
    options.add_argument("--quick", action="store_true", help="few and small: shows that it works, not how fast it is")
    chosen = options.parse_args()
    try:
        figures, machine = _measured(measure, quick=chosen.quick)
    except Interrupted:
        return _failed(name, "interrupted; everything is removed", Exit.INTERRUPTED)
    except Failed as failed:
        return _failed(name, str(failed), failed.exit)
    except (BoxBroke, ImageFailed, ServerGone, ServerSaidNo) as broke:
        return _failed(name, str(broke), Exit.INFRASTRUCTURE)
    print(report.markdown(figures, machine) if chosen.markdown else f"{report.table(figures)}\n\n{report.about(machine)}")
    if chosen.json:
        print(report.as_json(figures, machine, quick=chosen.quick))
    return Exit.DONE


def _measured(measure: Measure, *, quick: bool) -> tuple[Sequence[Figure], dict[str, Any]]:
    if shutil.which("docker") is None or not Path("/proc/self/fd").exists():
        raise Failed("this needs Linux and the docker command", Exit.INFRASTRUCTURE)
    with StopSignal(), Engine.connect() as engine, _label(engine) as run:
        machine = about(engine)
        return measure(engine, run, quick), machine


@contextmanager
def _label(engine: Engine) -> Iterator[str]:
    """The label of all that is made; swept at the end, and so is what a killed benchmark left."""
    sandbox.sweep_dead(engine, lambda run: not run.startswith(LABEL) or Path(f"/proc/{run.removeprefix(LABEL)}").exists())
    run = f"{LABEL}{os.getpid()}"
    try:
        yield run
    finally:
        sandbox.sweep_run(engine, run)


def about(engine: Engine) -> dict[str, Any]:
    """What the figures depend on; `load before` tells whether the machine was quiet."""
    return {
        "cores": os.cpu_count(), "engine": engine.version(), "python": platform.python_version(), "kernel": platform.release(),
        "load_before": round(os.getloadavg()[0], 1),
    }  # fmt: skip


def say(line: str) -> None:
    """Progress goes to stderr: stdout is the result."""
    print(line, file=sys.stderr, flush=True)


def _failed(name: str, why: str, exit: Exit) -> int:
    print(f"benchmarks.{name}: {why}", file=sys.stderr)
    return exit
