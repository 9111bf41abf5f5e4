"""What the build of main makes: the paths that it adds to the tree, as the last run of each suite there told.

Rule: only a run of main's own tree is believed. What a change builds says nothing of what others may commit.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from mcp_server.store import Tx, meta
from mcp_server.world import World


def of_main(world: World, suites: Iterable[str]) -> frozenset[str]:
    """Return what the builds of these suites make on main; a directory ends with "/"."""
    with world.store.read() as tx:
        return frozenset(path for suite in suites for path in json.loads(meta.get(tx, _name(suite)) or "[]"))


def note(tx: Tx, suite: str, verdict: Mapping[str, Any]) -> None:
    """Write what the build of a run on main has made. A run that built nothing leaves what is known."""
    build = verdict.get("build")
    if build is not None and "made" in build:
        meta.put(tx, _name(suite), json.dumps(list(build["made"])))


def makes(built: Collection[str], path: str) -> bool:
    """Return True if the path, or a directory above it, is among what a build makes."""
    above = (path[: end + 1] for end, sign in enumerate(path) if sign == "/")
    return path in built or any(directory in built for directory in above)


def _name(suite: str) -> str:
    return f"built {suite}"
