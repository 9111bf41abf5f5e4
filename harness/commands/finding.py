"""Owns what a look at something says."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. `fix` says what to do when it is not ok."""

    name: str
    ok: bool
    detail: str
    fix: str = ""
