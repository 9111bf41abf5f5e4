"""Owns how a session's end is named and what follows from it. Rule: pure; values in, values out, `now_ms` as argument."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from harness.agents.base import Event, Mark

SAME_FAILURES_MAX = 3
WAITS_S = (2.0, 10.0, 60.0)  # after the first, second, ... failure in a row; the last one is kept
QUOTA_WAIT_S = 300.0  # when the vendor did not say until when
SIGKILLED = 137
NOT_FOUND = (126, 127)


class Outcome(StrEnum):
    WORKED = "worked"
    IDLE = "idle"
    QUOTA = "quota"
    AUTH = "auth"
    MISSING = "missing"
    ASKED = "asked"
    CRASHED = "crashed"
    TIMEOUT = "timeout"
    BUDGET = "budget"
    STOPPED = "stopped"


class Cut(StrEnum):
    """Why the supervisor ended a session itself."""

    STOP = "stop requested"
    TIME = "session time over"
    DISK = "disk limit reached"


@dataclass(frozen=True)
class Seen:
    """Everything known of a session that has ended."""

    exit: int | None
    cut: Cut | None = None
    out_of_memory: bool = False
    entry: dict[str, str] | None = None  # the sandbox's own failures by name -> detail (no_command, clone_failed, unusable)
    events: tuple[Event, ...] = ()
    calls: int = 0  # tool calls that the server counted
    uploaded: bool = False  # the server has commits of this session
    tools_listed: bool = True


@dataclass(frozen=True)
class Ended:
    """A session's name for its end. fruitful: something came of it, so a repetition is no failure."""

    outcome: Outcome
    detail: str = ""
    fruitful: bool = False
    wait_until_ms: int | None = None


def classify(seen: Seen) -> Ended:
    """First rule that holds wins: what the supervisor did, what the sandbox said, what the vendor said, how the command ended."""
    fruitful = seen.uploaded
    entry = seen.entry or {}
    quota = next((event for event in reversed(seen.events) if event.mark is Mark.QUOTA), None)
    match seen.cut:
        case Cut.STOP:
            return Ended(Outcome.STOPPED, seen.cut, fruitful=True)
        case Cut.TIME:
            return Ended(Outcome.TIMEOUT, seen.cut, fruitful)
        case Cut.DISK:
            return Ended(Outcome.CRASHED, seen.cut, fruitful)
    if "no_command" in entry:
        return Ended(Outcome.MISSING, entry["no_command"])
    for name in ("unusable", "clone_failed"):
        if name in entry:
            return Ended(Outcome.CRASHED, f"{name.replace('_', ' ')}: {entry[name]}")
    if auth := _last(seen.events, Mark.AUTH):
        return Ended(Outcome.AUTH, auth, fruitful)
    if quota is not None:
        return Ended(Outcome.QUOTA, quota.text, fruitful, quota.wait_until_ms)
    if seen.exit != 0:
        return _crash(seen)
    if seen.calls == 0 and (asked := _last(seen.events, Mark.ASKED)):
        return Ended(Outcome.ASKED, asked)
    if seen.calls or seen.uploaded:
        return Ended(Outcome.WORKED, fruitful=True)
    return Ended(Outcome.IDLE, "" if seen.tools_listed else "it never listed our tools: is its MCP configuration right?")


def _crash(seen: Seen) -> Ended:
    if seen.exit is None:
        return Ended(Outcome.CRASHED, "the sandbox is gone", seen.uploaded)
    if seen.exit in NOT_FOUND and not seen.calls:
        return Ended(Outcome.MISSING, f"exit {seen.exit}: {_last(seen.events, Mark.ERROR, Mark.SAID)}")
    if seen.out_of_memory:
        return Ended(Outcome.CRASHED, "out of memory", seen.uploaded)
    killed = " (killed)" if seen.exit == SIGKILLED else ""
    said = _last(seen.events, Mark.ERROR)
    return Ended(Outcome.CRASHED, f"exit {seen.exit}{killed}" + (f": {said}" if said else ""), seen.uploaded)


def _last(events: Sequence[Event], *marks: Mark) -> str:
    return next((event.text[:300] for event in reversed(events) if event.mark in marks), "")


@dataclass(frozen=True)
class Again:
    """Start the next session after wait_s."""

    wait_s: float
    reason: str = ""


@dataclass(frozen=True)
class Enough:
    """Start no other session."""

    reason: str


def after(history: Sequence[Ended], *, now_ms: int, waits_s: Sequence[float] = WAITS_S) -> Again | Enough:
    """What follows the last session. A quota is waited out, and is no failure: the account heals by itself."""
    last = history[-1]
    if last.outcome is Outcome.STOPPED:
        return Enough(last.detail or "stopped")
    if last.outcome is Outcome.QUOTA:
        wait_s = QUOTA_WAIT_S if last.wait_until_ms is None else max(last.wait_until_ms - now_ms, 0) / 1000
        return Again(wait_s, f"quota: {last.detail}")
    if last.fruitful:
        return Again(0.0)
    failures = _in_a_row(history)
    same = [ended for ended in failures if (ended.outcome, ended.detail) == (last.outcome, last.detail)]
    if len(same) >= SAME_FAILURES_MAX:
        return Enough(f"{len(same)} sessions in a row ended the same way: {name(last)}")
    return Again(waits_s[min(len(failures), len(waits_s)) - 1], name(last))


def _in_a_row(history: Sequence[Ended]) -> list[Ended]:
    """The failures since something last came of a session; quotas between them do not count."""
    row: list[Ended] = []
    for ended in reversed(history):
        if ended.fruitful:
            break
        if ended.outcome is not Outcome.QUOTA:
            row.append(ended)
    return row


def name(ended: Ended) -> str:
    return f"{ended.outcome}: {ended.detail}" if ended.detail else str(ended.outcome)
