"""Tasks as people and agents see and propose them: import from files, list, create, reopen."""

import dataclasses
from collections.abc import Iterator
from typing import Any

from mcp_server.config import Config, Module, TaskSpec
from mcp_server.core import budget, case_globs, paths
from mcp_server.core import task as tasks
from mcp_server.core.principal import AGENT, Principal
from mcp_server.core.refusal import Code, Refused
from mcp_server.core.task import Task, TaskEvent, Tasks, TaskState
from mcp_server.store import Tx
from mcp_server.store import tasks as rows
from mcp_server.use_cases import leasing
from mcp_server.world import World

BRIEF_CHARACTERS_MAX = 8_000
TITLE_CHARACTERS_MAX = 200
LISTED_CHARACTERS = 6_500  # of the tasks in one answer of list_tasks; open ones first
REASON_CHARACTERS = 200
ORDER = (TaskState.OPEN, TaskState.LEASED, TaskState.BLOCKED, TaskState.DONE)  # in which tasks are listed
# Paths, needs or cases of one proposal: every claim compares all paths with all others.
GLOBS_MAX = 50


def import_tasks(world: World) -> None:
    """Bring the configuration's tasks in. What a task asks for follows its file; its state does not."""
    with world.store.write() as tx:
        existing = rows.every(tx)
        for spec in world.config.tasks:
            task = of_spec(world.config, spec)
            before = existing.get(task.id)
            if before is None:
                rows.add(tx, task)
                world.record(
                    tx, "task_created", task=task.id, title=task.title, module=task.module, source=task.source
                )
            elif before.source == "config" and before.state is not TaskState.LEASED:
                kept = dataclasses.replace(
                    task, state=before.state, reason=before.reason, salvage=before.salvage
                )
                rows.put(tx, kept)


def of_spec(config: Config, spec: TaskSpec) -> Task:
    """Return the task that a file of the configuration describes, open."""
    module = config.modules[spec.module]
    return Task(
        id=spec.id,
        title=spec.title,
        brief=spec.brief,
        module=spec.module,
        repo=spec.repo or module.repo,
        paths=tuple(spec.paths),
        needs=tuple(spec.needs),
        suite=spec.suite,
        cases=tuple(spec.cases),
        removes=tuple(spec.removes),
        priority=spec.priority,
    )


@dataclasses.dataclass(frozen=True)
class Proposal:
    """A task that somebody would like to exist. Empty `paths` are those of its module."""

    title: str
    module: str
    brief: str
    paths: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    cases: tuple[str, ...] = ()
    suite: str | None = None
    removes: tuple[str, ...] = ()


def create(world: World, who: Principal, proposal: Proposal) -> Task | Refused:
    """Make a task and return it. Proposing again what exists under the same title and module answers with the
    existing one.
    """
    with world.store.write() as tx:
        same = rows.titled(tx, proposal.title, proposal.module)
        if same is not None:
            return same
        if problem := _problem(world, rows.every(tx), proposal):
            return Refused(
                Code.BAD_REQUEST,
                problem,
                "no task was created",
                "call create_task again, corrected",
            )
        module = world.config.modules[proposal.module]
        suite = proposal.suite
        if suite is None and any(case_globs.split(entry)[0] is None for entry in proposal.cases):
            suite = next(iter(world.suites_of(module.repo)), None)
        task = Task(
            id=next_id(tx),
            title=proposal.title,
            brief=proposal.brief,
            module=proposal.module,
            repo=module.repo,
            paths=proposal.paths or tuple(module.paths),
            needs=proposal.needs,
            suite=suite,
            cases=proposal.cases,
            removes=proposal.removes,
            source=who.name,
        )
        rows.add(tx, task)
        world.record(
            tx, "task_created", who, task=task.id, title=task.title, module=task.module, source=task.source
        )
    world.bell.ring()
    return task


def _problem(world: World, existing: Tasks, proposal: Proposal) -> str | None:
    """Return what is wrong with a proposal, as a sentence; None if nothing is."""
    module = world.config.modules.get(proposal.module)
    if module is None:
        return f"there is no module {proposal.module!r}; modules are {', '.join(world.config.modules)}"
    if (
        not 0 < len(proposal.title) <= TITLE_CHARACTERS_MAX
        or not 0 < len(proposal.brief) <= BRIEF_CHARACTERS_MAX
    ):
        return f"a title has 1 to {TITLE_CHARACTERS_MAX} characters and a brief 1 to {BRIEF_CHARACTERS_MAX}"
    if max(map(len, (proposal.paths, proposal.needs, proposal.cases, proposal.removes))) > GLOBS_MAX:
        return f"paths, needs, cases and removes have at most {GLOBS_MAX} entries each"
    if unknown := [need for need in proposal.needs if need not in existing]:
        return f"it needs unknown tasks: {', '.join(unknown)}"
    if proposal.suite is not None and proposal.suite not in world.config.suites:
        return f"there is no oracle {proposal.suite!r}; there are {', '.join(world.config.suites)}"
    if foreign := [
        name
        for name in case_globs.suites_in((*proposal.cases, *proposal.removes))
        if name not in world.suites_of(module.repo)
    ]:
        suites = ", ".join(world.suites_of(module.repo))
        return f"its cases name the oracle {foreign[0]!r}; for module {proposal.module} there are {suites}"
    return _problem_of_paths(proposal, module)


def _problem_of_paths(proposal: Proposal, module: Module) -> str | None:
    for glob in proposal.paths:
        if error := paths.validate(glob):
            return f"path {glob!r}: {error}"
    if dear := paths.price(proposal.paths):
        return f"its paths {dear}: name directories, or propose several tasks"
    if proposal.paths and not paths.within(proposal.paths, tuple(module.paths)):
        return f"its paths leave module {proposal.module}, which is {', '.join(module.paths)}"
    return None


def next_id(tx: Tx) -> str:
    """Return the id of a task that is made now."""
    return f"T{rows.greatest_number(tx) + 1:02}"


def reopen(world: World, who: Principal, id: str, reason: str) -> Task | Refused:
    """Make a done or blocked task open again, and return it."""
    with world.store.write() as tx:
        task = rows.get(tx, id)
        if task is None:
            return Refused(
                Code.UNKNOWN_TASK,
                f"there is no task {id}",
                "nothing was changed",
                "harness tasks list shows them",
            )
        state = tasks.next_state(task.state, TaskEvent.REOPEN)
        if state is None:
            return Refused(
                Code.BAD_REQUEST,
                f"{id} is {task.state}",
                "only done and blocked tasks can be reopened",
                "nothing to do",
            )
        task = dataclasses.replace(task, state=state, reason=reason)
        leasing.move(world, tx, task, who.name)
        world.record(tx, "admin_action", who, task=id, action="reopen", reason=reason)
    world.bell.ring()
    return task


def board(world: World) -> tuple[Tasks, dict[str, str]]:
    """Return every task, and the holder of each leased one by task."""
    with world.store.write() as tx:
        live = leasing.live(world, tx)
        return rows.all(tx), {lease.task: lease.agent for lease in live}


def listed(world: World, who: Principal) -> dict[str, Any]:
    """Return the tasks, open ones first, their briefs left out. An agent gets as many as one answer has room
    for; people get all.
    """
    all_tasks, holders = board(world)
    counts = all_tasks.counts()
    summaries = (summary(task, holders, all_tasks) for task in _in_order(all_tasks))
    rows_listed = list(_fitting(summaries) if who.role == AGENT else summaries)
    answer: dict[str, Any] = {"tasks": rows_listed}
    answer |= {str(state): counts[state] for state in ORDER}
    if len(rows_listed) < len(all_tasks):
        answer["left_out"] = len(all_tasks) - len(rows_listed)
    return answer | {"finished": tasks.run_is_finished(all_tasks)}


def _in_order(all_tasks: Tasks) -> Iterator[Task]:
    """Yield the tasks as they are listed. Those that are done come last, and are looked at only once somebody
    wants to see them.
    """
    yield from sorted(all_tasks.undone, key=lambda task: (ORDER.index(task.state), -task.priority, task.id))
    finished = [task for task in all_tasks.values() if task.state is TaskState.DONE]
    yield from sorted(finished, key=lambda task: (-task.priority, task.id))


def _fitting(summaries: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield as many of them as an answer has room for."""
    used = 0
    for line in summaries:
        used += len(budget.encode(line)) + 1
        if used > LISTED_CHARACTERS:
            return
        yield line


def summary(task: Task, holders: dict[str, str], all_tasks: Tasks) -> dict[str, Any]:
    """Return a task as it is listed: who holds it, what it waits for and why it is where it is, if that is
    anything.
    """
    brief = {
        "id": task.id,
        "title": budget.cut(task.title, TITLE_CHARACTERS_MAX),
        "module": task.module,
        "state": str(task.state),
    }
    waits = tasks.missing_needs(task, all_tasks) if task.state is TaskState.OPEN else []
    extra = {
        "holder": holders.get(task.id),
        "waits_for": waits,
        "reason": budget.cut(task.reason, REASON_CHARACTERS),
    }
    return brief | {name: value for name, value in extra.items() if value}
