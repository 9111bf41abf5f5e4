"""[environments.NAME]: what is wrong with a table by itself, and which suites and agents use which of them.

Rule: a suite or an agent that names neither an image nor an environment has its repository's only one, or the
one named "default".
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import replace

from mcp_server.config.positions import Keys
from mcp_server.config.reading import Source, did_you_mean, dotted
from mcp_server.config.spec import AgentSpec, Environment
from oracle.cases.spec import Suite
from oracle.suites import kinds

DEFAULT = "default"
NONE = "none"  # of a suite or an agent that is to have no environment where there is a default
BASES = ("image", "dockerfile", "devcontainer")
PACKAGE = re.compile(r"[a-z0-9][a-z0-9.+-]+(:[a-z0-9]+)?(=[A-Za-z0-9.+:~-]+)?")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def check(source: Source, keys: Keys, environment: Environment) -> None:
    """Note a problem for each value of the table that cannot be."""
    if environment.name == NONE:
        source.problem(
            keys, f"{NONE!r} cannot be an environment: it means to have none", "choose another name"
        )
    bases = [base for base in BASES if getattr(environment, base) is not None]
    if len(bases) > 1:
        message = f"{dotted(keys)} has {' and '.join(bases)}, and an environment starts from one of them"
        source.problem((*keys, bases[1]), message, "take all but one out")
    for package in environment.packages:
        if not PACKAGE.fullmatch(package):
            message = f"{dotted((*keys, 'packages'))}: {package!r} is not the name of a Debian package"
            source.problem((*keys, "packages"), message, value=package)
    for variable, value in environment.env.items():
        if not VARIABLE.fullmatch(variable) or "\n" in value:
            message = f"{dotted((*keys, 'env'))}: {variable!r} cannot be a variable of one line"
            source.problem((*keys, "env", variable), message)
    for base in ("dockerfile", "devcontainer"):
        if (path := getattr(environment, base)) is not None and not _is_inside(path):
            message = f"{dotted((*keys, base))} is {path!r}; it must be a path below the repository's top"
            source.problem((*keys, base), message)


def _is_inside(path: str) -> bool:
    return bool(path) and not path.startswith("/") and ".." not in path.split("/") and "\\" not in path


def of_suites(
    source: Source, suites: Mapping[str, Suite], environments: Mapping[str, Environment]
) -> dict[str, Suite]:
    """Return the suites with the environment that each has filled in, and its files protected."""
    return {name: _with_environment(source, suite, environments) for name, suite in suites.items()}


def _with_environment(source: Source, suite: Suite, environments: Mapping[str, Environment]) -> Suite:
    own = {name: one for name, one in environments.items() if one.repo == suite.repo}
    keys = ("oracle", suite.name)
    kind = kinds.find(suite)
    is_project = kind is not None and kind.project is not None
    chosen = _chosen(source, keys, suite.environment, suite.image, own if is_project else {}, own)
    if chosen is None:
        return replace(suite, environment=None)
    suite = replace(suite, environment=chosen.name)
    if not is_project:
        return (
            suite  # whatever a suite with cases protects is not in its box, and builds need their manifests
        )
    return replace(suite, protect=(*suite.protect, *chosen.files()))


def of_agents(
    source: Source, agents: Mapping[str, AgentSpec], environments: Mapping[str, Environment]
) -> dict[str, AgentSpec]:
    """Return the tables of agents with the environment that each has filled in."""
    return {name: _agent_with(source, agent, environments) for name, agent in agents.items()}


def _agent_with(source: Source, agent: AgentSpec, environments: Mapping[str, Environment]) -> AgentSpec:
    keys = ("agents", agent.name)
    chosen = _chosen(source, keys, agent.environment, agent.image, environments, environments)
    return replace(agent, environment=chosen.name if chosen else None)


def default(environments: Mapping[str, Environment]) -> Environment | None:
    """Return the environment of whoever names none: the only one, or the one named "default"."""
    if len(environments) == 1:
        return next(iter(environments.values()))
    return environments.get(DEFAULT)


def _chosen(
    source: Source,
    keys: Keys,
    named: str | None,
    image: str | None,
    usual: Mapping[str, Environment],
    existing: Mapping[str, Environment],
) -> Environment | None:
    """Return the environment that a table has: the one that it names, or the default one among `usual`."""
    if named is None:
        return default(usual) if image is None else None
    if named == NONE:
        return None
    place = (*keys, "environment")
    if image is not None:
        message = f"{dotted(keys)} has an image and an environment, and can start from one of them only"
        source.problem(place, message, "take one of the two out")
    elif named not in existing:
        source.problem(
            place, f"there is no environment {named!r} for it", _near(named, existing), value=named
        )
    return existing.get(named)


def _near(named: str, existing: Collection[str]) -> str:
    return did_you_mean(named, existing) or f"write a table [environments.{named}]"
