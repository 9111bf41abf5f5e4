"""What is protected in a repository by what its configuration says: the files that say what a run does, those
that the suites' commands run, and what steers tests, agents and git anywhere.

Rule: it reads nothing; what the commands run (`named_files`) the server asks main, and `harness doctor` the
work tree.
"""

import posixpath
from collections.abc import Iterator, Mapping

from mcp_server.config import prompts
from mcp_server.config.spec import Config
from mcp_server.core import paths, protection
from mcp_server.core.protection import Protection
from oracle.suites import kinds

FILE_NAME = "harness.toml"
SAYS_WHAT_A_RUN_DOES = "it says what a run does"
STEERS_TESTS = "it steers how tests are built and run"
GIVEN_TO_AGENTS = "agents are given it"
ANYWHERE = "**/"


def judging_commands(config: Config, repo: str) -> dict[str, str]:
    """Return the commands that decide what lands in a repository, each with the suite that has it."""
    suites = [suite for suite in config.suites.values() if suite.repo == repo]
    return {command: suite.name for suite in suites for command in kinds.of(suite).judging_commands(suite)}


def of(config: Config, repo: str, named: Mapping[str, str]) -> Protection:
    """Return what no agent may change there. `named`: the files that those commands run, each with what
    names it.
    """
    reasons = dict(_own_files(config, repo))
    commands = judging_commands(config, repo)
    for path, by in named.items():
        if paths.validate(path) is None:
            suite = commands.get(by)
            reasons[path] = (
                f"a command of the suite {suite} runs it" if suite else f"{by} runs it for a suite"
            )
    for environment in config.environments.values():
        if environment.repo == repo:
            made_of = f"the environment {environment.name} is made of it"
            reasons |= {glob: made_of for glob in environment.files() if glob not in reasons}
    steering = [glob for glob in _steering(config, repo) if glob.startswith(ANYWHERE)]
    reasons |= {glob: STEERS_TESTS for glob in steering if glob not in reasons}
    reasons |= protection.everywhere(protection.ALWAYS)
    return Protection(reasons, config.repos[repo].unprotected, has_tests=bool(steering))


def _steering(config: Config, repo: str) -> tuple[str, ...]:
    return tuple(
        glob for suite in config.suites.values() if suite.repo == repo for glob in kinds.of(suite).steering
    )


def _own_files(config: Config, repo: str) -> Iterator[tuple[str, str]]:
    """Yield the files beside harness.toml that a run goes by, where they lie in this repository."""
    agents = config.agents.values()
    files = {FILE_NAME: SAYS_WHAT_A_RUN_DOES, config.run.tasks: SAYS_WHAT_A_RUN_DOES}
    patterns = [prompts.file_of(config.run.prompt, "")]
    patterns += [prompts.file_of(agent.prompt, name) for agent in agents for name in agent.agents()]
    patterns += [
        path.replace("{agent}", "*") for agent in agents for path in _given(agent.playbook, agent.materials)
    ]
    files |= {file: GIVEN_TO_AGENTS for file in patterns if file}
    for file, reason in files.items():
        inside = posixpath.relpath(file, config.repos[repo].path)
        for glob in (inside, f"{inside}/**"):
            if not inside.startswith("..") and paths.validate(glob) is None:
                yield glob, reason


def _given(*settings: str | None) -> list[str]:
    return [setting for setting in settings if setting]
