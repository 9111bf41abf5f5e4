"""Owns what a run is asked to be: the configuration with the command line's wishes applied.

Rule: every problem is told at once, each as `file:line: message (suggestion)`, and nothing is started before.
"""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.agents.kinds import NEEDS, PROGRAMS
from harness.failure import Exit, VerbFailed
from harness.run.state import StateDirectory
from mcp_server import config as configs
from mcp_server.config import AgentSpec, Config, environments

COUNT_MAX = 64
S_PER_MINUTE = 60.0


@dataclass(frozen=True)
class Remote:
    """A server that somebody else keeps up."""

    url: str
    token: str


@dataclass(frozen=True)
class RunPlan:
    config_file: Path
    config: Config
    state: StateDirectory
    port: int
    remote: Remote | None = None
    stay: bool = False  # go on when no task is left: for a host that stays up for a team

    @property
    def max_s(self) -> float | None:
        minutes = self.config.run.max_minutes
        return None if minutes is None else minutes * S_PER_MINUTE

    def agents(self) -> list[tuple[str, AgentSpec]]:
        """Return every agent of the run by name: claude-1, claude-2, ..."""
        return [(name, spec) for spec in self.config.agents.values() for name in spec.agents()]


class BadConfig(VerbFailed):
    """The configuration has problems; `lines` are all of them."""

    def __init__(self, lines: Sequence[str]) -> None:
        plural = "problem" if len(lines) == 1 else "problems"
        super().__init__("\n".join([*lines, f"{len(lines)} {plural}; nothing was started"]), Exit.USAGE)
        self.lines = list(lines)


def load_config(file: Path) -> Config:
    """Return the configuration, or raise BadConfig with every problem."""
    if not file.is_file():
        raise VerbFailed(f"{file} does not exist; `harness init` writes one", Exit.USAGE)
    loaded = configs.load(file, NEEDS)
    if isinstance(loaded, Config):
        return loaded
    raise BadConfig(list(map(str, loaded)))


def with_counts(config: Config, wishes: Iterable[str]) -> Config:
    """Return the configuration with each `kind=N` wish applied; tables that no wish names keep their
    counts.
    """
    agents = dict(config.agents)
    for wish in wishes:
        name, count = _parsed(wish)
        named = [name] if name in agents else [table for table, spec in agents.items() if spec.kind == name]
        if not named and name in PROGRAMS:
            usual = environments.default(config.environments)
            environment = usual.name if usual else None
            agents[name] = AgentSpec(name=name, kind=name, count=count, environment=environment)
        elif not named:
            raise VerbFailed(_unknown(name, agents), Exit.USAGE)
        elif len(named) > 1:
            tables = ", ".join(named)
            message = f"--agent {wish}: several tables have that kind: {tables}; name one of them"
            raise VerbFailed(message, Exit.USAGE)
        else:
            agents[named[0]] = replace(agents[named[0]], count=count)
    return replace(config, agents=agents)


def _parsed(wish: str) -> tuple[str, int]:
    name, equals, count = wish.partition("=")
    if not (name and equals and count.isdigit() and int(count) <= COUNT_MAX):
        raise VerbFailed(
            f"--agent {wish}: write kind=N with N from 0 to {COUNT_MAX}, for example --agent claude=2",
            Exit.USAGE,
        )
    return name, int(count)


def _unknown(name: str, agents: dict[str, AgentSpec]) -> str:
    near = difflib.get_close_matches(name, [*agents, *PROGRAMS], 1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(agents) or 'none'}"
    return f"--agent {name}: no such agent in the configuration; {hint}"
