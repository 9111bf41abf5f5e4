"""Owns how an event reads as one plain line, and which events are worth a line; pure.

Rule: unknown kinds and missing fields never fail: an older log is read by a newer harness and the other way
round.
"""

from collections.abc import Callable
from datetime import UTC, datetime

from mcp_server.wire.events import LoggedEvent

SHORT_COMMIT = 10
SHA256 = "sha256:"
TEXT_MAX = 160  # characters
NOTE_MAX = 100
SUMMARY_MAX = 80
CASES_NAMED = 5


def line(event: LoggedEvent, *, start_ms: int) -> str | None:
    """Return one line with the time since `start_ms`, or None if the event is not for people."""
    write = _WRITERS.get(event.kind)
    text = write(event) if write is not None else None
    if text is None:
        return None
    return f"{relative(event.ms - start_ms)}  {event.agent or '-':<14} {text}"


def waiting_for_quota(until_ms: int, why: str) -> str:
    """Return the words for an agent that waits for its account."""
    reason = f" ({why})" if why else ""
    return f"waiting for quota until {datetime.fromtimestamp(until_ms / 1000, UTC):%Y-%m-%d %H:%MZ}{reason}"


class Teller:
    """Writes events one after another; an agent that hears the same no again and again is quoted once."""

    def __init__(self, start_ms: int) -> None:
        self._start_ms = start_ms
        self._last_no: dict[str, str] = {}

    def line(self, event: LoggedEvent) -> str | None:
        """Return the event's line, or None if it is not worth one."""
        agent = str(event.agent)
        if event.kind == "refusal":
            no = f"{event.data.get('code')} {event.data.get('happened')}"
            if self._last_no.get(agent) == no:
                return None
            self._last_no[agent] = no
        elif event.kind in ("lease_granted", "session_started"):
            self._last_no.pop(agent, None)
        return line(event, start_ms=self._start_ms)


def relative(ms: int) -> str:
    """Return `+83.2s` as text of a fixed width."""
    return f"+{ms / 1000:.1f}s".rjust(8)


def short(commit: object) -> str:
    return str(commit)[:SHORT_COMMIT] if commit else "?"


def clipped(text: object, limit: int = TEXT_MAX) -> str:
    flat = " ".join(str(text).split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


def _session_started(event: LoggedEvent) -> str:
    return f"session {event.session} started"


def _session_ended(event: LoggedEvent) -> str:
    detail = f": {clipped(event.data['detail'])}" if event.data.get("detail") else ""
    return f"session {event.session} ended, {event.data.get('outcome', 'unknown')}{detail}"


def _agent_state(event: LoggedEvent) -> str | None:
    """Return what no session shows: that an agent waits, or has stopped."""
    reason = clipped(event.data.get("reason", ""))
    match event.data.get("state"):
        case "stopped":
            never_started = event.data.get("gave_up") and not event.data.get("sessions")
            return f"{'never started' if never_started else 'stopped'}: {reason}"
        case "waiting":
            return f"waits: {reason}"
    return None


def _lease_granted(event: LoggedEvent) -> str:
    return f"claimed {event.task} (fence {event.fence})"


def _lease_expired(event: LoggedEvent) -> str:
    return f"lease on {event.task} expired (fence {event.fence})"


def _lease_ended(event: LoggedEvent) -> str | None:
    why = event.data.get("outcome") or event.data.get("reason") or event.data.get("why")
    if why in ("landed", "done"):
        return None  # the landing has its own line
    reason = f", {clipped(why)}" if why else ""
    return f"lease on {event.task} ended{reason} (fence {event.fence})"


def _refusal(event: LoggedEvent) -> str:
    tool = event.data.get("tool") or event.data.get("what") or "request"
    happened = event.data.get("happened") or event.data.get("message")
    detail = f": {clipped(happened)}" if happened else ""
    return f"refused {event.data.get('code', '?')} in {tool}{detail}"


def _landed(event: LoggedEvent) -> str:
    summary = event.data.get("summary") or event.data.get("subject")
    detail = f": {clipped(summary, SUMMARY_MAX)}" if summary else ""
    return f"LANDED {event.task} as {short(event.data.get('commit'))}{detail}"


def _note(event: LoggedEvent) -> str:
    return f"note on {event.data.get('topic', '?')}: {clipped(event.data.get('text', ''), NOTE_MAX)}"


def _task_state(event: LoggedEvent) -> str | None:
    state = event.data.get("state") or event.data.get("to")
    return f"task {event.task} is {state}" if state == "blocked" else None


def _task_created(event: LoggedEvent) -> str | None:
    if event.agent in (None, "", "server"):
        return None  # it comes with the configuration
    return f"proposed task {event.task}: {clipped(event.data.get('title', ''), SUMMARY_MAX)}"


def _oracle_checked(event: LoggedEvent) -> str:
    status = event.data.get("status", event.data.get("verdict", "?"))
    return f"oracle {event.data.get('suite', '?')} checked: {status}"


def _main_red(event: LoggedEvent) -> str:
    named = ", ".join(event.data.get("cases", ())[:CASES_NAMED])
    detail = f": {clipped(named)}" if named else ""
    return (
        f"MAIN IS RED in {event.data.get('suite', '?')} since {short(event.data.get('since'))}, "
        f"{event.data.get('count', '?')} more cases that had passed fail{detail}"
    )


def _main_green(event: LoggedEvent) -> str:
    left = event.data.get("left")
    if left:
        return f"main passes red cases of {event.data.get('suite', '?')} again; {left} are left"
    return f"main is green again in {event.data.get('suite', '?')}"


def _admin(event: LoggedEvent) -> str:
    return f"admin: {clipped(event.data.get('action', event.data))}"


def _suite_image(event: LoggedEvent) -> str | None:
    """Return that a suite has other images than before; the first ones that are heard of are no news."""
    if not event.data.get("before"):
        return None
    suite, image = event.data.get("suite"), str(event.data.get("image")).removeprefix(SHA256)
    before = str(event.data["before"]).removeprefix(SHA256)
    return (
        f"suite {suite} has another image ({short(image)}, it was {short(before)}): what was known counts no "
        "more, main is checked and run again"
    )


_WRITERS: dict[str, Callable[[LoggedEvent], str | None]] = {
    "agent_state": _agent_state,
    "session_started": _session_started,
    "session_ended": _session_ended,
    "lease_granted": _lease_granted,
    "lease_expired": _lease_expired,
    "lease_ended": _lease_ended,
    "refusal": _refusal,
    "landed": _landed,
    "note_written": _note,
    "task_state": _task_state,
    "task_created": _task_created,
    "oracle_checked": _oracle_checked,
    "main_red": _main_red,
    "main_green": _main_green,
    "suite_image": _suite_image,
    "admin_action": _admin,
}
