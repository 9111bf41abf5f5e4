"""What an agent is there for, and what it therefore may not do. Rule: who only plans or reviews holds no
lease, so nothing of it can land.
"""

from collections.abc import Mapping
from enum import StrEnum

from mcp_server.core.refusal import Code, Refused


class Role(StrEnum):
    WORKER = "worker"  # claims tasks, changes code, lands it
    PLANNER = "planner"  # splits an aim into tasks
    REVIEWER = "reviewer"  # reads what has landed, leaves notes and tasks


INSTEAD: Mapping[Role, str] = {
    Role.PLANNER: (
        "create_task() proposes it for the workers; list_tasks() and read_progress() show what is there"
    ),
    Role.REVIEWER: "write_note() says what you found, create_task() asks a worker to mend it",
}


def refusal(role: Role) -> Refused | None:
    """Why an agent of this role gets no lease; None for one that may have it."""
    if role is Role.WORKER:
        return None
    return Refused(
        Code.ROLE,
        f"you are a {role}, so no task is leased to you",
        "only workers claim tasks and land changes",
        INSTEAD[role],
    )
