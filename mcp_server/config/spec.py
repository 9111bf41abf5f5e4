"""What a configuration says, once it is known to be right.

Rule: a value of these types has passed every check; the fields' names, types and defaults are the format of
the file.
"""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from mcp_server.core.role import Role
from mcp_server.core.tree_size import GROWTH_MIB_MAX, MIB, TREE_MIB_MAX, SizeLimits
from oracle.cases.spec import Suite

RESULTS = ("change", "report")  # what a task is done by: a landing, or a text


@dataclass(frozen=True)
class ConfigProblem:
    """One thing to mend; `str` is the line that a person reads."""

    file: str
    line: int
    message: str
    suggestion: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}" + (
            f" ({self.suggestion})" if self.suggestion else ""
        )


@dataclass(frozen=True)
class RunSettings:
    """`prompt` is the text that all agents are told, or its file; the limits hold for agents without ones of
    their own.
    """

    name: str
    lease_minutes: float = 15.0
    max_minutes: float | None = None
    session_minutes: float = 60.0
    idle_minutes: float = 10.0  # without output, tool call or model request
    tools_seconds: float = 60.0  # within which a vendor's CLI has to have listed our tools
    oracle_slots: int = 2
    # Of the boxes in which suites run. What lies in them counts as memory, too.
    oracle_memory_mb: int = 2048
    oracle_work_mb: int = 1024  # the tree and what its build makes
    oracle_scratch_mb: int = 512  # what a case writes; for a test command, a copy of all that
    oracle_tmp_mb: int = 64
    tip_check: bool = True
    keep_days: float = 30.0  # refs of finished work
    port: int = 8765
    tasks: str = "tasks/*.md"
    prompt: str | None = None


@dataclass(frozen=True)
class Repo:
    """`path` is relative to the directory of harness.toml. `unprotected` are globs of files that steer a run,
    and that agents may change all the same. No landing makes main larger than `tree_mib_max`, nor larger by
    more than `growth_mib_max`.
    """

    name: str
    path: str = "."
    branch: str = "main"
    unprotected: tuple[str, ...] = ()
    tree_mib_max: float = TREE_MIB_MAX
    growth_mib_max: float = GROWTH_MIB_MAX

    @property
    def size_limits(self) -> SizeLimits:
        return SizeLimits(round(self.tree_mib_max * MIB), round(self.growth_mib_max * MIB))


@dataclass(frozen=True)
class Environment:
    """What a repository's tests need: one image below its suites' boxes and its agents' sandboxes.

    `image`, `dockerfile` or `devcontainer` is what it starts from, ours if none is given; the latter two are
    files of the repository. `packages` are Debian's. `setup` are shell commands, run once, as root and with a
    network, in a directory that holds those files of main that the globs in `locks` name, and nothing else.
    `env` are variables of all that runs on it.
    """

    name: str
    repo: str
    image: str | None = None
    dockerfile: str | None = None
    devcontainer: str | None = None
    packages: tuple[str, ...] = ()
    locks: tuple[str, ...] = ()
    setup: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict, hash=False)

    def files(self) -> tuple[str, ...]:
        """Return globs of all files of the repository that the image is made of."""
        return (*self.locks, *filter(None, (self.dockerfile, self.devcontainer)))


@dataclass(frozen=True)
class Module:
    """`cases` are the oracle cases that show how the module does: globs, each after "SUITE:" where one suite
    is meant.
    """

    name: str
    repo: str
    paths: tuple[str, ...]
    cases: tuple[str, ...] = ()


@dataclass(frozen=True)
class Budget:
    """What may be used up; None is no limit. `tokens` are read and written ones, `minutes` wall time."""

    tokens: int | None = None
    cost_usd: float | None = None
    requests: int | None = None
    minutes: float | None = None


@dataclass(frozen=True)
class AccountSpec:
    """A key at a provider. Without `base_url` the vendor's own; without `models` every model."""

    name: str
    api: str
    base_url: str | None = None
    key_env: str | None = None
    key_file: str | None = None
    models: tuple[str, ...] = ()


@dataclass(frozen=True)
class GatewaySettings:
    """How models are reached. `budget` is the run's; the other budgets hold for each of their kind without
    one of its own.
    """

    patience_s: float = 240.0  # codex and qwen give a stream up after 240 to 300 s without an event
    prices: bool = True
    otlp_endpoint: str | None = None
    accounts: dict[str, AccountSpec] = field(default_factory=dict)
    budget: Budget = Budget()
    agent_budget: Budget = Budget()
    session_budget: Budget = Budget()
    task_budget: Budget = Budget()


@dataclass(frozen=True)
class Egress:
    """Where agents' tools may connect to, as HOST:PORT; off without `agents`, which are tables of agents or
    single ones.

    Of `allow`, those in `private` may be at private or loopback addresses; the others must be at public ones.
    """

    allow: tuple[str, ...] = ()
    private: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()


@dataclass(frozen=True)
class AgentSpec:
    """One table of agents; `playbook`, `materials` and `prompt`'s file are relative to harness.toml and may
    contain "{agent}".

    `prompt` is added to the harness's rules, or stands alone where `prompt_only` says so. `account` is the
    gateway's; a vendor's CLI has its vendor's without it.
    """

    name: str
    kind: str
    count: int = 1
    role: str = Role.WORKER
    model: str | None = None
    account: str | None = None
    image: str | None = None
    environment: str | None = None
    command: list[str] | str | None = None
    playbook: str | None = None
    materials: str | None = None
    prompt: str | None = None
    prompt_only: bool = False
    memory_mb: int = 2048
    cpus: float = 1.0
    pids: int = 256
    disk_mb: int = 2048
    session_minutes: float | None = None
    idle_minutes: float | None = None
    tools_seconds: float | None = None
    env: dict[str, str] = field(default_factory=dict)
    budget: Budget | None = None  # of each agent, over all its sessions
    session_budget: Budget | None = None

    def agents(self) -> tuple[str, ...]:
        """The names of the agents of this table: claude-1, claude-2, ..."""
        return tuple(f"{self.name}-{number}" for number in range(1, self.count + 1))


@dataclass(frozen=True)
class TaskSpec:
    """`repo` and `paths` are filled in from the module, and `suite` where only one suite is possible; a
    report has no paths.
    """

    id: str
    title: str
    module: str
    repo: str
    paths: tuple[str, ...]
    needs: tuple[str, ...]
    suite: str | None
    cases: tuple[str, ...]
    removes: tuple[str, ...]
    priority: int
    brief: str
    file: str
    line: int
    budget: Budget | None = None


@dataclass(frozen=True)
class Config:
    root: Path
    run: RunSettings
    repos: dict[str, Repo]
    modules: dict[str, Module]
    suites: dict[str, Suite]
    agents: dict[str, AgentSpec]
    tasks: list[TaskSpec]
    gateway: GatewaySettings = GatewaySettings()
    egress: Egress = Egress()
    environments: dict[str, Environment] = field(default_factory=dict)

    @cached_property
    def has_budgets(self) -> bool:
        """Whether anything is limited at all."""
        every: list[Budget | None] = [
            self.gateway.budget,
            self.gateway.agent_budget,
            self.gateway.session_budget,
            self.gateway.task_budget,
        ]
        every += [budget for spec in self.agents.values() for budget in (spec.budget, spec.session_budget)]
        every += [task.budget for task in self.tasks]
        return any(budget not in (None, Budget()) for budget in every)

    def spec_of(self, agent: str) -> AgentSpec | None:
        """The table of an agent by its name, however many of them the command line asked for; None for a
        client that connects.
        """
        table, dash, number = agent.rpartition("-")
        return self.agents.get(table) if dash and number.isdigit() else None
