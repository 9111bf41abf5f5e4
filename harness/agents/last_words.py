"""Owns what the words of an agent's program mean for its session: a quota, a login, a question, or plain
trouble.

Rule: pure, and only for what a program says last: most of them tell of each try too, and go on.
"""

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from harness.agents.base import AgentEvent, Mark

TEXT_MAX = 2_000  # characters of one event
# the gateway's own word: no vendor's quota, and no wait heals it
BUDGET = re.compile(r"\bbudget", re.IGNORECASE)
AUTH = re.compile(
    r"\b401\b|\b403\b|unauthori[sz]ed|unauthenticated|authentication"
    r"|invalid[ _]api[ _]key|api key not valid|permission_denied"
    r"|not logged in|please (?:run )?/?log ?in|login required",
    re.IGNORECASE,
)
QUOTA = re.compile(
    r"\b429\b|\b529\b|rate[ _-]?limit|too many requests|resource[ _]exhausted|overloaded"
    r"|quota|usage[ _]limit|hit your .{0,20}limit|limit reached"
    r"|credit balance is too low|may be asked again in \d",  # the last: the gateway's own words
    re.IGNORECASE,
)
_UNITS_S = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_SPAN = re.compile(r"(\d+(?:\.\d+)?) ?(ms|h|m|s)(?:(?:ou)?rs?|in(?:ute)?s?|ec(?:ond)?s?)?(?![a-z])")
_IN = re.compile(
    r"(?:again|resets?|retry|wait|available)\b[^.;{}]{0,40}?\b(?:in|after|for)[: ]+"
    r"((?:\d+(?:\.\d+)? ?[a-z]+[, ]*)+)",
    re.IGNORECASE,
)
_EPOCH = re.compile(r"(?:\||resets_at\W{1,4})(\d{10})\b")
_MOMENT = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)")


def trouble(text: str) -> AgentEvent:
    """Return what the words mean with which a program gave up."""
    text = text.strip()[:TEXT_MAX] or "it gave no reason"
    if BUDGET.search(text):
        return AgentEvent(Mark.ERROR, text)
    # A quota first: its words are the narrower ones, and vendors call a spent plan many things,
    # "authentication" among them.
    if QUOTA.search(text):
        return AgentEvent(Mark.QUOTA, text, until_ms(text), wait_s(text))
    return AgentEvent(Mark.AUTH if AUTH.search(text) else Mark.ERROR, text)


def ending(text: str, used: str = "") -> AgentEvent:
    """Return what a program's last words mean when it ended well: nobody will answer a question.

    `used`: the tokens of the session, in words.
    """
    text = text.strip()[:TEXT_MAX]
    line = " ".join(filter(None, (text, f"({used})" if used else "")))
    return AgentEvent(Mark.ASKED if text.endswith("?") else Mark.RESULT, line)


def speech(text: object) -> AgentEvent | None:
    """Return what a model's text means while its program goes on; None for an empty one."""
    words = str(text or "").strip()[:TEXT_MAX]
    if not words:
        return None
    return AgentEvent(Mark.ASKED if words.endswith("?") else Mark.SAID, words)


def until_ms(text: str) -> int | None:
    """Return the moment that the words name, in milliseconds since 1970."""
    if epoch := _EPOCH.search(text):
        return int(epoch[1]) * 1000
    if moment := _MOMENT.search(text):
        return round(datetime.fromisoformat(moment[0]).timestamp() * 1000)
    return None


def wait_s(text: str) -> float | None:
    """Return the time that the words name: "again in 90 s", "resets in 2h 5m", "retry after 30 seconds"."""
    found = _IN.search(text)
    spans = _SPAN.findall(found[1].lower()) if found else []
    return sum(float(number) * _UNITS_S[unit] for number, unit in spans) if spans else None


def tokens(read: Any, written: Any) -> str:
    """Return what a session used, in words; empty if the numbers are none."""
    if not isinstance(read, int) or not isinstance(written, int):
        return ""
    return f"{read:,} tokens read, {written:,} written"


def record(line: str) -> dict[str, Any] | None:
    """Return a line of output as the JSON object that it is, or None."""
    if not line.startswith("{"):
        return None
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def table(value: object) -> Mapping[str, Any]:
    """Return the JSON object that a field should hold; an empty one if it holds anything else."""
    return value if isinstance(value, dict) else {}


def message(error: object) -> str:
    """Return the text of an error that is an object with a message, or the message itself."""
    return str(error.get("message") if isinstance(error, dict) else error)


def plain(line: str) -> AgentEvent | None:
    """Return the event of a line that is no record: what a program writes to its standard error, mostly."""
    line = line.strip()[:TEXT_MAX]
    if not line:
        return None
    return AgentEvent(Mark.ERROR if line.lower().startswith(("error", "fatal")) else Mark.SAID, line)


def call(tool: object, arguments: object) -> AgentEvent:
    """Return the event of a tool call, its arguments cut short."""
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return AgentEvent(Mark.TOOL, f"{tool} {text}"[:TEXT_MAX])
