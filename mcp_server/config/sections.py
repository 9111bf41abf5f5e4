"""harness.toml, section by section: each table read, defaulted and checked against the ones it names.

Rule: a table that is wrong in itself still counts as declared, so that no second problem follows from the
first.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mcp_server.config import environments, prompts, suites
from mcp_server.config.egress import read_egress
from mcp_server.config.gateway import APIS, read_budget, read_gateway
from mcp_server.config.positions import Keys
from mcp_server.config.reading import Source, did_you_mean, dotted, read, tables
from mcp_server.config.spec import (
    AgentSpec,
    Egress,
    Environment,
    GatewaySettings,
    Module,
    Repo,
    RunSettings,
)
from mcp_server.core import paths
from mcp_server.core.branches import is_branch
from mcp_server.core.role import Role
from mcp_server.core.tree_size import TREE_MIB_MOST
from oracle.cases.spec import Suite
from oracle.suites import kinds
from oracle.suites.base import NO_CANARY, SuiteKind

SECTIONS = ("run", "repos", "environments", "modules", "oracle", "agents")
SINGLE = ("gateway", "egress")  # sections that are one table each
# Names become directories, refs, host names and URL parts.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")
ROLES = tuple(map(str, Role))
PORT_MAX = 65_535
AGENTS_MAX = 1_000  # of one table; a slip of the finger should not start a million containers
ABOVE_ZERO = (
    "lease_minutes",
    "max_minutes",
    "session_minutes",
    "idle_minutes",
    "tools_seconds",
    "oracle_slots",
    "oracle_memory_mb",
    "oracle_work_mb",
    "oracle_scratch_mb",
    "oracle_tmp_mb",
    "keep_days",
    "memory_mb",
    "cpus",
    "pids",
    "disk_mb",
)
NEEDED_SECTIONS = {
    "repos": ("repository", 'add [repos.NAME] with path = "."'),
    "modules": ("module", 'add [modules.NAME] with paths = ["src/**"]: agents may write only inside modules'),
    "oracle": (
        "oracle",
        'add [oracle.NAME] with kind = "command" and command = "...": nothing lands without a verdict',
    ),
}
# The kinds of agents that there are, each with the key that its table needs.
AgentKinds = Mapping[str, str | None]


@dataclass
class Sections:
    """What was read; `declared` holds every name in the file, be its table right or wrong."""

    run: RunSettings | None = None
    repos: dict[str, Repo] = field(default_factory=dict)
    environments: dict[str, Environment] = field(default_factory=dict)
    modules: dict[str, Module] = field(default_factory=dict)
    suites: dict[str, Suite] = field(default_factory=dict)
    agents: dict[str, AgentSpec] = field(default_factory=dict)
    gateway: GatewaySettings = field(default_factory=GatewaySettings)
    egress: Egress = field(default_factory=Egress)
    declared: dict[str, tuple[str, ...]] = field(default_factory=dict)


def read_sections(source: Source, document: Mapping[str, Any], kinds: AgentKinds | None = None) -> Sections:
    """Return all sections of a file; what is wrong with them becomes problems of `source`.

    `kinds`: the kinds of agents that can be started; None takes any name.
    """
    for key in document:
        if key not in (*SECTIONS, *SINGLE):
            source.problem((key,), f"unknown section {key}", did_you_mean(key, (*SECTIONS, *SINGLE)))
    sections = Sections(run=_run(source, document), gateway=read_gateway(source, document))
    named = {section: tables(source, document, section) for section in SECTIONS[1:]}
    _check_needed(source, document, named)
    sections.declared = {section: tuple(named[section]) for section in named}
    repos = sections.declared["repos"]
    for name, table in named["repos"].items():
        _keep(sections.repos, name, _repo(source, name, table))
    for name, table in named["environments"].items():
        _check_name(source, ("environments", name), name)
        _keep(sections.environments, name, _environment(source, name, table, repos))
    for name, table in named["modules"].items():
        _keep(sections.modules, name, _module(source, name, table, repos))
    for name, table in named["oracle"].items():
        _keep(sections.suites, name, _suite(source, name, table, repos))
    for name, table in named["agents"].items():
        _check_name(source, ("agents", name), name)
        _keep(sections.agents, name, _agent(source, name, table, kinds))
        _check_account(source, document, name, sections.agents.get(name))
    sections.egress = read_egress(source, document, sections.declared["agents"], sections.agents)
    _check_module_cases(source, sections)
    sections.suites = environments.of_suites(source, sections.suites, sections.environments)
    sections.agents = environments.of_agents(source, sections.agents, sections.environments)
    sections.suites = {name: _released(suite, sections.repos) for name, suite in sections.suites.items()}
    return sections


def _check_needed(
    source: Source, document: Mapping[str, Any], named: Mapping[str, Mapping[str, Mapping[str, Any]]]
) -> None:
    """Note a problem for each section that a run needs and the file lacks, and for each unfit name."""
    for section, (what, suggestion) in NEEDED_SECTIONS.items():
        if not named[section] and not document.get(section):
            source.problem((), f"there is no {what}", suggestion)
        for name in named[section]:
            _check_name(source, (section, name), name)


def _check_account(source: Source, document: Mapping[str, Any], name: str, agent: AgentSpec | None) -> None:
    if agent is not None and agent.account is not None:
        keys = ("agents", name, "account")
        check_known(source, keys, agent.account, _accounts(document), "account of the gateway")


def _check_module_cases(source: Source, sections: Sections) -> None:
    for name, module in sections.modules.items():
        suites.check_entries(
            source,
            ("modules", name, "cases"),
            module.cases,
            sections.declared["oracle"],
            sections.suites,
            module.repo,
        )


def _accounts(document: Mapping[str, Any]) -> list[str]:
    """Return the names of the accounts that an agent may have.

    The vendors' exist by themselves where their variables are set, which is no matter of this file.
    """
    gateway = document.get("gateway")
    declared = gateway.get("accounts") if isinstance(gateway, Mapping) else None
    return sorted({*APIS, *(declared if isinstance(declared, Mapping) else ())})


def _keep(into: dict[str, Any], name: str, value: Any) -> None:
    if value is not None:
        into[name] = value


def _check_name(source: Source, keys: Keys, name: str) -> None:
    if not NAME.fullmatch(name):
        rule = "letters, digits, '_' and '-', at most 40, a letter or digit first"
        source.problem(keys, f"{name!r} cannot be a name", f"use {rule}")


def _run(source: Source, document: Mapping[str, Any]) -> RunSettings | None:
    table = document.get("run", {})
    if not isinstance(table, Mapping):
        source.problem(("run",), "run must be a table", "write [run] on a line of its own")
        return None
    run = read(RunSettings, source, ("run",), table)
    if run is None:
        return None
    _check_above_zero(source, ("run",), run)
    needed_mb = run.oracle_work_mb + run.oracle_scratch_mb + run.oracle_tmp_mb
    if run.oracle_memory_mb < needed_mb:
        source.problem(
            ("run", "oracle_memory_mb"),
            f"run.oracle_memory_mb is {run.oracle_memory_mb}, and a box's places may fill {needed_mb} MB",
            f"what lies in them counts as memory: use {needed_mb} plus what the tests need",
        )
    if not run.name.strip():
        source.problem(("run", "name"), "run.name is empty", "give the run a name")
    if not 0 <= run.port <= PORT_MAX:
        source.problem(
            ("run", "port"), f"run.port is {run.port}", f"use 1 to {PORT_MAX}, or 0 for any free port"
        )
    check_globs(source, ("run", "tasks"), [run.tasks])
    _check_inside(source, ("run", "prompt"), prompts.file_of(run.prompt, ""))
    return run


def _repo(source: Source, name: str, table: Mapping[str, Any]) -> Repo | None:
    keys = ("repos", name)
    repo = read(Repo, source, keys, table, name=name)
    if repo and not repo.path:
        source.problem(
            (*keys, "path"), f"{dotted(keys)}.path is empty", 'path = "." is the directory of this file'
        )
    if repo:
        check_globs(source, (*keys, "unprotected"), repo.unprotected)
        _check_sizes(source, keys, repo)
    if repo and not is_branch(repo.branch):
        source.problem((*keys, "branch"), f"{repo.branch!r} cannot be a branch", 'such as branch = "main"')
    return repo


def _environment(
    source: Source, name: str, table: Mapping[str, Any], repos: tuple[str, ...]
) -> Environment | None:
    keys = ("environments", name)
    environment = read(Environment, source, keys, _with_only_repo(table, repos), name=name)
    if environment is None:
        return None
    check_known(source, (*keys, "repo"), environment.repo, repos, "repository")
    check_globs(source, (*keys, "locks"), environment.locks)
    environments.check(source, keys, environment)
    return environment


def _check_sizes(source: Source, keys: Keys, repo: Repo) -> None:
    if not 0 < repo.tree_mib_max <= TREE_MIB_MOST:
        message = f"{dotted(keys)}.tree_mib_max is {repo.tree_mib_max:g}"
        suggestion = f"use up to {TREE_MIB_MOST}: a larger tree can be given to no box"
        source.problem((*keys, "tree_mib_max"), message, suggestion)
    if repo.growth_mib_max <= 0:
        message = f"{dotted(keys)}.growth_mib_max is {repo.growth_mib_max:g}"
        source.problem((*keys, "growth_mib_max"), message, "it must be above 0")


def _module(source: Source, name: str, table: Mapping[str, Any], repos: tuple[str, ...]) -> Module | None:
    keys = ("modules", name)
    module = read(Module, source, keys, _with_only_repo(table, repos), name=name)
    if module is None:
        return None
    check_known(source, (*keys, "repo"), module.repo, repos, "repository")
    if not module.paths:
        source.problem((*keys, "paths"), f"{dotted(keys)}.paths is empty", f'such as paths = ["{name}/**"]')
    check_globs(source, (*keys, "paths"), module.paths)
    return module


def _suite(source: Source, name: str, table: Mapping[str, Any], repos: tuple[str, ...]) -> Suite | None:
    keys = ("oracle", name)
    suite = read(Suite, source, keys, suites.with_dates(_with_only_repo(table, repos)), name=name)
    if suite is None:
        return None
    check_known(source, (*keys, "repo"), suite.repo, repos, "repository")
    for problem in kinds.problems(suite):
        place = next((key for key in table if re.search(rf"\b{re.escape(key)}\b", problem)), "")
        source.problem((*keys, place), f"{dotted(keys)}: {problem}")
    for key in ("cases", "protect", "reads", "reference_reads", "artifacts"):
        check_globs(source, (*keys, key), getattr(suite, key))
    suites.check(source, keys, suite)
    kind = kinds.find(suite)
    if kind is None:
        return suite
    _check_canary(source, keys, suite, kind)
    # Whoever may write the cases may write the verdict: they are protected unless the file says what is.
    # So are, whatever it says, the files that the reference and the comparator read.
    protect = suite.protect if "protect" in table else kind.default_protected(suite)
    return replace(suite, protect=(*protect, *suite.reference_reads))


def _released(suite: Suite, repos: Mapping[str, Repo]) -> Suite:
    """Return the suite without those of its globs that protect what steers, and that its repository releases:
    a run would otherwise have main's file in place of the one that lands.
    """
    repo, kind = repos.get(suite.repo), kinds.find(suite)
    if repo is None or kind is None or not repo.unprotected:
        return suite
    unprotected = [glob for glob in repo.unprotected if paths.validate(glob) is None]
    kept = [
        glob
        for glob in suite.protect
        if glob not in kind.steering or not paths.overlap_any([glob], unprotected)
    ]
    return replace(suite, protect=tuple(kept))


def _check_canary(source: Source, keys: Keys, suite: Suite, kind: SuiteKind) -> None:
    for problem in kind.canary_problems(suite):
        source.problem((*keys, "canary"), f"{dotted(keys)}: {problem}")
    usual_path = kind.project.missing_canary(suite) if kind.project else None
    if usual_path is None:
        return
    source.problem(
        (*keys, "results"),
        f"{dotted(keys)} has no canary: code under test shares a process with these tests, "
        "and could report what it likes",
        f'add canary = "{usual_path}", a test file that each run adds under a random name, '
        f'or canary = "{NO_CANARY}"',
    )


def _agent(source: Source, name: str, table: Mapping[str, Any], kinds: AgentKinds | None) -> AgentSpec | None:
    keys = ("agents", name)
    is_kind = kinds is None or name in kinds
    by_name = {"kind": name} if is_kind and "kind" not in table else {}
    budgets = {
        "budget": read_budget(source, (*keys, "budget"), table),
        "session_budget": read_budget(source, (*keys, "session_budget"), table),
    }
    plain = {key: value for key, value in table.items() if key not in budgets}
    agent = read(AgentSpec, source, keys, {**by_name, **plain}, name=name, **budgets)
    if agent is None:
        return None
    if kinds is not None:
        _check_kind(source, keys, agent, kinds)
    if not 0 <= agent.count <= AGENTS_MAX:
        source.problem((*keys, "count"), f"{dotted(keys)}.count is {agent.count}", f"use 0 to {AGENTS_MAX}")
    _check_above_zero(source, keys, agent)
    if agent.role not in ROLES:
        source.problem(
            (*keys, "role"), f"{dotted(keys)}.role is {agent.role!r}", did_you_mean(agent.role, ROLES)
        )
    prompts.check(source, keys, agent)
    for key in ("playbook", "materials"):
        _check_inside(source, (*keys, key), getattr(agent, key))
    _check_inside(source, (*keys, "prompt"), prompts.file_of(agent.prompt, ""))
    return agent


def _check_inside(source: Source, keys: Keys, path: str | None) -> None:
    """Note a problem for a path that leaves the project: agents would be given what lies there."""
    if path and (path.startswith("/") or ".." in path.split("/")):
        source.problem(
            keys,
            f"{dotted(keys)} is {path!r}, which leaves the directory of this file",
            "put it below that directory: agents are given what lies there",
        )


def _check_kind(source: Source, keys: Keys, agent: AgentSpec, kinds: AgentKinds) -> None:
    if agent.kind not in kinds:
        message = f"{dotted(keys)}.kind is {agent.kind!r}"
        source.problem((*keys, "kind"), message, did_you_mean(agent.kind, kinds))
    key = kinds.get(agent.kind)
    if key and not getattr(agent, key):
        message = f"{dotted(keys)}: an agent of kind {agent.kind!r} needs a {key}"
        source.problem(keys, message, f'add {key} = "..."')


def _with_only_repo(table: Mapping[str, Any], repos: tuple[str, ...]) -> Mapping[str, Any]:
    """Return the table with the only repository filled in: where there is one, nobody has to name it."""
    if "repo" in table or len(repos) != 1:
        return table
    return {**table, "repo": repos[0]}


def _check_above_zero(source: Source, keys: Keys, value: RunSettings | AgentSpec) -> None:
    for name in ABOVE_ZERO:
        number = getattr(value, name, None)
        if number is not None and number <= 0:
            source.problem((*keys, name), f"{dotted((*keys, name))} is {number:g}", "it must be above 0")


def check_known(source: Source, keys: Keys, name: str, names: Collection[str], what: str) -> bool:
    """Return True if `name` is one of `names`; otherwise note a problem that names the nearest."""
    if name in names:
        return True
    source.problem(keys, f"there is no {what} {name!r}", did_you_mean(name, names), value=name)
    return False


def check_globs(source: Source, keys: Keys, globs: Iterable[str]) -> bool:
    """Return True if every glob is valid; otherwise note a problem for each that is not."""
    valid = True
    for glob in globs:
        if error := paths.validate(glob):
            source.problem(keys, f"{dotted(keys)}: {glob!r} {error}", value=glob)
            valid = False
    return valid
