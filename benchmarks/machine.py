"""Owns what all measurements with containers share: the engine, and the label of what they make.

Rule: all that is made carries this process's label and is removed, also on Ctrl-C.
"""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import command
from benchmarks.report import Figure
from harness.boxes import sandbox
from harness.boxes.containers import Engine
from harness.failure import Exit, VerbFailed

LABEL = "bench-"

Measure = Callable[[Engine, str, bool], Sequence[Figure]]
"""Measures on this engine, under this run label; True = few and small."""


def main(name: str, description: str, measure: Measure) -> int:
    return command.main(name, description, lambda quick: _measured(measure, quick=quick))


def _measured(measure: Measure, *, quick: bool) -> tuple[Sequence[Figure], dict[str, Any]]:
    if shutil.which("docker") is None or not Path("/proc/self/fd").exists():
        raise VerbFailed("this needs Linux and the docker command", Exit.INFRASTRUCTURE)
    with Engine.connect() as engine, _label(engine) as run:
        machine = command.about(engine=engine.version())
        return measure(engine, run, quick), machine


@contextmanager
def _label(engine: Engine) -> Iterator[str]:
    """The label of all that is made; swept at the end, and so is what a killed benchmark left."""
    sandbox.sweep_dead(
        engine, lambda run: not run.startswith(LABEL) or Path(f"/proc/{run.removeprefix(LABEL)}").exists()
    )
    run = f"{LABEL}{os.getpid()}"
    try:
        yield run
    finally:
        sandbox.sweep_run(engine, run)
