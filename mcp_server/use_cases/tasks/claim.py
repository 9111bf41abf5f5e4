"""`claim_task`: the named task or the best open one, leased to the caller, with all that is needed to begin.

Rule: `claim` decides in one transaction and waits for nothing; `answer` says it once that is durable, and
looks at the repository too.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any

from mcp_server import faults
from mcp_server.core import case_globs, landing, role, schedule
from mcp_server.core import task as tasks
from mcp_server.core.lease import Lease
from mcp_server.core.principal import Principal
from mcp_server.core.refusal import Refused
from mcp_server.core.task import Task, TaskEvent
from mcp_server.store import Tx
from mcp_server.store import leases as lease_rows
from mcp_server.store import notes as note_rows
from mcp_server.store import tasks as task_rows
from mcp_server.use_cases import leasing
from mcp_server.use_cases.oracle import baseline, case_sets
from mcp_server.use_cases.people import spending
from mcp_server.world import World

FAILING_MAX = 20  # failing case ids in the answer; the count is always whole
NOTES_MAX = 3
NOTE_CHARACTERS = 300


@dataclass(frozen=True)
class Claimed:
    """What was decided, at `now_ms`. The answer speaks of that moment: later the lease may be over."""

    task: Task
    lease: Lease
    notes: list[note_rows.Note]
    now_ms: int


def claim(
    world: World, tx: Tx, who: Principal, task: str | None = None, module: str | None = None
) -> Claimed | Refused:
    """Lease a task to `who`. Claiming what one already holds answers with the same lease: a repeated call
    changes nothing.
    """
    live = leasing.live(world, tx)  # first: it gives back the tasks whose leases have run out
    board = schedule.Board(task_rows.every(tx), live, world.now_ms())
    chosen = role.refusal(world.role_of(who.name)) or schedule.choose(
        board, who.name, task=task, module=module
    )
    if isinstance(chosen, Task):
        chosen = spending.refusal(world, tx, who, chosen.id) or chosen
    match chosen:
        case Refused():
            return chosen
        case Lease():
            lease = _resume(world, tx, who, chosen)
        case Task():
            lease = _grant(world, tx, who, chosen)
    held = task_rows.get(tx, lease.task)
    assert held is not None
    faults.reached("claim.decided")
    return Claimed(held, lease, note_rows.newest(tx, limit=NOTES_MAX), world.now_ms())


def _grant(world: World, tx: Tx, who: Principal, task: Task) -> Lease:
    now = world.now_ms()
    lease = Lease(
        fence=lease_rows.next_fence(tx),
        task=task.id,
        agent=who.name,
        session=who.session,
        repo=task.repo,
        paths=task.paths,
        granted_ms=now,
        expires_ms=now + world.lease_ms,
    )
    lease_rows.add(tx, lease)
    state = tasks.next_state(task.state, TaskEvent.CLAIM)
    assert state is not None, "only an open task is granted"
    leasing.move(world, tx, dataclasses.replace(task, state=state, reason=""), who.name)
    world.record(
        tx,
        "lease_granted",
        who,
        task=task.id,
        fence=lease.fence,
        paths=list(lease.paths),
        expires_ms=lease.expires_ms,
    )
    return lease


def _resume(world: World, tx: Tx, who: Principal, lease: Lease) -> Lease:
    """Return the lease that the agent holds already. In a new session it goes over to that, with what was
    uploaded as salvage.

    An earlier session leaves a lease behind only while it is in the gate; were it to keep it, a refusal would
    end the lease under the hands of the new session.
    """
    if lease.session == who.session:
        return lease
    moved = dataclasses.replace(lease, session=who.session)
    lease_rows.put(tx, moved)
    task = task_rows.get(tx, lease.task)
    assert task is not None
    task_rows.put(tx, dataclasses.replace(task, salvage=leasing.salvage_of(world, tx, lease) or task.salvage))
    world.record(tx, "lease_resumed", who, task=lease.task, fence=lease.fence, before=lease.session)
    return moved


def is_quick_to_answer(world: World, claimed: Claimed) -> bool:
    """Return True if `answer` neither starts a process nor reads what may be long."""
    task = claimed.task
    return not (world.unkept or task.cases or task.salvage) and world.repos[task.repo].refs.is_loose(
        world.main_ref(task.repo)
    )


def answer(world: World, claimed: Claimed) -> dict[str, Any]:
    """Return what the holder needs to begin, once the lease is durable."""
    faults.reached("claim.committed")
    leasing.keep_salvage(world)
    task, lease = claimed.task, claimed.lease
    base = world.main(task.repo)
    failing = _failing(world, task, base)
    salvage = task.salvage
    if salvage and world.repos[task.repo].commits.is_ancestor(salvage.commit, base):
        salvage = None
    return {
        "status": "leased",
        "task": {
            "id": task.id,
            "title": task.title,
            "module": task.module,
            "repo": task.repo,
            "brief": task.brief,
        },
        "fence": lease.fence,
        "paths": list(lease.paths),
        "expires": schedule.moment(lease.expires_ms),
        "lease_s": max(0, lease.expires_ms - claimed.now_ms) // 1000,
        "base": base,
        "failing": len(failing),
        "failing_cases": failing[:FAILING_MAX],
        "salvage": dataclasses.asdict(salvage) if salvage else None,
        "notes": "\n".join(
            f"{note.topic} ({note.agent}): {note.text[:NOTE_CHARACTERS]}" for note in claimed.notes
        ),
        "check": _check(task, lease.fence),
    }


def _check(task: Task, fence: int) -> str:
    if task.is_report:
        return (
            f"change no file; hand in what you found by submit_report(fence={fence}, markdown=...), "
            "which completes the task"
        )
    return (
        f"commit inside your paths, then run_oracle(fence={fence}), "
        f"then push(fence={fence}, commit=..., summary=...)"
    )


def _failing(world: World, task: Task, base: str) -> list[str]:
    """Return the task's named cases that do not pass on main, as far as main has been measured; those of
    another suite than its own by `SUITE:ID`.
    """
    failing: list[str] = []
    for suite in world.suites_of(task.repo) if task.cases else ():
        globs = case_globs.of_suite(task.cases, suite, task.suite)
        outcomes = (baseline.outcomes_at(world, suite, base) or {}) if globs else {}
        bad = {case for case, outcome in outcomes.items() if outcome != "pass"}
        bad -= case_sets.hidden(world, suite, outcomes)
        bad -= landing.exempt(world.config.suites[suite].flaky, world.today())
        for case in case_globs.chosen(globs, bad):
            failing.append(case if suite == task.suite else f"{suite}:{case}")
    return sorted(failing)
