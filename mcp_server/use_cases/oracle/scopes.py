"""What a run of the oracle covers: a task, a module, a sample, or everything.

Rule: the choice is the same every time, held-out cases are never in it, and command suites run whole.
"""

import hashlib

from mcp_server.core import case_globs
from mcp_server.core.task import Task
from mcp_server.store import tasks as task_rows
from mcp_server.use_cases.oracle import case_sets
from mcp_server.world import World
from oracle.cases.files import BadCases
from oracle.suites import kinds

# Cases of a fast run besides the task's own: a tenth of the rest, and never fewer than SAMPLE_MIN.
SAMPLE_MIN, SAMPLE_ONE_IN = 50, 10

# Suites and the case ids of each; None means all of a suite's visible cases.
Chosen = dict[str, tuple[str, ...] | None]


def chosen(
    world: World, agent: str, repo: str, task: Task | None, *, scope: str, entries: tuple[str, ...] = ()
) -> Chosen:
    """Return what a run covers. `entries` win over the scope; without a task, or if it names no case, the
    scopes task and module mean everything.
    """
    suites = world.suites_of(repo)
    if entries:
        return _named(world, suites, entries)
    own = _named(world, suites, case_globs.qualified(task.cases, task.suite)) if task is not None else {}
    if scope == "fast":
        return {name: _sample(world, name, own.get(name) or (), agent) for name in suites}
    if scope == "module" and task is not None:
        own = _of_module(world, suites, task.module) or own
    return dict.fromkeys(suites) if scope == "full" or not own else own


def read_by_any(world: World, repo: str) -> tuple[str, ...]:
    """Return the globs of what any suite of a repository reads: that much of its tree goes to boxes."""
    suites = [world.config.suites[name] for name in world.suites_of(repo)]
    return tuple(dict.fromkeys(glob for suite in suites for glob in suite.reads))


def _named(world: World, suites: list[str], entries: tuple[str, ...]) -> Chosen:
    """Return what the entries name. A command suite runs whole once it is named; one whose cases cannot be
    read is asked for whole, and says so.
    """
    chosen: Chosen = {}
    for name in suites:
        if kinds.of(world.config.suites[name]).cases is None:
            if name in case_globs.suites_in(entries):
                chosen[name] = None
            continue
        globs = case_globs.of_suite(entries, name, None)
        try:
            ids = case_sets.named(world, name, globs) if globs else ()
        except BadCases:
            ids = None
        if ids != ():
            chosen[name] = ids
    return chosen


def _of_module(world: World, suites: list[str], name: str) -> Chosen:
    """Return the cases that the configuration gives to a module, or else those of all its tasks."""
    module = world.config.modules.get(name)  # a task outlives its module where the file has changed since
    if module is not None and module.cases:
        return _named(world, suites, module.cases)
    with world.store.read() as tx:
        tasks = [task for task in task_rows.all(tx).values() if task.module == name]
    entries = tuple(entry for task in tasks for entry in case_globs.qualified(task.cases, task.suite))
    return _named(world, suites, entries)


def _sample(world: World, suite: str, own: tuple[str, ...], agent: str) -> tuple[str, ...] | None:
    """Return a task's own cases and a part of the rest: the same for an agent every time, another for each
    agent.
    """
    try:
        ids = case_sets.named(world, suite, ("*",))
    except BadCases:
        return None
    rest = sorted(set(ids) - set(own), key=lambda id: hashlib.sha256(f"{agent}\0{id}".encode()).digest())
    return (*own, *rest[: max(SAMPLE_MIN, len(rest) // SAMPLE_ONE_IN)]) or None
