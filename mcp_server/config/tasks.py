"""Task files: front matter (TOML between `+++` or YAML between `---`) and a brief, checked against
harness.toml and one another.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from mcp_server.config import suites
from mcp_server.config.gateway import read_budget
from mcp_server.config.positions import Positions, scan
from mcp_server.config.reading import Source, read
from mcp_server.config.sections import Sections, check_globs, check_known
from mcp_server.config.spec import RESULTS, Budget, ConfigProblem, TaskSpec
from mcp_server.core import case_globs, paths

FENCES = {"+++": "toml", "---": "yaml"}
EXAMPLE = "begin the file with a line +++, then id, title and module, then +++ again and the brief"
# Ids become refs, trailers and file names.
TASK_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class FrontMatter:
    """The keys of a task file; what is None or empty is filled in from the module."""

    id: str
    title: str
    module: str
    repo: str | None = None
    paths: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    suite: str | None = None
    cases: tuple[str, ...] = ()
    removes: tuple[str, ...] = ()
    priority: int = 0
    budget: Budget | None = None
    result: str = "change"


@dataclass(frozen=True)
class ReadTask:
    """A task with the source that knows its lines."""

    spec: TaskSpec
    source: Source


def read_tasks(
    task_files: Mapping[str, str], sections: Sections, problems: list[ConfigProblem]
) -> list[TaskSpec]:
    """In the order of the file names. Problems of and between the tasks are added to `problems`."""
    tasks: list[ReadTask] = []
    declared: dict[str, str] = {}  # every id, and where, even of tasks that are wrong otherwise
    for file in sorted(task_files):
        task = _read_task(file, task_files[file], sections, problems, declared)
        if task is not None:
            tasks.append(task)
    if len(declared) == len(task_files):  # else one that is needed may be in a file that could not be read
        for task in tasks:
            for need in task.spec.needs:
                check_known(task.source, ("needs",), need, declared, "task")
    _check_cycles({task.spec.id: task for task in reversed(tasks)})
    return [task.spec for task in tasks]


def _read_task(
    file: str, text: str, sections: Sections, problems: list[ConfigProblem], declared: dict[str, str]
) -> ReadTask | None:
    parts = _split(file, text, problems)
    if parts is None:
        return None
    source, values, brief = parts
    modules = sections.declared["modules"]
    if "module" not in values and len(modules) == 1:
        values = {**values, "module": modules[0]}
    budget = read_budget(source, ("budget",), values)
    front = read(
        FrontMatter,
        source,
        (),
        {key: value for key, value in values.items() if key != "budget"},
        budget=budget,
    )
    if isinstance(values.get("id"), str):
        _declare(source, values["id"], declared)
    if not brief:
        source.problem((), "the task has no brief", "say below the front matter what is to be done")
    if front is None:
        return None
    spec = _resolved(source, front, sections, brief)
    return ReadTask(spec, source) if spec else None


def _declare(source: Source, task: str, declared: dict[str, str]) -> None:
    if not TASK_ID.fullmatch(task):
        source.problem(
            ("id",), f"{task!r} cannot be a task id", "use letters, digits, '.', '_' and '-', at most 64"
        )
    if task in declared:
        source.problem(
            ("id",), f"task {task!r} exists already, in {declared[task]}", "give it an id of its own"
        )
    else:
        declared[task] = f"{source.file}:{source.line(('id',))}"


def _split(
    file: str, text: str, problems: list[ConfigProblem]
) -> tuple[Source, Mapping[str, Any], str] | None:
    lines = text.replace("\r\n", "\n").split("\n")
    fence = lines[0].rstrip()
    if fence not in FENCES:
        problems.append(ConfigProblem(file, 1, "the task has no front matter", EXAMPLE))
        return None
    end = next((n for n, line in enumerate(lines[1:], 1) if line.rstrip() == fence), None)
    if end is None:
        problems.append(
            ConfigProblem(file, 1, f"the front matter is never closed by a line {fence}", EXAMPLE)
        )
        return None
    head, brief = "\n".join(lines[1:end]), "\n".join(lines[end + 1 :]).strip()
    parsed = _toml(file, head, problems) if FENCES[fence] == "toml" else _yaml(file, head, problems)
    if parsed is None:
        return None
    positions, values = parsed
    return Source(file, positions, problems, lines_before=1), values, brief


def _toml(file: str, head: str, problems: list[ConfigProblem]) -> tuple[Positions, Mapping[str, Any]] | None:
    try:
        values = tomllib.loads(head)
    except tomllib.TOMLDecodeError as error:
        problems.append(toml_problem(file, head, error, lines_before=1))
        return None
    return scan(head), values


def toml_problem(
    file: str, text: str, error: tomllib.TOMLDecodeError, *, lines_before: int = 0
) -> ConfigProblem:
    """The parser's message with its place taken out of the words and put where a line number belongs."""
    place = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", str(error))
    line = int(place[1]) if place and place[1] else text.rstrip().count("\n") + 1
    message = str(error)[: place.start()] if place else str(error)
    hint = 'a string needs quotes: key = "value"' if "Invalid value" in message else ""
    return ConfigProblem(file, line + lines_before, f"not TOML: {message[:1].lower()}{message[1:]}", hint)


def _yaml(file: str, head: str, problems: list[ConfigProblem]) -> tuple[Positions, Mapping[str, Any]] | None:
    try:
        node = yaml.compose(head, Loader=yaml.SafeLoader)
        values = yaml.safe_load(head) or {}
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 2 if mark else 2
        problems.append(ConfigProblem(file, line, f"not YAML: {getattr(error, 'problem', None) or error}"))
        return None
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        problems.append(
            ConfigProblem(file, 2, "the front matter is no table of keys and values", "write key: value")
        )
        return None
    positions = Positions(head.split("\n"))
    for key, value in node.value if node else ():
        first, last = key.start_mark.line + 1, max(key.start_mark.line, value.end_mark.line) + 1
        if (key.value,) in positions.spans:
            problems.append(
                ConfigProblem(file, first + 1, f"the key {key.value!r} occurs twice", "keep one of them")
            )
        positions.add((key.value,), first, min(last, len(positions.lines)))
    return positions, values


def _resolved(source: Source, front: FrontMatter, sections: Sections, brief: str) -> TaskSpec | None:
    declared = sections.declared
    module_exists = check_known(source, ("module",), front.module, declared["modules"], "module")
    if front.suite is not None:
        check_known(source, ("suite",), front.suite, declared["oracle"], "suite")
    good_globs = check_globs(source, ("paths",), front.paths)
    check_known(source, ("result",), front.result, RESULTS, "result")
    is_report = front.result == "report"
    for name in ("paths", "cases", "removes"):
        if is_report and getattr(front, name):
            source.problem(
                (name,),
                f"a task whose result is a report changes no file, and has no {name}",
                f"take out {name}, or result",
            )
    module = sections.modules.get(front.module) if module_exists else None
    if module is None:
        return None
    if front.repo is not None and front.repo != module.repo:
        message = f"the task is in repository {front.repo!r}, its module {module.name!r} in {module.repo!r}"
        source.problem(("repo",), message, "leave repo out, or name a module of that repository")
    suite = sections.suites.get(front.suite) if front.suite else None
    if suite is not None and suite.repo != module.repo:
        message = f"the suite {suite.name!r} judges repository {suite.repo!r}, the task is in {module.repo!r}"
        source.problem(("suite",), message, "name a suite of the task's repository")
    for name in ("cases", "removes"):
        entries = getattr(front, name)
        suites.check_entries(source, (name,), entries, declared["oracle"], sections.suites, module.repo)
    if good_globs and not any(paths.validate(glob) for glob in module.paths):
        _check_inside(source, front.paths, module.name, module.paths)
    return TaskSpec(
        id=front.id,
        title=front.title,
        module=module.name,
        repo=module.repo,
        paths=() if is_report else front.paths or module.paths,
        needs=front.needs,
        suite=front.suite or _only_suite(source, front, sections, module.repo),
        cases=front.cases,
        removes=front.removes,
        priority=front.priority,
        brief=brief,
        file=source.file,
        line=source.line(("id",)),
        budget=front.budget,
    )


def _check_inside(source: Source, globs: tuple[str, ...], module: str, module_paths: tuple[str, ...]) -> None:
    for glob in globs:
        if not paths.within([glob], module_paths):
            message = f"the path {glob!r} leaves the task's module {module!r}"
            source.problem(("paths",), message, f"the module has {', '.join(module_paths)}", value=glob)


def _only_suite(source: Source, front: FrontMatter, sections: Sections, repo: str) -> str | None:
    """The suite of the cases that name none, where only one can be meant."""
    if all(case_globs.split(entry)[0] for entry in front.cases):
        return None
    names = [suite.name for suite in sections.suites.values() if suite.repo == repo]
    if len(names) == 1:
        return names[0]
    if len(sections.declared["oracle"]) > 1:
        example = next(iter(sections.suites), "SUITE")
        source.problem(
            ("cases",),
            "the task names cases but no suite",
            f"add suite: {' or '.join(sections.suites)}, or put it before each: {example}:GLOB",
        )
    return None


def _check_cycles(tasks: Mapping[str, ReadTask]) -> None:
    """Each task that waits for itself, once per cycle, with the way round shown."""
    settled: set[str] = set()
    for start in sorted(tasks):
        cycle = _cycle_from(start, tasks, settled)
        if cycle:
            source = tasks[cycle[0]].source
            source.problem(
                ("needs",), f"tasks wait for each other: {' -> '.join(cycle)}", "take one of these needs out"
            )


def _cycle_from(start: str, tasks: Mapping[str, ReadTask], settled: set[str]) -> list[str] | None:
    """Depth-first, without recursion since chains may be long; `settled` tasks lead into no new cycle."""
    if start in settled:
        return None
    way, todo, cycle = [start], [iter(tasks[start].spec.needs)], None
    while todo:
        need = next(todo[-1], None)
        if need is None:
            todo.pop()
            settled.add(way.pop())
        elif need in way:
            cycle = cycle or [*way[way.index(need) :], need]
        elif need in tasks and need not in settled:
            way.append(need)
            todo.append(iter(tasks[need].spec.needs))
    return cycle
