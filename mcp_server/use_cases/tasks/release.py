"""`release_task` gives a lease back. Rule: a task is done when its change has landed, not when somebody says
so.
"""

from typing import Any, Literal

from mcp_server import faults
from mcp_server.core.lease import Lease
from mcp_server.core.principal import Principal
from mcp_server.core.refusal import Code, Refused
from mcp_server.core.task import TaskEvent
from mcp_server.store import Tx
from mcp_server.store import leases as lease_rows
from mcp_server.use_cases import leasing
from mcp_server.world import World

Outcome = Literal["done", "blocked", "abandoned"]
NOTE_CHARACTERS_MAX = 2_000  # a reason that others read in lists, not a report


def release(
    world: World, tx: Tx, who: Principal, fence: int, outcome: Outcome, note: str = ""
) -> dict[str, Any] | Refused:
    """End a lease and return its task and outcome.

    Releasing a lease that has already ended is no error: the answer says how it ended.
    """
    live = {lease.fence: lease for lease in leasing.live(world, tx)}
    lease = live.get(fence) or lease_rows.get(tx, fence)
    if lease is None or lease.agent != who.name:
        return Refused(
            Code.NOT_LEASED,
            f"fence {fence} is not a lease of yours",
            "nothing was changed",
            "claim_task() shows the lease you hold",
        )
    if fence not in live:
        return {
            "status": "released",
            "task": lease.task,
            "outcome": lease.end_reason,
            "note": f"this lease had already ended: {lease.end_reason}",
        }
    if refusal := _refusal(lease, outcome, note):
        return refusal
    event = TaskEvent.BLOCK if outcome == "blocked" else TaskEvent.ABANDON
    leasing.end(world, tx, lease, outcome, event, why=note)
    faults.reached("release.decided")
    return {"status": "released", "task": lease.task, "outcome": outcome}


def _refusal(lease: Lease, outcome: Outcome, note: str) -> Refused | None:
    """Return why a live lease is not given back so; None if it is."""
    if lease.pinned:
        return Refused(
            Code.HELD,
            f"{lease.task} has a submission in the gate",
            "its lease is pinned until the verdict",
            "call push again to wait for the verdict",
        )
    if outcome == "done":
        return Refused(
            Code.NOTHING_TO_LAND,
            f"{lease.task} has not landed under fence {lease.fence}, so it is not done",
            f"you still hold {lease.task}",
            "push it; a landing, or a report where the task asks for one, completes it. "
            "Or release it as blocked (with a note) or abandoned",
        )
    if len(note) > NOTE_CHARACTERS_MAX:
        return Refused(
            Code.TOO_LARGE,
            f"the note has {len(note)} characters; at most {NOTE_CHARACTERS_MAX} are taken",
            f"you still hold {lease.task}",
            "release again with a shorter note; write_note takes longer texts",
        )
    if outcome == "blocked" and not note.strip():
        return Refused(
            Code.BAD_REQUEST,
            "blocked needs a note",
            f"you still hold {lease.task}",
            "say in note why, and who or what could unblock it",
        )
    return None


def is_quick_to_answer(world: World, _released: dict[str, Any]) -> bool:
    """Return True if `answer` has nothing to keep."""
    return not world.unkept


def answer(world: World, released: dict[str, Any]) -> dict[str, Any]:
    """Keep what the holder uploaded, once the release is durable, and return the answer as it was decided.

    The bell is not rung, since nobody waits for a release: a lease in the gate is not released.
    """
    faults.reached("release.committed")
    leasing.keep_salvage(world)
    return released
