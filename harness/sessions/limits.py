"""Owns when a session is ended from outside. Rule: pure; the first limit that is passed is the reason, and
each says what it measured.
"""

from dataclasses import dataclass
from enum import StrEnum


class Cut(StrEnum):
    """Why a session is ended by the harness."""

    STOP = "stop requested"
    TIME = "session time over"
    DISK = "disk limit reached"
    BUDGET = "budget used up"
    NO_TOOLS = "tools never listed"
    QUIET = "nothing heard"


@dataclass(frozen=True)
class SessionLimits:
    """Seconds. tools_s: within which the command has to have listed our tools once it runs; None if it need
    not.
    """

    session_s: float
    idle_s: float
    tools_s: float | None


@dataclass(frozen=True)
class Life:
    """A running session. runs_s: since its command began, None before; over: what the server says of a budget
    that is used up.
    """

    age_s: float
    runs_s: float | None
    quiet_s: float  # without output, tool call or model request
    tools_listed: bool
    over: str | None = None


def passed(limits: SessionLimits, life: Life) -> tuple[Cut, str] | None:
    """The limit that ends the session now, and the sentence for people."""
    if life.age_s >= limits.session_s:
        return Cut.TIME, str(Cut.TIME)
    if life.over is not None:
        return Cut.BUDGET, life.over
    if life.runs_s is None:
        return None
    if limits.tools_s is not None and not life.tools_listed and life.runs_s >= limits.tools_s:
        return Cut.NO_TOOLS, no_tools(f" within {limits.tools_s:g} s")
    if min(life.quiet_s, life.runs_s) >= limits.idle_s:
        return Cut.QUIET, f"no output, tool call or model request for {limits.idle_s / 60:.3g} minutes"
    return None


def no_tools(within: str = "") -> str:
    return f"it never listed our tools{within}: is its MCP configuration right?"
