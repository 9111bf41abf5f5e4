"""A task and its states: one table says which event leads where, and an illegal event changes nothing."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum


class TaskState(StrEnum):
    OPEN = "open"
    LEASED = "leased"
    DONE = "done"
    BLOCKED = "blocked"


class TaskEvent(StrEnum):
    CLAIM = "claim"
    LAND = "land"
    REPORT = "report"  # its result is a text, and has been handed in
    BLOCK = "block"
    ABANDON = "abandon"
    LEASE_LOST = "lease_lost"
    CLOSE = "close"  # what it asks for is on main already
    REOPEN = "reopen"


TRANSITIONS: Mapping[tuple[TaskState, TaskEvent], TaskState] = {
    (TaskState.OPEN, TaskEvent.CLAIM): TaskState.LEASED,
    (TaskState.LEASED, TaskEvent.LAND): TaskState.DONE,
    (TaskState.LEASED, TaskEvent.REPORT): TaskState.DONE,
    (TaskState.LEASED, TaskEvent.BLOCK): TaskState.BLOCKED,
    (TaskState.LEASED, TaskEvent.ABANDON): TaskState.OPEN,
    (TaskState.LEASED, TaskEvent.LEASE_LOST): TaskState.OPEN,
    (TaskState.OPEN, TaskEvent.CLOSE): TaskState.DONE,
    (TaskState.BLOCKED, TaskEvent.CLOSE): TaskState.DONE,
    (TaskState.DONE, TaskEvent.REOPEN): TaskState.OPEN,
    (TaskState.BLOCKED, TaskEvent.REOPEN): TaskState.OPEN,
}


@dataclass(frozen=True)
class Salvage:
    """Work that a lease left behind without landing; the next holder starts from it."""

    ref: str
    commit: str
    agent: str


@dataclass(frozen=True)
class Task:
    """`paths` are globs inside the repository `repo`; `cases` are entries of core.case_globs, of `suite`
    where they name none, and so are `removes`: cases that may be gone once it has landed.

    A task without paths changes no file: its result is a report, and it stands in nobody's way.
    """

    id: str
    title: str
    brief: str
    module: str
    repo: str
    paths: tuple[str, ...]
    needs: tuple[str, ...] = ()
    suite: str | None = None
    cases: tuple[str, ...] = ()
    removes: tuple[str, ...] = ()
    priority: int = 0
    state: TaskState = TaskState.OPEN
    source: str = "config"
    reason: str = ""
    salvage: Salvage | None = None

    @property
    def is_report(self) -> bool:
        return not self.paths


class Tasks(Mapping[str, Task]):
    """Every task by its id, in no order. Those that are not done are apart: what every call asks must not
    take longer the more is done.
    """

    def __init__(self, tasks: Iterable[Task] = ()):
        self._all: dict[str, Task] = {}
        self._undone: dict[str, Task] = {}
        for task in tasks:
            self.put(task)

    def put(self, task: Task) -> None:
        """In the place of the one with its id, if any."""
        self._all[task.id] = task
        if task.state is TaskState.DONE:
            self._undone.pop(task.id, None)
        else:
            self._undone[task.id] = task

    def copy(self) -> "Tasks":
        """As they are now: later ones are not in it."""
        made = Tasks()
        made._all, made._undone = self._all.copy(), self._undone.copy()
        return made

    @property
    def undone(self) -> Collection[Task]:
        """Not to be looked through while one is put."""
        return self._undone.values()

    def counts(self) -> dict[TaskState, int]:
        """How many are in each state."""
        found = dict.fromkeys(TaskState, 0)
        for task in self.undone:
            found[task.state] += 1
        return found | {TaskState.DONE: len(self._all) - len(self._undone)}

    def __getitem__(self, id: str) -> Task:
        return self._all[id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)


def next_state(state: TaskState, event: TaskEvent) -> TaskState | None:
    """The state after `event`, or None where the event is illegal in `state`."""
    return TRANSITIONS.get((state, event))


def is_ready(task: Task, tasks: Mapping[str, Task]) -> bool:
    """Open, and everything it needs is done."""
    return task.state is TaskState.OPEN and not missing_needs(task, tasks)


def missing_needs(task: Task, tasks: Mapping[str, Task]) -> list[str]:
    return [need for need in task.needs if need not in tasks or tasks[need].state is not TaskState.DONE]


def is_reachable(task: Task, tasks: Mapping[str, Task]) -> bool:
    """Whether work can still lead to this task: nothing that is still to be done for it, directly or not, is
    blocked or unknown.

    `needs` is acyclic: the configuration and `create_task` refuse a cycle.
    """
    if task.state is TaskState.DONE:
        return True
    if task.state is TaskState.BLOCKED:
        return False
    return all(need in tasks and is_reachable(tasks[need], tasks) for need in task.needs)


def run_is_finished(tasks: Tasks) -> bool:
    """No task is being worked on and none that is open can still be reached."""
    return not any(
        task.state is TaskState.LEASED or (task.state is TaskState.OPEN and is_reachable(task, tasks))
        for task in tasks.undone
    )
