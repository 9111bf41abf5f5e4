"""Owns which kinds of agents there are. Rule: one adapter per kind, each in a file of its own; a new kind is one line here."""

from harness.agents.base import Adapter
from harness.agents.command import Command
from harness.agents.scripted import Scripted

ADAPTERS: dict[str, Adapter] = {"scripted": Scripted(), "command": Command()}


def adapter(kind: str) -> Adapter:
    """Raises KeyError for a kind that cannot be started yet; preflight asks `kind in ADAPTERS` first."""
    return ADAPTERS[kind]
