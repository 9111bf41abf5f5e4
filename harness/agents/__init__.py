"""Owns which kinds of agents there are. Rule: one adapter per kind, each in a file of its own; a new kind is
one line here.
"""

from harness.agents.base import Adapter
from harness.agents.claude import Claude
from harness.agents.codex import Codex
from harness.agents.command import CommandAdapter
from harness.agents.gemini import Gemini
from harness.agents.opencode import Opencode
from harness.agents.qwen import Qwen
from harness.agents.scripted import Scripted

ADAPTERS: dict[str, Adapter] = {
    "claude": Claude(),
    "codex": Codex(),
    "command": CommandAdapter(),
    "gemini": Gemini(),
    "opencode": Opencode(),
    "qwen": Qwen(),
    "scripted": Scripted(),
}


def adapter(kind: str) -> Adapter:
    """Raises KeyError for a kind that cannot be started yet; preflight asks `kind in ADAPTERS` first."""
    return ADAPTERS[kind]
