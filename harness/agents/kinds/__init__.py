"""Owns which kinds of agents there are: every module in this room is one, and holds its record as KIND.

Rule: a kind is its module here and its folder below images/; no list of kinds stands anywhere.
"""

import importlib
import pkgutil
import sys
from collections.abc import Mapping
from types import ModuleType

from harness.agents.base import AgentKind
from harness.connect import clients


class HalfKind(Exception):
    """A module of this room is no whole kind; the message names what is missing."""


def collect(room: ModuleType) -> dict[str, AgentKind]:
    """Return the kinds of a package by name; raise HalfKind for a module without a record of its own name."""
    kinds = {}
    for found in pkgutil.iter_modules(room.__path__):
        try:
            module = importlib.import_module(f"{room.__name__}.{found.name}")
        except TypeError as incomplete:  # of a record that lacks a part; the message names the part
            raise HalfKind(f"{found.name}.py: {incomplete}") from incomplete
        kind = getattr(module, "KIND", None)
        if not isinstance(kind, AgentKind):
            raise HalfKind(f"{found.name}.py has no KIND = AgentKind(...)")
        if kind.name != found.name:
            raise HalfKind(f"{found.name}.py: its KIND has the name {kind.name!r}")
        kinds[kind.name] = kind
    return kinds


KINDS: Mapping[str, AgentKind] = collect(sys.modules[__name__])

# What vendors' programs are: those kinds need no table, since their name says everything.
PROGRAMS: Mapping[str, AgentKind] = {name: kind for name, kind in KINDS.items() if kind.program}

# What a configuration may name, each kind with the key that its table needs.
NEEDS: Mapping[str, str | None] = {name: kind.needs for name, kind in KINDS.items()}

# Every client that `harness connect` knows: the kinds' programs, and what no sandbox starts.
CLIENTS: Mapping[str, clients.Client] = {
    **{name: kind.client for name, kind in KINDS.items() if kind.client},
    **clients.OTHERS,
}
