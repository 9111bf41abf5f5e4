"""`release_task`: gives a lease back. A task is done when its change has landed, not when somebody says so."""

from typing import Literal

from mcp_server import faults
from mcp_server.core.principal import Principal
from mcp_server.core.refusal import Code, Refused
from mcp_server.core.task import TaskEvent
from mcp_server.store import Tx
from mcp_server.store import leases as lease_rows
from mcp_server.use_cases.tasks import leasing
from mcp_server.world import World

Outcome = Literal["done", "blocked", "abandoned"]
NOTE_CHARACTERS_MAX = 2_000  # a reason that others read in lists, not a report


def release(
    world: World, tx: Tx, who: Principal, fence: int, outcome: Outcome, note: str = ""
) -> dict | Refused:
    """Releasing a lease that has already ended is no error: the answer says how it ended."""
    live = {lease.fence: lease for lease in leasing.live(world, tx)}
    lease = live.get(fence) or lease_rows.get(tx, fence)
    refused = None
    if lease is None or lease.agent != who.name:
        refused = Refused(
            Code.NOT_LEASED,
            f"fence {fence} is not a lease of yours",
            "nothing was changed",
            "claim_task() shows the lease you hold",
        )
    elif fence not in live:
        return {
            "status": "released",
            "task": lease.task,
            "outcome": lease.end_reason,
            "note": f"this lease had already ended: {lease.end_reason}",
        }
    elif lease.pinned:
        refused = Refused(
            Code.HELD,
            f"{lease.task} has a submission in the gate",
            "its lease is pinned until the verdict",
            "call push again to wait for the verdict",
        )
    elif outcome == "done":
        refused = Refused(
            Code.NOTHING_TO_LAND,
            f"{lease.task} has not landed under fence {fence}, so it is not done",
            f"you still hold {lease.task}",
            "push it; a landing, or a report where the task asks for one, completes it. Or release it as blocked (with a note) or abandoned",
        )
    elif len(note) > NOTE_CHARACTERS_MAX:
        said = f"the note has {len(note)} characters; at most {NOTE_CHARACTERS_MAX} are taken"
        refused = Refused(
            Code.TOO_LARGE,
            said,
            f"you still hold {lease.task}",
            "release again with a shorter note; write_note takes longer texts",
        )
    elif outcome == "blocked" and not note.strip():
        refused = Refused(
            Code.BAD_REQUEST,
            "blocked needs a note",
            f"you still hold {lease.task}",
            "say in note why, and who or what could unblock it",
        )
    if refused is not None:
        world.record(
            tx,
            "refusal",
            who,
            task=lease.task if lease else None,
            fence=fence,
            tool="release_task",
            code=str(refused.code),
            happened=refused.happened,
        )
        return refused
    leasing.end(
        world, tx, lease, outcome, TaskEvent.BLOCK if outcome == "blocked" else TaskEvent.ABANDON, why=note
    )
    faults.reached("release.decided")
    return {"status": "released", "task": lease.task, "outcome": outcome}


def is_told_at_once(world: World, _released: dict) -> bool:
    """Whether `answer` has nothing to keep."""
    return not world.unkept


def answer(world: World, released: dict) -> dict:
    """What the holder is told, once it is durable: what it uploaded is kept. Nobody waits for it: a lease in
    the gate is not released.
    """
    faults.reached("release.committed")
    leasing.keep_salvage(world)
    return released
