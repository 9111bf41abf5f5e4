"""Owns how an event reads as one plain line, and which events are worth a line; pure.

Rule: unknown kinds and missing fields never fail: an older log is read by a newer harness and the other way
round.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

Event = Mapping[str, Any]

SHORT_COMMIT = 10
TEXT_MAX = 160


def line(event: Event, *, start_ms: int) -> str | None:
    """One line with the time since `start_ms`, or None when the event is not for people."""
    tell = _TELLERS.get(event.get("kind", ""))
    said = tell(event, event.get("data") or {}) if tell else None
    if said is None:
        return None
    return f"{relative(event.get('ms', start_ms) - start_ms)}  {event.get('agent') or '-':<14} {said}"


def waiting_for_quota(until_ms: int, why: str) -> str:
    """Return the words for an agent that waits for its account."""
    reason = f" ({why})" if why else ""
    return f"waiting for quota until {datetime.fromtimestamp(until_ms / 1000, UTC):%Y-%m-%d %H:%MZ}{reason}"


class Teller:
    """Tells events one after another; an agent that hears the same no again and again is quoted once."""

    def __init__(self, start_ms: int) -> None:
        self._start_ms = start_ms
        self._last_no: dict[str, str] = {}

    def line(self, event: Event) -> str | None:
        agent, data = str(event.get("agent")), event.get("data") or {}
        if event.get("kind") == "refusal":
            no = f"{data.get('code')} {data.get('happened')}"
            if self._last_no.get(agent) == no:
                return None
            self._last_no[agent] = no
        elif event.get("kind") in ("lease_granted", "session_started"):
            self._last_no.pop(agent, None)
        return line(event, start_ms=self._start_ms)


def relative(ms: int) -> str:
    """`+83.2s` as fixed-width text."""
    return f"+{ms / 1000:.1f}s".rjust(8)


def short(commit: object) -> str:
    return str(commit)[:SHORT_COMMIT] if commit else "?"


def clipped(text: object, limit: int = TEXT_MAX) -> str:
    flat = " ".join(str(text).split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


def _session_started(event: Event, data: Event) -> str:
    return f"session {event.get('session')} started"


def _session_ended(event: Event, data: Event) -> str:
    detail = f": {clipped(data['detail'])}" if data.get("detail") else ""
    return f"session {event.get('session')} ended, {data.get('outcome', 'unknown')}{detail}"


def _agent_state(event: Event, data: Event) -> str | None:
    """What no session tells: that an agent waits, or has stopped."""
    if data.get("state") == "stopped":
        never = "never started" if data.get("gave_up") and not data.get("sessions") else "stopped"
        return f"{never}: {clipped(data.get('reason', ''))}"
    return f"waits: {clipped(data.get('reason', ''))}" if data.get("state") == "waiting" else None


def _lease_granted(event: Event, data: Event) -> str:
    return f"claimed {event.get('task')} (fence {event.get('fence')})"


def _lease_lost(how: str) -> Callable[[Event, Event], str]:
    return lambda event, data: f"lease on {event.get('task')} {how} (fence {event.get('fence')})"


def _lease_ended(event: Event, data: Event) -> str | None:
    why = data.get("outcome") or data.get("reason") or data.get("why")
    if why in ("landed", "done"):
        return None  # the landing has its own line
    return (
        f"lease on {event.get('task')} ended{f', {clipped(why)}' if why else ''} (fence {event.get('fence')})"
    )


def _refusal(event: Event, data: Event) -> str:
    tool = data.get("tool") or data.get("what") or "request"
    happened = data.get("happened") or data.get("message") or ""
    return f"refused {data.get('code', '?')} in {tool}{f': {clipped(happened)}' if happened else ''}"


def _landed(event: Event, data: Event) -> str:
    summary = data.get("summary") or data.get("subject") or ""
    return f"LANDED {event.get('task')} as {short(data.get('commit'))}{f': {clipped(summary, 80)}' if summary else ''}"


def _note(event: Event, data: Event) -> str:
    return f"note on {data.get('topic', '?')}: {clipped(data.get('text', ''), 100)}"


def _task_state(event: Event, data: Event) -> str | None:
    state = data.get("state") or data.get("to")
    return f"task {event.get('task')} is {state}" if state == "blocked" else None


def _task_created(event: Event, data: Event) -> str | None:
    proposed = event.get("agent") not in (None, "", "server")
    return f"proposed task {event.get('task')}: {clipped(data.get('title', ''), 80)}" if proposed else None


def _oracle_checked(event: Event, data: Event) -> str:
    return f"oracle {data.get('suite', '?')} checked: {data.get('status', data.get('verdict', '?'))}"


def _admin(event: Event, data: Event) -> str:
    return f"admin: {clipped(data.get('action', data))}"


_TELLERS: dict[str, Callable[[Event, Event], str | None]] = {
    "agent_state": _agent_state,
    "session_started": _session_started,
    "session_ended": _session_ended,
    "lease_granted": _lease_granted,
    "lease_expired": _lease_lost("expired"),
    "lease_ended": _lease_ended,
    "refusal": _refusal,
    "landed": _landed,
    "note_written": _note,
    "task_state": _task_state,
    "task_created": _task_created,
    "oracle_checked": _oracle_checked,
    "admin_action": _admin,
}
