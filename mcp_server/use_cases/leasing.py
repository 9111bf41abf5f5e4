"""Leases over their life: expiry, renewal by activity, their end, and what they leave behind for the next holder."""

import dataclasses
from collections.abc import Callable

from mcp_server.auth import Principal
from mcp_server.core import lease as core
from mcp_server.core import task as tasks
from mcp_server.core.lease import Lease
from mcp_server.core.refusal import Refused
from mcp_server.core.task import Event, Salvage, Task
from mcp_server.store import Tx, people
from mcp_server.store import leases as lease_rows
from mcp_server.store import submissions as submission_rows
from mcp_server.store import tasks as task_rows
from mcp_server.world import World

# What a use case does at the end of its transaction, told of the refusal, if it is one.
Also = Callable[[World, Tx, Refused | None], None]


def nothing(_world: World, _tx: Tx, _refused: Refused | None) -> None:
    """The usual Also."""


def live(world: World, tx: Tx) -> list[Lease]:
    """The live leases. Overdue ones are ended first, so that what is read here is exact at this moment."""
    now = world.now_ms()
    still = []
    for lease in lease_rows.open_ones(tx):
        if core.has_expired(lease, now):
            end(world, tx, lease, "expired", Event.LEASE_LOST)
        else:
            still.append(lease)
    return still


def expire(world: World) -> bool:
    """Ends overdue leases and keeps what they leave behind. Whether there were any."""
    with world.store.write() as tx:
        world = world.at_one_moment()
        before = len(lease_rows.open_ones(tx))
        overdue = before - len(live(world, tx))
    if overdue:
        keep_salvage(world)
    return overdue > 0


def renew(world: World, tx: Tx, who: Principal) -> None:
    """Any call by the holder renews: an agent that works loses nothing, one that is gone holds nothing for long."""
    for lease in live(world, tx):
        if lease.agent == who.name and not lease.pinned:
            renewed = core.renewed(lease, world.now_ms(), world.lease_ms)
            if renewed != lease:
                lease_rows.put(tx, renewed)


def end(world: World, tx: Tx, lease: Lease, reason: str, event: Event, *, why: str = "") -> None:
    """Ends a lease and moves its task on; unlanded uploads become the task's salvage."""
    lease_rows.put(tx, core.ended(lease, world.now_ms(), reason))
    task = task_rows.get(tx, lease.task)
    assert task is not None, "a lease names a task that exists"
    state = tasks.next_state(task.state, event)
    assert state is not None, f"{event} in state {task.state}"
    salvage = None if event is Event.LAND else salvage_of(lease, tx) or task.salvage
    move(world, tx, dataclasses.replace(task, state=state, reason=why, salvage=salvage), lease.agent)
    left = salvage.commit if salvage else None
    world.record(tx, "lease_ended", agent=lease.agent, session=lease.session, task=lease.task, fence=lease.fence, reason=reason, salvage=left)


def salvage_of(lease: Lease, tx: Tx) -> Salvage | None:
    """What the holder uploaded under this lease, if anything: its ref is made by `keep_salvage`."""
    pushed = [submission.commit for submission in submission_rows.of_fence(tx, lease.fence)]
    commit = lease.head or (pushed[-1] if pushed else None)
    return Salvage(f"refs/salvage/{lease.task}/{lease.fence}", commit, lease.agent) if commit else None


def keep_salvage(world: World) -> None:
    """Gives every salvaged commit its ref. Repeatable; the commit itself is already held by the agent's own ref."""
    with world.store.read() as tx:
        salvaged = task_rows.salvaged(tx)
    for task in salvaged:
        repo, salvage = world.repos[task.repo], task.salvage
        if salvage is not None and repo.tip(salvage.ref) is None:
            repo.set_ref(salvage.ref, salvage.commit)


def move(world: World, tx: Tx, task: Task, agent: str | None) -> None:
    """Writes a task whose state changed, with its event."""
    task_rows.put(tx, task)
    world.record(tx, "task_state", agent=agent, task=task.id, state=str(task.state), reason=task.reason)


def holder_is_gone(tx: Tx, lease: Lease) -> bool:
    """Whether the session that took the lease has ended; of a client without one, whether no token of its name is left."""
    if lease.session is None:
        return lease.agent not in people.connected(tx)
    session = people.session(tx, lease.session)
    return session is not None and session.ended_ms is not None
