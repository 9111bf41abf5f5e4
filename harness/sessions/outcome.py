"""Owns how a session's end is named and what follows from it. Rule: pure; values in, values out, `now_ms` as
argument.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from harness.agents.base import AgentEvent, Mark
from harness.sessions import limits
from harness.sessions.limits import Cut
from harness.show import lines
from mcp_server.core.role import Role
from mcp_server.wire.sessions import BudgetNote, QuotaWait, SessionState

SAME_FAILURES_MAX = 3
WAITS_S = (2.0, 10.0, 60.0)  # after the first, second, ... failure in a row; the last one is kept
QUOTA_WAIT_S = 300.0  # when nobody said until when
SIGKILLED = 137
NOT_FOUND = (126, 127)
FOR_GOOD = ("agent", "run")  # scopes of a budget that another session has no more of
DETAIL_CHARACTERS_MAX = 300


class SessionOutcome(StrEnum):
    WORKED = "worked"
    IDLE = "idle"
    QUOTA = "quota"
    AUTH = "auth"
    MISSING = "missing"
    ASKED = "asked"
    CRASHED = "crashed"
    TIMEOUT = "timeout"
    BUDGET = "budget"
    NO_TOOLS = "no_tools"
    STOPPED = "stopped"


@dataclass(frozen=True)
class Seen:
    """What the harness saw of a session that has ended. cut: why it ended it itself, if it did."""

    exit: int | None
    cut: tuple[Cut, str] | None = None
    out_of_memory: bool = False
    entry: dict[str, str] | None = (
        None  # the sandbox's own failures by name -> detail (no_command, clone_failed, unusable)
    )
    events: tuple[AgentEvent, ...] = ()


@dataclass(frozen=True)
class Known:
    """What the server knows of it."""

    calls: int = 0  # tool calls
    uploaded: bool = False  # it has commits of this session
    tools_listed: bool = True
    leases: int = 0  # it held
    is_free: bool = False  # a task could have been claimed when it ended
    quota: QuotaWait | None = None  # the pause that it was in when it ended
    over: BudgetNote | None = None  # the budget that is used up

    @classmethod
    def of(cls, state: SessionState, *, is_free: bool) -> "Known":
        """Return what counts of the server's answer on a session."""
        return cls(
            calls=state.calls,
            uploaded=bool(state.head),
            tools_listed=state.tools_listed,
            leases=state.leases,
            is_free=is_free,
            quota=state.waiting_for_quota,
            over=state.over_budget,
        )


@dataclass(frozen=True)
class SessionEnd:
    """A session's name for its end. fruitful: something came of it, or nothing could have, so a repetition is
    no failure.

    for_good: no other session can end otherwise.
    """

    outcome: SessionOutcome
    detail: str = ""
    fruitful: bool = False
    wait_until_ms: int | None = None
    for_good: bool = False


def classify(seen: Seen, facts: Known, role: str = Role.WORKER) -> SessionEnd:
    """First rule that holds wins: what the harness did, what the sandbox said, what vendor and gateway said,
    how the command ended.
    """
    if seen.cut is not None:
        return _cut(*seen.cut, facts)
    entry = seen.entry or {}
    if "no_command" in entry:
        return SessionEnd(SessionOutcome.MISSING, entry["no_command"])
    for name in ("unusable", "clone_failed"):
        if name in entry:
            return SessionEnd(SessionOutcome.CRASHED, f"{name.replace('_', ' ')}: {entry[name]}")
    if facts.over is not None:
        return _over(facts.over.note, facts)
    if auth := _last(seen.events, Mark.AUTH):
        return SessionEnd(SessionOutcome.AUTH, auth, facts.uploaded)
    if (quota := _quota(seen, facts)) is not None:
        return quota
    if seen.exit != 0:
        return _crash(seen, facts)
    return _by_itself(seen, facts, role)


def _cut(cut: Cut, why: str, facts: Known) -> SessionEnd:
    match cut:
        case Cut.STOP:
            return SessionEnd(SessionOutcome.STOPPED, why, fruitful=True)
        case Cut.TIME:
            return SessionEnd(SessionOutcome.TIMEOUT, why, facts.uploaded)
        case Cut.DISK:
            return SessionEnd(SessionOutcome.CRASHED, why, facts.uploaded)
        case Cut.NO_TOOLS:
            return SessionEnd(SessionOutcome.NO_TOOLS, why, facts.uploaded)
        case Cut.QUIET:
            return SessionEnd(SessionOutcome.IDLE, why, facts.uploaded)
        case Cut.BUDGET:
            return _over(why, facts)


def _over(why: str, facts: Known) -> SessionEnd:
    """Return the end at a used-up budget, of which the server may not have said which one it is."""
    if facts.over is None:
        return SessionEnd(SessionOutcome.BUDGET, why, facts.uploaded)
    for_good = facts.over.scope in FOR_GOOD
    return SessionEnd(SessionOutcome.BUDGET, facts.over.note, facts.uploaded, for_good=for_good)


def _quota(seen: Seen, facts: Known) -> SessionEnd | None:
    """Return the end by quota, if it is one. The gateway knows the reset where it said no itself; else what
    the CLI says has to do.
    """
    if facts.quota is not None:
        return SessionEnd(SessionOutcome.QUOTA, facts.quota.reason, facts.uploaded, facts.quota.until_ms)
    event = next((event for event in reversed(seen.events) if event.mark is Mark.QUOTA), None)
    return (
        SessionEnd(SessionOutcome.QUOTA, event.text, facts.uploaded, event.wait_until_ms)
        if event is not None
        else None
    )


def _by_itself(seen: Seen, facts: Known, role: str) -> SessionEnd:
    """The command ended as one that is content. A question is no harm where work was done: nobody waits for
    its answer.
    """
    if facts.uploaded or (facts.calls and role != Role.WORKER):
        return SessionEnd(SessionOutcome.WORKED, fruitful=True)
    if asked := _last(seen.events, Mark.ASKED):
        return SessionEnd(SessionOutcome.ASKED, asked)
    if facts.leases:
        return SessionEnd(SessionOutcome.WORKED, fruitful=True)
    if facts.calls:
        return SessionEnd(
            SessionOutcome.IDLE,
            "it took no task" if facts.is_free else "no task was free",
            fruitful=not facts.is_free,
        )
    return (
        SessionEnd(SessionOutcome.IDLE)
        if facts.tools_listed
        else SessionEnd(SessionOutcome.NO_TOOLS, limits.no_tools())
    )


def _crash(seen: Seen, facts: Known) -> SessionEnd:
    if seen.exit is None:
        return SessionEnd(SessionOutcome.CRASHED, "the sandbox is gone", facts.uploaded)
    if seen.exit in NOT_FOUND and not facts.calls:
        return SessionEnd(
            SessionOutcome.MISSING, f"exit {seen.exit}: {_last(seen.events, Mark.ERROR, Mark.SAID)}"
        )
    if seen.out_of_memory:
        return SessionEnd(SessionOutcome.CRASHED, "out of memory", facts.uploaded)
    killed = " (killed)" if seen.exit == SIGKILLED else ""
    said = _last(seen.events, Mark.ERROR)
    return SessionEnd(
        SessionOutcome.CRASHED, f"exit {seen.exit}{killed}" + (f": {said}" if said else ""), facts.uploaded
    )


def _last(events: Sequence[AgentEvent], *marks: Mark) -> str:
    return next((event.text[:DETAIL_CHARACTERS_MAX] for event in reversed(events) if event.mark in marks), "")


@dataclass(frozen=True)
class Again:
    """Start the next session after wait_s."""

    wait_s: float
    reason: str = ""


@dataclass(frozen=True)
class Enough:
    """Start no other session. gave_up: though there may be work."""

    reason: str
    gave_up: bool = True


def after(
    history: Sequence[SessionEnd], *, now_ms: int, waits_s: Sequence[float] = WAITS_S
) -> Again | Enough:
    """Return what follows the last session. A quota is waited out, and is no failure: the account heals by
    itself.
    """
    last = history[-1]
    if last.outcome is SessionOutcome.STOPPED:
        return Enough(last.detail or "stopped", gave_up=False)
    if last.for_good:
        return Enough(name(last))
    if last.outcome is SessionOutcome.QUOTA:
        until_ms = now_ms + int(QUOTA_WAIT_S * 1000) if last.wait_until_ms is None else last.wait_until_ms
        return Again(max(until_ms - now_ms, 0) / 1000, lines.waiting_for_quota(until_ms, last.detail))
    if last.fruitful:
        return Again(0.0) if last.outcome is not SessionOutcome.IDLE else Again(waits_s[0], name(last))
    failures = _in_a_row(history)
    same = [ended for ended in failures if _kind(ended) == _kind(last)]
    if len(same) >= SAME_FAILURES_MAX:
        return Enough(f"{len(same)} sessions in a row ended the same way: {name(last)}")
    return Again(waits_s[min(len(failures), len(waits_s)) - 1], name(last))


def _in_a_row(history: Sequence[SessionEnd]) -> list[SessionEnd]:
    """The failures since something last came of a session; quotas between them do not count."""
    row: list[SessionEnd] = []
    for ended in reversed(history):
        if ended.fruitful:
            break
        if ended.outcome is not SessionOutcome.QUOTA:
            row.append(ended)
    return row


def _kind(ended: SessionEnd) -> tuple[SessionOutcome, str]:
    """What makes two failures the same: not the numbers, times and ids in their messages."""
    return ended.outcome, re.sub(r"\b[0-9a-f-]{7,}\b|\d+", "#", ended.detail)


def name(ended: SessionEnd) -> str:
    return f"{ended.outcome}: {ended.detail}" if ended.detail else str(ended.outcome)
