"""Leases over their life: expiry, renewal by activity, their end, and what they leave behind for the next
holder. Rule: every room of the use cases may build on this, and it on none of them.
"""

import dataclasses

from mcp_server.core import lease as core
from mcp_server.core import task as tasks
from mcp_server.core.lease import Lease
from mcp_server.core.principal import Principal
from mcp_server.core.task import Salvage, Task, TaskEvent
from mcp_server.store import Tx, people
from mcp_server.store import leases as lease_rows
from mcp_server.store import submissions as submission_rows
from mcp_server.store import tasks as task_rows
from mcp_server.world import World


def live(world: World, tx: Tx) -> list[Lease]:
    """Return the live leases. Overdue ones are ended first, so that this is exact at this moment."""
    now = world.now_ms()
    still = []
    for lease in lease_rows.open_ones(tx):
        if core.has_expired(lease, now):
            end(world, tx, lease, "expired", TaskEvent.LEASE_LOST)
            continue
        bounded = core.bounded_by_clock(lease, now, world.lease_ms)
        if bounded != lease:
            lease_rows.put(tx, bounded)
        still.append(bounded)
    return still


def expire(world: World) -> bool:
    """End overdue leases and keep what they leave behind. Return True if there were any."""
    with world.store.write() as tx:
        world = world.at_one_moment()
        before = len(lease_rows.open_ones(tx))
        overdue = before - len(live(world, tx))
    keep_salvage(world)
    return overdue > 0


def renew(world: World, tx: Tx, who: Principal) -> None:
    """Renew what `who` holds, as any call does: an agent that works loses nothing, one that is gone holds
    nothing for long.
    """
    for lease in live(world, tx):
        if lease.agent == who.name and not lease.pinned:
            renewed = core.renewed(lease, world.now_ms(), world.lease_ms)
            if renewed != lease:
                lease_rows.put(tx, renewed)


def end(world: World, tx: Tx, lease: Lease, reason: str, event: TaskEvent, *, why: str = "") -> None:
    """End a lease and move its task on. Unlanded uploads become the task's salvage."""
    lease_rows.put(tx, core.ended(lease, world.now_ms(), reason))
    task = task_rows.get(tx, lease.task)
    assert task is not None, "a lease names a task that exists"
    state = tasks.next_state(task.state, event)
    assert state is not None, f"{event} in state {task.state}"
    salvage = None if event is TaskEvent.LAND else salvage_of(world, tx, lease) or task.salvage
    move(world, tx, dataclasses.replace(task, state=state, reason=why, salvage=salvage), lease.agent)
    world.record(
        tx,
        "lease_ended",
        agent=lease.agent,
        session=lease.session,
        task=lease.task,
        fence=lease.fence,
        reason=reason,
        salvage=salvage.commit if salvage else None,
    )


def salvage_of(world: World, tx: Tx, lease: Lease) -> Salvage | None:
    """Return what the holder uploaded under this lease, if anything. Its ref is made by `keep_salvage`."""
    commit = lease.head
    if commit is None and (pushed := submission_rows.of_fence(tx, lease.fence)):
        commit = pushed[-1].commit
    if commit is None:
        return None
    salvage = Salvage(f"refs/salvage/{lease.task}/{lease.fence}", commit, lease.agent)
    world.unkept[salvage.ref] = (lease.repo, commit)
    return salvage


def find_unkept(world: World) -> None:
    """Find, at the start, what leases had left behind when an earlier server ended before it kept that."""
    with world.store.read() as tx:
        for task in task_rows.salvaged(tx):
            if task.salvage:
                world.unkept[task.salvage.ref] = (task.repo, task.salvage.commit)


def keep_salvage(world: World) -> None:
    """Give every salvaged commit its ref. This may be repeated; the commit itself is already held by the
    agent's own ref.
    """
    for ref, (name, commit) in list(world.unkept.items()):
        repo = world.repos[name]
        if repo.refs.tip(ref) != commit:
            repo.refs.put(ref, commit)
        if world.unkept.get(ref) == (name, commit):  # and not, meanwhile, another commit
            del world.unkept[ref]


def move(world: World, tx: Tx, task: Task, agent: str | None) -> None:
    """Write a task whose state changed, with its event."""
    task_rows.put(tx, task)
    world.record(tx, "task_state", agent=agent, task=task.id, state=str(task.state), reason=task.reason)


def holder_is_gone(tx: Tx, lease: Lease) -> bool:
    """Return True if the session that took the lease has ended; for a client without one, if no token of its
    name is left.
    """
    if lease.session is None:
        return lease.agent not in people.connected(tx)
    session = people.session(tx, lease.session)
    return session is not None and session.ended_ms is not None
