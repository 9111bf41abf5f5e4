"""Leases with one promise broken each, made of the product's own parts: what the checkers must see.

Rule: a fault breaks the one thing that it is named for; whatever else it answers and writes is right.
"""

import dataclasses
import functools
import threading
from collections.abc import Callable
from typing import Any

from mcp_server.core import schedule
from mcp_server.core.lease import Lease
from mcp_server.core.principal import Principal
from mcp_server.core.task import Task
from mcp_server.store import leases as lease_rows
from mcp_server.store import meta
from mcp_server.store import submissions as rows
from mcp_server.store import tasks as task_rows
from mcp_server.use_cases import leasing
from mcp_server.use_cases.landing import submit
from mcp_server.use_cases.tasks import claim
from mcp_server.world import World

from .histories import Deeds, called, claimed, released

_one_at_a_time = threading.RLock()  # what a fault changes around a deed, no other deed may see


def push_without_a_fence(world: World, who: Principal, fence: int, commit: str, summary: str) -> Any:
    """A woken holder's push is taken, since somebody holds its task."""
    with world.store.write() as tx:
        live = leasing.live(world, tx)
        old = lease_rows.get(tx, fence)
        if (
            old is not None
            and old.agent == who.name
            and old.ended_ms is not None
            and rows.find(tx, fence, commit) is None
        ):
            now_with = next((lease for lease in live if lease.task == old.task and not lease.pinned), None)
            if now_with is not None:
                lease_rows.put(tx, dataclasses.replace(now_with, pinned=True))
                return rows.add(
                    tx,
                    fence=fence,
                    task=old.task,
                    agent=who.name,
                    repo=old.repo,
                    commit=commit,
                    summary=summary,
                    now_ms=world.now_ms(),
                )
    return submit.submit(world, who, fence, commit, summary)


def without_expiry(deed: Callable[..., Any]) -> Callable[..., Any]:
    """Time does not end a lease: while the deed decides, an overdue one passes for pinned."""

    @functools.wraps(deed)
    def act(world: World, *args: Any, **more: Any) -> Any:
        with _one_at_a_time:
            with world.store.write() as tx:
                overdue = [
                    lease
                    for lease in lease_rows.open_ones(tx)
                    if not lease.pinned and world.now_ms() >= lease.expires_ms
                ]
                for lease in overdue:
                    lease_rows.put(tx, dataclasses.replace(lease, pinned=True))
            try:
                return deed(world, *args, **more)
            finally:
                with world.store.write() as tx:
                    for lease in overdue:
                        now = lease_rows.get(tx, lease.fence)
                        if now is not None and now.ended_ms is None and not rows.of_fence(tx, lease.fence):
                            lease_rows.put(tx, dataclasses.replace(now, pinned=False))

    return act


def claim_that_overlaps(world: World, who: Principal, task: str | None = None) -> Any:
    """No lease of another task is in the way of a claim."""
    with _one_at_a_time:
        with world.store.write() as tx:
            held = {lease.fence: lease.paths for lease in leasing.live(world, tx)}
            for fence in held:
                lease_rows.put(tx, dataclasses.replace(_lease(tx, fence), paths=(f"elsewhere{fence}/**",)))
        try:
            return claimed(world, who, task)
        finally:
            with world.store.write() as tx:
                for fence, paths in held.items():
                    lease_rows.put(tx, dataclasses.replace(_lease(tx, fence), paths=paths))


def claim_with_a_counter_that_begins_again(world: World, who: Principal, task: str | None = None) -> Any:
    """The counter of fences is forgotten as soon as no lease is left."""
    with _one_at_a_time:
        with world.store.write() as tx:
            if not lease_rows.open_ones(tx):
                used = {lease.fence for id in task_rows.all(tx) for lease in lease_rows.of_task(tx, id)}
                free = next(fence for fence in range(1, len(used) + 2) if fence not in used)
                if free < int(meta.get(tx, lease_rows.FENCE) or 0):
                    meta.put(tx, lease_rows.FENCE, str(free - 1))
                elif used:
                    meta.put(tx, lease_rows.FENCE, str(max(used) + 10))  # from here on it can fall back
        return claimed(world, who, task)


def call_that_revives(world: World, who: Principal, tool: str, **more: Any) -> Any:
    """A call renews what its caller held, though its time was up."""
    with _one_at_a_time:
        with world.store.write() as tx:
            for lease in lease_rows.open_ones(tx):
                if lease.agent == who.name and not lease.pinned and world.now_ms() >= lease.expires_ms:
                    lease_rows.put(tx, dataclasses.replace(lease, expires_ms=world.now_ms() + world.lease_ms))
        return called(world, who, tool, **more)


def claim_in_two_transactions(world: World, who: Principal, task: str | None = None) -> Any:
    """Decided on what was true a moment ago."""
    with world.store.write() as tx:
        board = schedule.Board(task_rows.all(tx), leasing.live(world, tx), world.now_ms())
    chosen = schedule.choose(board, who.name, task=task)
    if not isinstance(chosen, Task):
        return claimed(world, who, task) if isinstance(chosen, Lease) else chosen
    with world.store.write() as tx:
        lease = claim._grant(world.at_one_moment(), tx, who, chosen)
    return {
        "task": {"id": lease.task},
        "fence": lease.fence,
        "lease_s": (lease.expires_ms - lease.granted_ms) // 1000,
    }


def _lease(tx, fence: int) -> Lease:
    lease = lease_rows.get(tx, fence)
    assert lease is not None
    return lease


FAULTS: dict[str, Deeds] = {
    "no fence check": Deeds(submit=push_without_a_fence),
    "no expiry": Deeds(
        **{name: without_expiry(deed) for name, deed in {
            "claim": claimed, "called": called, "release": released, "submit": submit.submit, "expire": leasing.expire
        }.items()}
    ),
    "overlap granted": Deeds(claim=claim_that_overlaps),
    "counter reset": Deeds(claim=claim_with_a_counter_that_begins_again),
    "renewed after expiry": Deeds(called=call_that_revives),
}  # fmt: skip
RACES: dict[str, Deeds] = {"decided and written in two transactions": Deeds(claim=claim_in_two_transactions)}
