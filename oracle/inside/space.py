"""Says which places of a box are full, so that whoever reads "No space left on device" knows where.

Rule: it runs inside the box, put before the scripts that use it; standard library only.
"""

import os

LEFT_BYTES = 64 << 10  # a place with less than this is full: what was to be written was more


def full(places: "list[str]") -> "list[str]":
    """Return those of the places that are full, of bytes or of files."""
    return [place for place in places if is_full(place)]


def is_full(place: str) -> bool:
    try:
        seen = os.statvfs(place)
    except OSError:
        return False
    if not seen.f_blocks:  # no file system that holds data, such as that of message queues
        return False
    return seen.f_frsize * seen.f_bavail < LEFT_BYTES or (seen.f_files > 0 and seen.f_favail == 0)
