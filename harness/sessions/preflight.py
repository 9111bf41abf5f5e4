"""Owns what is checked before an agent's first session. Rule: a finding is a value, told in one line."""

import os
import shutil
import threading
from pathlib import Path

from harness.agents.base import Seat
from harness.agents.kinds import KINDS, PROGRAMS
from harness.boxes import sandbox
from harness.boxes.containers import Engine
from harness.sessions.project_files import missing_files
from mcp_server.config import AgentSpec

DISK_FREE_MIN_MB = 1024
NOT_FOUND = 127
INODES_FREE_MIN = 20_000  # a clone of a large repository and its build


class Preflight:
    """Checks seats; remembers what was found in which image, so that many agents cost one look."""

    def __init__(
        self, engine: Engine, *, run: str, state: Path, root: Path, runtime: str | None = None
    ) -> None:
        self._engine = engine
        self._run, self._state, self._root, self._runtime = run, state, root, runtime
        self._found: dict[tuple[str, str], str | None] = {}
        self._lock = threading.Lock()

    def problem(self, seat: Seat, image: str) -> str | None:
        """Why the seat cannot be taken, or None. Raises BoxBroke if the engine does not answer."""
        adapter = KINDS[seat.spec.kind].adapter
        return (
            host_problem(self._state)
            or missing_files(self._root, adapter.wants(seat))
            or self._image_problem(image, adapter.probe(seat.spec), seat.spec)
        )

    def _image_problem(self, image: str, program: str, spec: AgentSpec) -> str | None:
        image_id = self._engine.image_id(image)
        if image_id is None:
            return f"the image {image} does not exist; `harness images` makes it"
        with self._lock:
            if (image_id, program) not in self._found:
                status, output = sandbox.trial(
                    self._engine,
                    self._run,
                    image,
                    trial(program, spec),
                    memory_mb=spec.memory_mb,
                    pids=spec.pids,
                    runtime=self._runtime,
                )
                self._found[image_id, program] = verdict(program, status, output)
        problem = self._found[image_id, program]
        return f"{problem} in the image {image}" if problem else None


def trial(program: str, spec: AgentSpec) -> tuple[str, ...]:
    """Of a vendor's CLI that it runs, and not only that it is there: an install without its scripts leaves
    one that does not.
    """
    run = ' && "$0" --version' if spec.kind in PROGRAMS else ""
    return ("/bin/sh", "-c", f'{{ command -v "$0" >/dev/null || exit {NOT_FOUND}; }}{run}', program)


def verdict(program: str, status: int | None, output: str) -> str | None:
    """What is wrong with a program that was tried; None if nothing is."""
    match status:
        case 0:
            return None
        case _ if status == NOT_FOUND:
            return f"{program}: not found"
        case None:
            return f"{program} --version does not end"
    return f"{program} --version ends with status {status} ({output})"


def host_problem(state: Path) -> str | None:
    """Return what is short where the state lies, disk or inodes; volumes lie beside the engine's images,
    which it watches itself.
    """
    free_mb = shutil.disk_usage(state).free >> 20
    if free_mb < DISK_FREE_MIN_MB:
        return f"{free_mb} MB free on {state}; at least {DISK_FREE_MIN_MB} are needed"
    stat = os.statvfs(state)
    if stat.f_files and stat.f_favail < INODES_FREE_MIN:  # f_files is 0 where inodes are not counted (btrfs)
        return f"{stat.f_favail} inodes free on {state}; at least {INODES_FREE_MIN} are needed"
    return None
