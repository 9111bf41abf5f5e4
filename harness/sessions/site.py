"""Owns what the sessions of a run have in common: the server they belong to, the place they work in, the
limits they have.
"""

from dataclasses import dataclass
from pathlib import Path

from harness.agents.kinds import PROGRAMS
from harness.boxes.containers import Engine
from harness.client import SessionServer
from harness.sessions.limits import SessionLimits
from harness.sessions.outcome import WAITS_S
from harness.sessions.watching import DISK_EVERY_S, LOOK_EVERY_S
from mcp_server.config import AgentSpec
from mcp_server.config.spec import RunSettings

S_PER_MINUTE = 60.0


@dataclass(frozen=True)
class Site:
    """Where and with what sessions run; the same for all agents of a run."""

    engine: Engine
    server: SessionServer
    run: str  # the label's value
    state: Path
    root: Path  # the directory of harness.toml
    repos: tuple[tuple[str, str], ...]
    settings: RunSettings = RunSettings("run")
    runtime: str | None = None
    look_every_s: float = LOOK_EVERY_S
    disk_every_s: float = DISK_EVERY_S
    waits_s: tuple[float, ...] = WAITS_S


def limits_of(settings: RunSettings, spec: AgentSpec) -> SessionLimits:
    """The table's own limits, or else the run's. Only a vendor's CLI has to list our tools, unless the table
    says otherwise: another command may use them when, and if, it likes."""
    session = settings.session_minutes if spec.session_minutes is None else spec.session_minutes
    idle = settings.idle_minutes if spec.idle_minutes is None else spec.idle_minutes
    must_list_tools = spec.tools_seconds is None and spec.kind in PROGRAMS
    tools_s = settings.tools_seconds if must_list_tools else spec.tools_seconds
    return SessionLimits(session * S_PER_MINUTE, idle * S_PER_MINUTE, tools_s)
