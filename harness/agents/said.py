"""Owns what the words of an agent's program mean for its session: a quota, a login, a question, or plain
trouble.

Rule: pure, and only for what a program says last: most of them tell of each try too, and go on.
"""

import json
import re
from datetime import datetime
from typing import Any

from harness.agents.base import AgentEvent, Mark

TEXT_MAX = 2_000  # characters of one event
BUDGET = re.compile(
    r"\bbudget", re.IGNORECASE
)  # the gateway's own word: no vendor's quota, and no wait heals it
AUTH = re.compile(
    r"\b401\b|\b403\b|unauthori[sz]ed|unauthenticated|authentication|invalid[ _]api[ _]key|api key not valid|permission_denied"
    r"|not logged in|please (?:run )?/?log ?in|login required",
    re.IGNORECASE,
)
QUOTA = re.compile(
    r"\b429\b|\b529\b|rate[ _-]?limit|too many requests|resource[ _]exhausted|overloaded|quota|usage[ _]limit|hit your .{0,20}limit|limit reached"
    r"|credit balance is too low|may be asked again in \d",  # the last: the gateway's own words
    re.IGNORECASE,
)
_UNITS_S = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_SPAN = re.compile(r"(\d+(?:\.\d+)?) ?(ms|h|m|s)(?:(?:ou)?rs?|in(?:ute)?s?|ec(?:ond)?s?)?(?![a-z])")
_IN = re.compile(
    r"(?:again|resets?|retry|wait|available)\b[^.;{}]{0,40}?\b(?:in|after|for)[: ]+((?:\d+(?:\.\d+)? ?[a-z]+[, ]*)+)",
    re.IGNORECASE,
)
_EPOCH = re.compile(r"(?:\||resets_at\W{1,4})(\d{10})\b")
_MOMENT = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)")


def trouble(text: str) -> AgentEvent:
    """What the words mean with which a program gave up."""
    text = text.strip()[:TEXT_MAX] or "it gave no reason"
    if BUDGET.search(text):
        return AgentEvent(Mark.ERROR, text)
    # A quota first: its words are the narrower ones, and vendors call a spent plan many things,
    # "authentication" among them.
    if QUOTA.search(text):
        return AgentEvent(Mark.QUOTA, text, until_ms(text), wait_s(text))
    return AgentEvent(Mark.AUTH if AUTH.search(text) else Mark.ERROR, text)


def ending(text: str, told: str = "") -> AgentEvent:
    """What a program's last words mean when it ended well: nobody will answer a question. `told`: what it
    used.
    """
    text = text.strip()[:TEXT_MAX]
    said = " ".join(filter(None, (text, f"({told})" if told else "")))
    return AgentEvent(Mark.ASKED if text.endswith("?") else Mark.RESULT, said)


def until_ms(text: str) -> int | None:
    """The moment that the words name, in milliseconds since 1970."""
    if epoch := _EPOCH.search(text):
        return int(epoch[1]) * 1000
    if moment := _MOMENT.search(text):
        return round(datetime.fromisoformat(moment[0]).timestamp() * 1000)
    return None


def wait_s(text: str) -> float | None:
    """The time that the words name: "again in 90 s", "resets in 2h 5m", "retry after 30 seconds"."""
    found = _IN.search(text)
    spans = _SPAN.findall(found[1].lower()) if found else []
    return sum(float(number) * _UNITS_S[unit] for number, unit in spans) if spans else None


def tokens(read: Any, written: Any) -> str:
    """What a session used, in words; empty if the numbers are none."""
    if not isinstance(read, int) or not isinstance(written, int):
        return ""
    return f"{read:,} tokens read, {written:,} written"


def record(line: str) -> dict[str, Any] | None:
    """A line of output as the JSON object that it is, or None."""
    if not line.startswith("{"):
        return None
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def plain(line: str) -> AgentEvent | None:
    """A line that is no record: what a program writes to its standard error, mostly."""
    line = line.strip()[:TEXT_MAX]
    if not line:
        return None
    return AgentEvent(Mark.ERROR if line.lower().startswith(("error", "fatal")) else Mark.SAID, line)


def call(tool: object, arguments: object) -> AgentEvent:
    """A tool call, its arguments cut short."""
    told = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return AgentEvent(Mark.TOOL, f"{tool} {told}"[:TEXT_MAX])
