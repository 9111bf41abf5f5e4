"""Owns how a line of a box's output becomes an event. Rule: pure; whatever a command prints, no line of it
raises.
"""

import json
from collections.abc import Callable
from typing import Any

from harness.agents.base import AgentEvent, Mark

ENTRY = '{"harness":'
STDERR = "! "  # how a log marks what came on stderr

Parse = Callable[[str], AgentEvent | None]


def entry(line: str) -> dict[str, Any] | None:
    """Return what the sandbox itself says, or None if it is not the one that speaks."""
    if not line.startswith(ENTRY):
        return None
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def event(line: str, parse: Parse) -> AgentEvent | None:
    """Return the event of one line on stdout; what an adapter was not made for is plain text."""
    own = entry(line)
    if own is not None:
        detail = f": {own['detail']}" if own.get("detail") else ""
        return AgentEvent(Mark.SAID, f"sandbox: {own['harness']}{detail}")
    try:
        return parse(line)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        return AgentEvent(Mark.SAID, line)


def readable(logged: str, parse: Parse) -> str | None:
    """Return a line of a log as a person reads it; None for one that tells nothing."""
    if logged.startswith(STDERR):
        return logged
    parsed = event(logged, parse)
    if parsed is None:
        return None
    return parsed.text if parsed.mark is Mark.SAID else f"[{parsed.mark}] {parsed.text}"
