"""Owns what an agent does next by its role: a session, waiting, or nothing more. Rule: pure; each answer but
the first says why.

Workers go on while there are tasks, and wait where none is free, or where a planner or reviewer may still
make some. A planner has a session at the start, and another whenever no task is left, until one of them made
none. A reviewer has one whenever something landed since its last.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from mcp_server.core.role import Role
from mcp_server.wire.status import RunStatus


@dataclass(frozen=True)
class RunView:
    """The server's status, as far as it decides here."""

    finished: bool
    claimable: bool
    tasks: int
    landings: int
    closed: Mapping[str, tuple[int, str]]  # accounts that give nothing: until when (ms), and why

    @classmethod
    def of(cls, status: RunStatus) -> "RunView":
        """Return what of the server's status decides here."""
        counts = status.tasks
        closed = {
            account.account: (account.until_ms or 0, account.reason)
            for account in status.accounts
            if account.state == "closed"
        }
        return cls(
            finished=status.finished,
            claimable=status.claimable,
            tasks=counts.open + counts.claimed + counts.done + counts.blocked,
            landings=status.landings,
            closed=closed,
        )


@dataclass(frozen=True)
class Others:
    """Whether agents of the run that are not this one, and have not stopped, have these roles."""

    workers: bool = False
    planners: bool = False
    reviewers: bool = False


class Go:
    """A session, now."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Go)


@dataclass(frozen=True)
class Later:
    reason: str


@dataclass(frozen=True)
class NoMoreDuty:
    reason: str


def following(
    role: Role, board: RunView, last: RunView | None, others: Others, *, waits_itself: bool = False
) -> Go | Later | NoMoreDuty:
    """`last`: the board when this agent's newest session that ended well began. `waits_itself`: an agent whom
    waiting costs nothing.
    """
    match role:
        case Role.WORKER:
            return _worker(board, others, waits_itself)
        case Role.PLANNER:
            return _planner(board, last, others)
        case Role.REVIEWER:
            return _reviewer(board, last, others)


def _worker(board: RunView, others: Others, waits_itself: bool) -> Go | Later | NoMoreDuty:
    if board.finished:
        return (
            Later("no task is left; others may still make some")
            if others.planners or others.reviewers
            else NoMoreDuty("no task is left")
        )
    return Go() if board.claimable or waits_itself else Later("no task is free now")


def _planner(board: RunView, last: RunView | None, others: Others) -> Go | Later | NoMoreDuty:
    if last is None:
        return Go()
    if not board.finished:
        return (
            Later("the tasks are being worked on")
            if others.workers
            else NoMoreDuty("it has planned, and no worker is left")
        )
    return Go() if board.tasks > last.tasks else NoMoreDuty("nothing is left to plan")


def _reviewer(board: RunView, last: RunView | None, others: Others) -> Go | Later | NoMoreDuty:
    if board.landings > (last.landings if last else 0):
        return Go()
    if board.finished and not others.planners:
        return NoMoreDuty("everything that landed is reviewed")
    return (
        Later("nothing new has landed")
        if others.workers or others.planners
        else NoMoreDuty("no worker is left")
    )
