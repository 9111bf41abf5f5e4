"""`submit_report`: the result of a task that changes no code. It completes the task, as a landing completes
another.
"""

import hashlib
from dataclasses import asdict
from typing import Any

from mcp_server.core import budget
from mcp_server.core.lease import Lease
from mcp_server.core.principal import Principal
from mcp_server.core.refusal import Code, Refused
from mcp_server.core.task import Task, TaskEvent
from mcp_server.store import notes as note_rows
from mcp_server.store import reports as rows
from mcp_server.store import tasks as task_rows
from mcp_server.store.notes import Note
from mcp_server.store.reports import Report
from mcp_server.use_cases import leasing
from mcp_server.use_cases.landing.submit import lease_to_submit_under
from mcp_server.use_cases.memory.notes import NOTE_CHARACTERS_MAX
from mcp_server.world import World

REPORT_CHARACTERS_MAX = 60_000  # some fifteen pages; longer ones are data, and belong into files
NOTE_CHARACTERS = NOTE_CHARACTERS_MAX - 100  # and how much was cut


def submit(world: World, who: Principal, fence: int, markdown: str) -> dict[str, Any] | Refused:
    """Take a report and complete its task. A repeated call, by (fence, text), finds the report as it was
    taken.
    """
    with world.store.write() as tx:
        world = world.at_one_moment()
        lease = lease_to_submit_under(world, tx, who, fence)
        before = rows.get(tx, fence)
        if before is not None and (before.agent, before.text) == (who.name, markdown):
            return _done(before.task)
        task = task_rows.get(tx, lease.task) if isinstance(lease, Lease) else None
        refused = lease if isinstance(lease, Refused) else _wrong(task, markdown)
        if refused is not None:
            return refused
        assert isinstance(lease, Lease) and task is not None
        rows.add(tx, Report(fence, task.id, who.name, markdown, world.now_ms()))
        # Agents that never look at anything else do read notes.
        note_rows.add(
            tx, Note(f"report/{task.id}", who.name, budget.cut(markdown, NOTE_CHARACTERS), world.now_ms())
        )
        digest = hashlib.sha256(markdown.encode()).hexdigest()
        world.record(
            tx, "report_submitted", who, task=task.id, fence=fence, characters=len(markdown), sha256=digest
        )
        leasing.end(world, tx, lease, "reported", TaskEvent.REPORT)
    leasing.keep_salvage(world)
    world.bell.ring()
    return _done(task.id)


def of_task(world: World, task: str) -> dict[str, Any] | None:
    """Return the newest report of a task, for people; None if there is none."""
    with world.store.read() as tx:
        report = rows.of_task(tx, task)
    return asdict(report) if report is not None else None


def _done(task: str) -> dict[str, Any]:
    return {"status": "reported", "task": task, "next": "claim_task() for the next task"}


def _wrong(task: Task | None, markdown: str) -> Refused | None:
    assert task is not None, "a lease names a task that exists"
    if not task.is_report:
        return Refused(
            Code.BAD_REQUEST,
            f"{task.id} asks for a change, not for a report",
            f"you still hold {task.id}",
            "push a commit or a patch; what others should know goes into write_note",
        )
    if not 0 < len(markdown.strip()) <= len(markdown) <= REPORT_CHARACTERS_MAX:
        return Refused(
            Code.TOO_LARGE if markdown.strip() else Code.BAD_REQUEST,
            f"the report has {len(markdown):,} characters",
            f"you still hold {task.id}",
            f"hand in 1 to {REPORT_CHARACTERS_MAX:,} characters",
        )
    return None
