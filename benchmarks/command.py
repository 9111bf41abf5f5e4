"""Owns what all measurements share: the command line, the machine's description, the processor time of a
process, the ways they end.

Rule: progress goes to stderr, stdout is the result; a bound that is missed is no failure.
"""

import argparse
import os
import platform
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.report import Figure
from harness.boxes.containers import BoxBroke
from harness.client import ServerGone, ServerSaidNo
from harness.failure import Exit, Interrupted, VerbFailed
from harness.images.image_engine import ImageFailed
from harness.run.signals import StopSignal

TICKS_PER_S = os.sysconf("SC_CLK_TCK")

Measure = Callable[[bool], tuple[Sequence[Figure], dict[str, Any]]]
"""The figures, and what they depend on; True = few and small."""


def main(name: str, description: str, measure: Measure) -> int:
    return run(name, options(name, description).parse_args(), measure)


def options(name: str, description: str) -> argparse.ArgumentParser:
    """Those of every benchmark; one may add its own, and then calls `run`."""
    options = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=description)
    options.add_argument(
        "--json",
        action="store_true",
        help="the last line is one JSON object with every figure, its bound and the ratio",
    )
    options.add_argument(
        "--markdown", action="store_true", help="print exactly the table of benchmarks/README.md"
    )
    options.add_argument(
        "--quick", action="store_true", help="few and small: shows that it works, not how fast it is"
    )
    return options


def run(name: str, chosen: argparse.Namespace, measure: Measure) -> int:
    try:
        with StopSignal():
            figures, machine = measure(chosen.quick)
    except Interrupted:
        return _failed(name, "interrupted; everything is removed", Exit.INTERRUPTED)
    except VerbFailed as failed:
        return _failed(name, str(failed), failed.exit)
    except (BoxBroke, ImageFailed, ServerGone, ServerSaidNo) as broke:
        return _failed(name, str(broke), Exit.INFRASTRUCTURE)
    print(
        report.markdown(figures, machine)
        if chosen.markdown
        else f"{report.table(figures)}\n\n{report.about(machine)}"
    )
    if chosen.json:
        print(report.as_json(figures, machine, quick=chosen.quick))
    return Exit.DONE


def about(**more: Any) -> dict[str, Any]:
    """What the figures depend on; `load before` tells whether the machine was quiet."""
    return {
        "cores": os.cpu_count(),
        **more,
        "python": platform.python_version(),
        "kernel": platform.release(),
        "load_before": round(os.getloadavg()[0], 1),
    }


def cpu_s(pid: int) -> float:
    """Return the processor time in seconds of a process and its ended children, in steps of a clock tick."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(ticks) for ticks in fields[11:15]) / TICKS_PER_S


def machine_s() -> tuple[float, float]:
    """The processor time that all cores have been busy, whoever used them, and that they have had, in
    seconds.
    """
    ticks = [int(ticks) for ticks in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    idle = ticks[3] + ticks[4]
    return (sum(ticks) - idle) / TICKS_PER_S, sum(ticks) / TICKS_PER_S


def say(line: str) -> None:
    """Progress goes to stderr: stdout is the result."""
    print(line, file=sys.stderr, flush=True)


def _failed(name: str, why: str, exit: Exit) -> int:
    print(f"benchmarks.{name}: {why}", file=sys.stderr)
    return exit
