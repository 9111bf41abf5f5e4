"""Owns path globs over repository paths: `*` and `?` stay within one name, `**` spans any number of
directories.
"""

import re
from functools import lru_cache

WILD = "*?["


def matches(glob: str, path: str) -> bool:
    """Return True if the whole path matches the glob."""
    return _pattern(glob).fullmatch(path) is not None


def matches_any(globs: tuple[str, ...], path: str) -> bool:
    """Return True if the whole path matches one of the globs."""
    return any(matches(glob, path) for glob in globs)


def fixed_prefix(glob: str) -> str:
    """Return the directories before the first wildcard, with their slash: "oracle/cases/**/*.sql" ->
    "oracle/cases/".
    """
    kept = []
    for part in glob.split("/")[:-1]:
        if any(sign in part for sign in WILD):
            break
        kept.append(part)
    return "".join(f"{part}/" for part in kept)


@lru_cache(maxsize=1024)
def _pattern(glob: str) -> re.Pattern[str]:
    text, at = "", 0
    while at < len(glob):
        if glob.startswith("**/", at) and (at == 0 or glob[at - 1] == "/"):
            text, at = text + "(?:[^/]+/)*", at + 3
        elif glob.startswith("**", at):
            text, at = text + ".*", at + 2
        elif glob[at] == "*":
            text, at = text + "[^/]*", at + 1
        elif glob[at] == "?":
            text, at = text + "[^/]", at + 1
        elif glob[at] == "[" and (end := glob.find("]", at + 2)) > 0:
            inner = glob[at + 1 : end].replace("\\", "\\\\")
            inner = "^" + inner[1:] if inner.startswith("!") else inner.replace("^", "\\^")
            text, at = text + f"(?!/)[{inner}]", end + 1
        else:
            text, at = text + re.escape(glob[at]), at + 1
    return re.compile(text, re.DOTALL)
