"""Which task an agent gets: the decision behind `claim_task`, as a function of tasks, live leases and the
wish.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mcp_server.core import lease as leases
from mcp_server.core import task as tasks
from mcp_server.core.lease import Lease
from mcp_server.core.refusal import Code, Refused
from mcp_server.core.task import Task, Tasks, TaskState


@dataclass(frozen=True)
class Board:
    """What a claim is decided on: every task, and the live leases at `now_ms`."""

    tasks: Tasks
    live: Sequence[Lease]
    now_ms: int

    def holder(self, task: str) -> Lease | None:
        return next((lease for lease in self.live if lease.task == task), None)

    def held_by(self, agent: str) -> Lease | None:
        return next((lease for lease in self.live if lease.agent == agent), None)


def choose(
    board: Board, agent: str, *, task: str | None = None, module: str | None = None
) -> Task | Lease | Refused:
    """The task to lease, the lease that the agent already holds, or a refusal that names something else to
    do.
    """
    mine = board.held_by(agent)
    if mine is not None:
        return mine if task in (None, mine.task) else _holds_another(mine, task)
    if task is not None:
        return _named_task(board, task)
    best = best_open(board, module)
    return best if best is not None else _nothing_open(board, module)


def best_open(board: Board, module: str | None = None, *, but: str | None = None) -> Task | None:
    """The ready task that overlaps no live lease: highest priority, then most dependents, then its id."""
    waiting = needed_by(board.tasks)

    def rank(task: Task) -> tuple[int, int, str]:
        return -task.priority, -dependents(task.id, waiting) if task.id in waiting else 0, task.id

    ready = [
        task
        for task in board.tasks.undone
        if task.id != but and module in (None, task.module) and tasks.is_ready(task, board.tasks)
    ]
    return next(
        (
            task
            for task in sorted(ready, key=rank)
            if leases.overlapping(task.repo, task.paths, board.live) is None
        ),
        None,
    )


def needed_by(tasks: Tasks) -> dict[str, list[str]]:
    """By what is needed, the tasks that need it and are not done."""
    found: dict[str, list[str]] = {}
    for task in tasks.undone:
        for need in task.needs:
            found.setdefault(need, []).append(task.id)
    return found


def dependents(task: str, waiting: Mapping[str, Sequence[str]]) -> int:
    """How many tasks wait for this one, directly or not; `waiting` is as `needed_by` finds it."""
    found: set[str] = set()
    wave = {task}
    while wave:
        wave = {other for one in wave for other in waiting.get(one, ())} - found
        found |= wave
    return len(found)


def _named_task(board: Board, task_id: str) -> Task | Refused:
    task = board.tasks.get(task_id)
    if task is None:
        return Refused(
            Code.UNKNOWN_TASK,
            f"there is no task {task_id}",
            f"{len(board.tasks)} tasks exist",
            "list_tasks() shows them",
        )
    if task.state is TaskState.LEASED:
        holder = board.holder(task_id)
        who = f"leased to {holder.agent} until {moment(holder.expires_ms)}" if holder else "leased"
        return Refused(
            Code.HELD, f"task {task_id} is taken", f"{task_id} is {who}", instead(board, but=task_id)
        )
    if task.state is not TaskState.OPEN:
        return Refused(
            Code.NO_TASK,
            f"task {task_id} is {task.state}",
            task.reason or "nothing is left to do there",
            instead(board, but=task_id),
        )
    if missing := tasks.missing_needs(task, board.tasks):
        return Refused(
            Code.NO_TASK,
            f"task {task_id} is not ready",
            f"it waits for {', '.join(missing)}",
            instead(board, but=task_id),
        )
    clash = leases.overlapping(task.repo, task.paths, board.live)
    if clash is not None:
        holds = (
            f"{clash.agent} holds {clash.task} over {', '.join(clash.paths)} until {moment(clash.expires_ms)}"
        )
        return Refused(
            Code.OVERLAP, f"the paths of {task_id} overlap a live lease", holds, instead(board, but=task_id)
        )
    return task


def _holds_another(mine: Lease, task_id: str) -> Refused:
    return Refused(
        Code.HELD,
        f"you hold {mine.task} already, so {task_id} is not given to you",
        f"your lease on {mine.task} has fence {mine.fence} and lasts until {moment(mine.expires_ms)}",
        f"finish it with push, or give it back: release_task(fence={mine.fence}, outcome='abandoned')",
    )


def _nothing_open(board: Board, module: str | None) -> Refused:
    where = f" in module {module}" if module else ""
    counts = board.tasks.counts()
    waiting, leased = counts[TaskState.OPEN], counts[TaskState.LEASED]
    holds = f"{waiting} open tasks wait for others or overlap live leases; {leased} are leased"
    if waiting + leased == 0:
        return Refused(
            Code.NO_TASK,
            f"no task is left{where}",
            "every task is done or blocked",
            "end your session: nothing is left to do",
        )
    return Refused(Code.NO_TASK, f"no task is free{where} now", holds, instead(board))


def instead(board: Board, *, but: str | None = None) -> str:
    """Something else to do, for the end of a refusal: claims never block an agent."""
    other = best_open(board, but=but)
    if other is not None:
        return f"{other.id} in module {other.module} is free: claim_task(task='{other.id}')"
    soonest = min((lease.expires_ms for lease in board.live), default=None)
    when = f" (the next lease ends by {moment(soonest)} at the latest)" if soonest is not None else ""
    return f"nothing else is free{when}: call claim_task() again in a while"


def moment(ms: int) -> str:
    """UTC wall time of a millisecond timestamp, to the second, as `12:03:20Z`."""
    seconds = ms // 1000 % 86_400
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}Z"
