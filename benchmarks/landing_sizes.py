"""Owns how much a server keeps: its repository, database, log and memory. Rule: read from outside, while it
serves.
"""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.landing_site import Site
from benchmarks.server_memory import resident_mb

MB = 1024 * 1024


@dataclass(frozen=True)
class Sizes:
    """By what it is called in a table: a count, or megabytes."""

    loose_objects: int
    packs: int
    loose_refs: int
    packed_refs: int
    repository_mb: float
    database_mb: float
    log_mb: float
    server_mb: float


def of(site: Site) -> Sizes:
    state, repo = site.served.state.root, site.landed.path
    counted = subprocess.run(
        ["git", f"--git-dir={repo}", "count-objects", "-v"], capture_output=True, text=True, check=True
    ).stdout
    found = {
        name: int(value)
        for name, _, value in (line.partition(": ") for line in counted.splitlines())
        if value.isdigit()
    }
    packed = repo / "packed-refs"
    return Sizes(
        loose_objects=found["count"],
        packs=found["packs"],
        loose_refs=sum(path.is_file() for path in (repo / "refs").rglob("*")),
        packed_refs=(
            sum(" refs/" in line for line in packed.read_text().splitlines()) if packed.exists() else 0
        ),
        repository_mb=_mb(repo),
        database_mb=sum(_mb(file) for file in state.glob("state.db*")),
        log_mb=_mb(state / "logs") + _mb(state / "audit"),
        server_mb=resident_mb(site.served.server.pid),
    )


def _mb(path: Path) -> float:
    """Of a file, or of all files below a directory; one that goes away meanwhile counts for nothing."""
    total = 0
    for file in [path, *path.rglob("*")]:
        try:
            total += file.stat().st_size if file.is_file() else 0
        except FileNotFoundError:
            continue
    return total / MB
