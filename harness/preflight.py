"""Owns what is checked before an agent's first session, and the project's files a session takes along. Rule: a finding is a value, told in one line."""

import os
import shutil
import threading
from collections.abc import Iterable
from pathlib import Path

from harness import sandbox
from harness.agents import ADAPTERS
from harness.agents.base import Seat, Wanted
from harness.containers import Engine

DISK_FREE_MIN_MB = 1024
INODES_FREE_MIN = 20_000  # a clone of a large repository and its build
FILES_BYTES_MAX = 64 << 20  # they travel in session.json and lie in the sandbox's memory


class Preflight:
    """Checks seats; remembers which images have which programs, so that many agents cost one look."""

    def __init__(self, engine: Engine, *, run: str, state: Path, root: Path, runtime: str | None = None) -> None:
        self._engine = engine
        self._run, self._state, self._root, self._runtime = run, state, root, runtime
        self._programs: dict[tuple[str, str], bool] = {}
        self._lock = threading.Lock()

    def problem(self, seat: Seat, image: str) -> str | None:
        """Why the seat cannot be taken, or None. Raises BoxBroke if the engine does not answer."""
        if seat.spec.kind not in ADAPTERS:
            return f"agents of kind {seat.spec.kind} cannot be started yet; there are: {', '.join(sorted(ADAPTERS))}"
        adapter = ADAPTERS[seat.spec.kind]
        return (
            host_problem(self._state)
            or missing_files(self._root, adapter.wants(seat))
            or self._image_problem(image, adapter.probe(seat.spec))
        )

    def _image_problem(self, image: str, program: str) -> str | None:
        image_id = self._engine.image_id(image)
        if image_id is None:
            return f"the image {image} does not exist; `harness images` makes it"
        with self._lock:
            if (image_id, program) not in self._programs:
                self._programs[image_id, program] = sandbox.has_program(self._engine, self._run, image, program, runtime=self._runtime)
        return None if self._programs[image_id, program] else f"{program}: not found in the image {image}"


def host_problem(state: Path) -> str | None:
    """Disk and inodes where the state lies; volumes lie beside the engine's images, which it watches itself."""
    free_mb = shutil.disk_usage(state).free >> 20
    if free_mb < DISK_FREE_MIN_MB:
        return f"{free_mb} MB free on {state}; at least {DISK_FREE_MIN_MB} are needed"
    stat = os.statvfs(state)
    if stat.f_files and stat.f_favail < INODES_FREE_MIN:  # f_files is 0 where inodes are not counted (btrfs)
        return f"{stat.f_favail} inodes free on {state}; at least {INODES_FREE_MIN} are needed"
    return None


def missing_files(root: Path, wants: Iterable[Wanted]) -> str | None:
    return next((f"{root / want.source} does not exist" for want in wants if want.required and not (root / want.source).exists()), None)


class BadFiles(Exception):
    """The project's files for a session cannot be taken along; the message says which and why."""


def gather(root: Path, wants: Iterable[Wanted]) -> dict[str, str]:
    """The texts of all wanted files, by their names below the home directory."""
    found: dict[str, str] = {}
    for want in wants:
        source = root / want.source
        files = sorted(path for path in source.rglob("*") if path.is_file()) if source.is_dir() else [source] if source.is_file() else []
        if want.required and not source.exists():
            raise BadFiles(f"{source} does not exist")
        for path in files:
            name = want.target if path == source else f"{want.target}/{path.relative_to(source).as_posix()}"
            found[name] = _text(path)
    if sum(map(len, found.values())) > FILES_BYTES_MAX:
        raise BadFiles(f"more than {FILES_BYTES_MAX >> 20} MB of files for one session")
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise BadFiles(f"{path} is not UTF-8 text") from error
