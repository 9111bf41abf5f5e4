"""Files that a tool derives from others, by their names: caches of interpreters, test runners and compilers.

Rule: what runs must be what a person reads. A cache is never handed out, since a tool that finds it may take
it for the source.
"""

from collections.abc import Collection
from functools import lru_cache

PATHS_REMEMBERED = 1 << 17
DIRECTORIES = frozenset(
    {
        "__pycache__",
        ".eggs",
        ".gradle",
        ".hypothesis",
        ".mypy_cache",
        ".next",
        ".nox",
        ".nuxt",
        ".nyc_output",
        ".parcel-cache",
        ".pytest_cache",
        ".ruff_cache",
        ".tox",
        ".turbo",
        "CMakeFiles",
    }
)
FILES = frozenset({".coverage", ".eslintcache", ".ninja_deps", ".ninja_log", "CMakeCache.txt"})
ENDINGS = (".pyc", ".pyo", ".tsbuildinfo")
INSTALLED, HIDDEN = "node_modules", "."  # node_modules/.cache, .vite and whatever else tools keep there
KEPT_IN_INSTALLED = frozenset({".bin"})
# A plain word, and a cache only beside the file of the tool that fills it.
TARGET, TARGET_OF = "target", ("Cargo.toml", "pom.xml", "build.sbt")


def is_cache(path: str, all_paths: Collection[str]) -> bool:
    """Return True if a path is a cache in a tree that has `all_paths`."""
    return _is_cache(path) or any(beside in all_paths for beside in _targets(path))


@lru_cache(PATHS_REMEMBERED)
def _is_cache(path: str) -> bool:
    *above, name = path.split("/")
    return (
        name in FILES
        or name.endswith(ENDINGS)
        or not DIRECTORIES.isdisjoint(above)
        or any(_is_kept_by_tool(parent, child) for parent, child in zip(above, above[1:], strict=False))
    )


def _is_kept_by_tool(parent: str, child: str) -> bool:
    return parent == INSTALLED and child.startswith(HIDDEN) and child not in KEPT_IN_INSTALLED


@lru_cache(PATHS_REMEMBERED)
def _targets(path: str) -> tuple[str, ...]:
    """Return the files of which one makes a directory `target` above the path a cache."""
    if TARGET not in path:
        return ()
    segments = path.split("/")
    return tuple(
        "/".join([*segments[:at], tool])
        for at, segment in enumerate(segments[:-1])
        if segment == TARGET
        for tool in TARGET_OF
    )
