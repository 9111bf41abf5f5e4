"""Owns how a line of a box's output becomes an event. Rule: pure; whatever a command prints, no line of it
raises.
"""

import json
from collections.abc import Callable

from harness.agents.base import AgentEvent, Mark

ENTRY = '{"harness":'
STDERR = "! "  # how a log marks what came on stderr

Parse = Callable[[str], AgentEvent | None]


def entry(line: str) -> dict | None:
    """What the sandbox itself says, if it is the one that speaks."""
    if not line.startswith(ENTRY):
        return None
    try:
        return json.loads(line)
    except ValueError:
        return None


def event(line: str, parse: Parse) -> AgentEvent | None:
    """Of one line on stdout. An adapter that meets what it was not made for has heard plain text."""
    said = entry(line)
    if said is not None:
        return AgentEvent(
            Mark.SAID, f"sandbox: {said['harness']}" + (f": {said['detail']}" if said.get("detail") else "")
        )
    try:
        return parse(line)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        return AgentEvent(Mark.SAID, line)


def readable(logged: str, parse: Parse) -> str | None:
    """A line of a log as a person reads it; None for one that tells nothing."""
    if logged.startswith(STDERR):
        return logged
    heard = event(logged, parse)
    if heard is None:
        return None
    return heard.text if heard.mark is Mark.SAID else f"[{heard.mark}] {heard.text}"
