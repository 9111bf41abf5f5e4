"""Reads harness.toml and the task files into a Config, or into every problem at once.

Rule: `parse` is pure; only `load` and `check_files` look at the disk, and nothing here writes.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path

from mcp_server.config import prompts
from mcp_server.config.positions import Keys, scan
from mcp_server.config.reading import Source, dotted
from mcp_server.config.sections import AgentKinds, read_sections
from mcp_server.config.spec import AgentSpec, Config, ConfigProblem, RunSettings
from mcp_server.config.tasks import read_tasks, toml_problem
from mcp_server.core import paths
from oracle import globs

FILE_NAME = "harness.toml"
RELATIVE = "it is relative to this file"


def parse(
    text: str,
    task_files: Mapping[str, str],
    *,
    file: str = FILE_NAME,
    root: Path = Path(),
    kinds: AgentKinds | None = None,
) -> Config | list[ConfigProblem]:
    """Return the configuration, or its problems in the order of files and lines.

    `task_files`: name -> text. `kinds`: as in `load`.
    """
    problems: list[ConfigProblem] = []
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return [toml_problem(file, text, error)]
    sections = read_sections(Source(file, scan(text), problems), document, kinds)
    tasks = read_tasks(task_files, sections, problems)
    if problems or sections.run is None:
        return sorted(problems, key=lambda problem: (problem.file != file, problem.file, problem.line))
    return Config(
        root,
        sections.run,
        sections.repos,
        sections.modules,
        sections.suites,
        sections.agents,
        tasks,
        sections.gateway,
        sections.egress,
        sections.environments,
    )


def load(path: Path, kinds: AgentKinds | None = None) -> Config | list[ConfigProblem]:
    """Return the configuration at `path`, or its problems; task files are looked for from its directory.

    `kinds` are those that whoever asks can start. Without them any name is taken for a kind: the server
    starts no agent, so the names are not its to judge.
    """
    text = _text(path, path.name)
    if isinstance(text, ConfigProblem):
        return [text]
    root = path.resolve().parent
    task_files: dict[str, str] = {}
    unreadable: list[ConfigProblem] = []
    for found in sorted(root.glob(_tasks_glob(text))):
        name = found.relative_to(root).as_posix()
        task = _text(found, name)
        if isinstance(task, ConfigProblem):
            unreadable.append(task)
        else:
            task_files[name] = task
    parsed = parse(text, task_files, file=path.name, root=root, kinds=kinds)
    if unreadable:
        return (parsed if isinstance(parsed, list) else []) + unreadable
    return parsed


def check_files(config: Config, file: str = FILE_NAME) -> list[ConfigProblem]:
    """Return a problem for each file that the configuration names and the disk does not have.

    Ask on the host where the agents are to be started.
    """
    text = _text(config.root / file, file)
    positions = scan("" if isinstance(text, ConfigProblem) else text)
    source = Source(file, positions, [])
    _check_repo_paths(source, config)
    _check_held_out(source, config)
    run_prompt = prompts.file_of(config.run.prompt, "")
    if run_prompt and not (config.root / run_prompt).is_file():
        source.problem(("run", "prompt"), f"there is no prompt {run_prompt!r}", RELATIVE)
    _check_links(source, config.root, ("run", "prompt"), run_prompt)
    for agent in config.agents.values():
        _check_agent_prompts(source, config.root, agent)
        _check_agent_path(source, config.root, agent, "playbook", agent.playbook)
        _check_agent_path(source, config.root, agent, "materials", agent.materials)
    return source.problems


def _check_repo_paths(source: Source, config: Config) -> None:
    for repo in config.repos.values():
        if not (config.root / repo.path).is_dir():
            source.problem(("repos", repo.name, "path"), f"there is no directory {repo.path!r}", RELATIVE)


def _check_held_out(source: Source, config: Config) -> None:
    for suite in config.suites.values():
        for glob in suite.held_out:
            directory = globs.fixed_prefix(glob)
            if not (config.root / directory).is_dir():
                message = f"there is no directory {directory!r}"
                source.problem(("oracle", suite.name, "held_out"), message, RELATIVE, value=glob)


def _check_agent_prompts(source: Source, root: Path, agent: AgentSpec) -> None:
    files = {prompts.file_of(agent.prompt, name) for name in agent.agents()}
    for file in sorted(file for file in files if file):
        if not (root / file).is_file():
            source.problem(("agents", agent.name, "prompt"), f"there is no prompt {file!r}", RELATIVE)
        _check_links(source, root, ("agents", agent.name, "prompt"), file)


def _check_agent_path(source: Source, root: Path, agent: AgentSpec, key: str, pattern: str | None) -> None:
    if not pattern:
        return
    for path in sorted({pattern.replace("{agent}", name) for name in agent.agents()}):
        if not (root / path).exists():
            source.problem(("agents", agent.name, key), f"there is no {key} {path!r}", RELATIVE)
        _check_links(source, root, ("agents", agent.name, key), path)


def _check_links(source: Source, root: Path, keys: Keys, path: str | None) -> None:
    """Note a problem for a file that agents would be given from outside of the project, by a link."""
    if not path:
        return
    start, inside = root / path, root.resolve()
    for file in [start, *(start.rglob("*") if start.is_dir() else ())]:
        if not file.resolve().is_relative_to(inside):
            name = file.relative_to(root)
            message = f"{dotted(keys)}: {str(name)!r} is a link that leaves the directory of this file"
            source.problem(keys, message, "put the file itself there: agents are given what it holds")


def _tasks_glob(text: str) -> str:
    """Return run.tasks before the file is judged; a glob that will be refused is not followed."""
    try:
        run = tomllib.loads(text).get("run")
    except tomllib.TOMLDecodeError:
        return RunSettings.tasks
    glob = run.get("tasks") if isinstance(run, dict) else None
    if isinstance(glob, str) and paths.validate(glob) is None:
        return glob
    return RunSettings.tasks


def _text(path: Path, name: str) -> str | ConfigProblem:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return ConfigProblem(
            name, 1, f"there is no file {path}", "`harness init` writes one by looking at the repository"
        )
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        return ConfigProblem(name, line, "the file is not UTF-8", "save it as UTF-8")
    except OSError as error:
        return ConfigProblem(name, 1, f"the file cannot be read: {error.strerror}")
