"""Which names a branch may have: those that `git check-ref-format --branch` accepts.

Rule: a name is a matter of git's, and narrowed only by what a file system can hold.
"""

import re

# What no ref may have: its characters, and its places for a dot, a slash and `@{`.
NO_BRANCH = re.compile(
    r"[\x00-\x20\x7f~^:?*\[\\\ud800-\udfff]|\.\.|@\{|//|^/|/$|^\.|/\.|\.$|\.lock(?:/|\Z)|^-"
)
SEGMENT_BYTES_MAX = 250  # a file's name of 255, of which git takes 5 for .lock
BRANCH_BYTES_MAX = 1_000


def is_branch(name: str) -> bool:
    """Return True if git can have a branch of this name."""
    if name in ("", "HEAD") or NO_BRANCH.search(name):
        return False
    is_short = all(len(segment.encode()) <= SEGMENT_BYTES_MAX for segment in name.split("/"))
    return is_short and len(name.encode()) <= BRANCH_BYTES_MAX
