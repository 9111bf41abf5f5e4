"""A task and its states: one table says which event leads where, and an illegal event changes nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    OPEN = "open"
    LEASED = "leased"
    DONE = "done"
    BLOCKED = "blocked"


class Event(StrEnum):
    CLAIM = "claim"
    LAND = "land"
    REPORT = "report"  # its result is a text, and has been handed in
    BLOCK = "block"
    ABANDON = "abandon"
    LEASE_LOST = "lease_lost"
    CLOSE = "close"  # what it asks for is on main already
    REOPEN = "reopen"


TRANSITIONS: Mapping[tuple[State, Event], State] = {
    (State.OPEN, Event.CLAIM): State.LEASED,
    (State.LEASED, Event.LAND): State.DONE,
    (State.LEASED, Event.REPORT): State.DONE,
    (State.LEASED, Event.BLOCK): State.BLOCKED,
    (State.LEASED, Event.ABANDON): State.OPEN,
    (State.LEASED, Event.LEASE_LOST): State.OPEN,
    (State.OPEN, Event.CLOSE): State.DONE,
    (State.BLOCKED, Event.CLOSE): State.DONE,
    (State.DONE, Event.REOPEN): State.OPEN,
    (State.BLOCKED, Event.REOPEN): State.OPEN,
}


@dataclass(frozen=True)
class Salvage:
    """Work that a lease left behind without landing; the next holder starts from it."""

    ref: str
    commit: str
    agent: str


@dataclass(frozen=True)
class Task:
    """`paths` are globs inside the repository `repo`; `cases` are entries of core.case_globs, of `suite` where they name none.

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
    priority: int = 0
    state: State = State.OPEN
    source: str = "config"
    reason: str = ""
    salvage: Salvage | None = None

    @property
    def is_report(self) -> bool:
        return not self.paths


def next_state(state: State, event: Event) -> State | None:
    """The state after `event`, or None where the event is illegal in `state`."""
    return TRANSITIONS.get((state, event))


def is_ready(task: Task, tasks: Mapping[str, Task]) -> bool:
    """Open, and everything it needs is done."""
    return task.state is State.OPEN and not missing_needs(task, tasks)


def missing_needs(task: Task, tasks: Mapping[str, Task]) -> list[str]:
    return [need for need in task.needs if need not in tasks or tasks[need].state is not State.DONE]


def is_reachable(task: Task, tasks: Mapping[str, Task]) -> bool:
    """Whether work can still lead to this task: nothing it needs, directly or not, is blocked or unknown.

    `needs` is acyclic: the configuration and `create_task` refuse a cycle.
    """
    if task.state is State.BLOCKED:
        return False
    return all(need in tasks and is_reachable(tasks[need], tasks) for need in task.needs)


def run_is_finished(tasks: Mapping[str, Task]) -> bool:
    """No task is being worked on and none that is open can still be reached."""
    return not any(
        task.state is State.LEASED or (task.state is State.OPEN and is_reachable(task, tasks))
        for task in tasks.values()
    )
