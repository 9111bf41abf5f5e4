"""Owns the reading of rate-limit answers: status, headers and body of the upstream -> when it may be asked
again.

Rule: pure; chance and the clock are arguments. What the vendor says is believed in this order: Retry-After,
the body, the reset headers; where it says nothing, the caller backs off.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeGuard

from mcp_server.models.apis import ModelApi

# The longest pause after each failure in a row; half of each is left to chance.
BACKOFF_MS = (1_000, 2_000, 4_000, 8_000, 15_000, 30_000, 60_000)
# Of a spent quota without a reset: often a person pays, so it is worth asking now and then.
UNKNOWN_RESET_MS = 15 * 60_000
TERMINAL_MS = 300_000  # no client waits longer than this for one answer (claude, gemini)
WAIT_MS_MAX = 40 * 24 * 3_600_000  # a reset further off is a misreading
DAY_MS = 24 * 3_600_000
# Gemini's daily quotas reset at midnight Pacific time: 08:00 UTC, in summer an hour early.
PACIFIC_MIDNIGHT_MS = 8 * 3_600_000
BODY_BYTES_MAX = 256 << 10
_MS = {"ms": 1.0, "s": 1_000.0, "m": 60_000.0, "h": 3_600_000.0, "d": 86_400_000.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_TRY_AGAIN = re.compile(r"try again in ((?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+)", re.IGNORECASE)
_SPENT_CODES = frozenset(
    {
        "insufficient_quota",
        "usage_limit_reached",
        "billing_hard_limit_reached",
        "usage_not_included",
        "access_terminated",
    }
)
_SPENT_WORDS = ("credit balance is too low", "insufficient balance", "insufficient credits")


@dataclass(frozen=True)
class Quota:
    """The upstream wants a pause. `retry_at_ms` None: it did not say until when. `terminal`: no pause within
    a session helps.
    """

    retry_at_ms: int | None
    terminal: bool
    reason: str


def read(api: ModelApi, status: int, headers: Mapping[str, str], body: bytes, now_ms: int) -> Quota | None:
    """Return the quota answer that this is, or None.

    Header names are lower case; `body` may be cut or anything at all.
    """
    document = _json(body)
    error = _error(document)
    limited = status in (429, 529) or (status == 503 and "retry-after" in headers)
    if not limited and status != 402 and not (status in (400, 403) and _is_spent(error)):
        return None
    spent = status == 402 or _is_spent(error)
    moments = (
        _retry_after(headers, now_ms),
        _from_body(error, document, now_ms),
        _from_reset_headers(headers, now_ms),
    )
    retry_at = next((min(at, now_ms + WAIT_MS_MAX) for at in moments if at is not None), None)
    if _is_per_day(error):
        spent, retry_at = True, max(retry_at or 0, _next_pacific_midnight(now_ms))
    if spent and retry_at is None:
        retry_at = now_ms + UNKNOWN_RESET_MS
    if retry_at is not None:
        retry_at = max(retry_at, now_ms)
    long = retry_at is not None and retry_at - now_ms > TERMINAL_MS
    return Quota(retry_at, spent or long, _reason(api, status, error, spent=spent))


def backoff_ms(attempt: int, chance: float) -> int:
    """Return the pause in ms before try number `attempt` + 1, `attempt` from 1; `chance` from 0 to 1."""
    longest = BACKOFF_MS[min(max(attempt, 1), len(BACKOFF_MS)) - 1]
    return int(longest * (0.5 + 0.5 * chance))


def _reason(api: ModelApi, status: int, error: dict[str, Any], *, spent: bool) -> str:
    """Return the reason in our own words but for a short code: what a vendor writes may hold a key."""
    code = next(
        (
            value
            for key in ("code", "type", "status")
            if isinstance(value := error.get(key), str) and re.fullmatch(r"[A-Za-z_]{3,40}", value)
        ),
        "",
    )
    what = "quota spent" if spent else "overloaded" if status in (503, 529) else "rate limit"
    return f"{what} ({status}{' ' + code if code else ''})"


# -- Retry-After


def _retry_after(headers: Mapping[str, str], now_ms: int) -> int | None:
    if (ms := _number(headers.get("retry-after-ms"))) is not None:
        return now_ms + int(ms)
    value = headers.get("retry-after")
    if value is None:
        return None
    if (seconds := _number(value)) is not None:
        return now_ms + int(seconds * 1_000)
    try:
        at = parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError):
        return None
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1_000)


# -- reset headers


def _from_reset_headers(headers: Mapping[str, str], now_ms: int) -> int | None:
    """Return the latest reset of the limits that are used up; of all limits where none says what is left."""
    used_up, moments = [], []
    for name, value in headers.items():
        if not (name.startswith(("anthropic-ratelimit-", "x-ratelimit-")) and "reset" in name):
            continue
        at = _moment(value, now_ms)
        if at is None:
            continue
        moments.append(at)
        left, state = (
            headers.get(name.replace("reset", "remaining")),
            headers.get(name.replace("reset", "status")),
        )
        if (left is not None and _number(left) == 0) or state == "rejected":
            used_up.append(at)
        elif left is not None or state is not None:
            moments.pop()
    return max(used_up or moments, default=None)


def _moment(value: str, now_ms: int) -> int | None:
    """Return the moment in ms since the epoch that a reset header names; None for anything else.

    It is RFC 3339 (Anthropic), a duration such as "6m0s" (OpenAI), or seconds from now or since the epoch
    (others).
    """
    if (ms := _duration_ms(value)) is not None:
        return now_ms + ms
    if (number := _number(value)) is not None:
        if number > 1e12:  # milliseconds since the epoch
            return int(number)
        return int(number * 1_000) if number > 1e9 else now_ms + int(number * 1_000)
    try:
        at = datetime.fromisoformat(value.strip())
    except ValueError:
        return None
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1_000)


def _duration_ms(value: Any) -> int | None:
    if not isinstance(value, str) or not value.strip() or _DURATION.sub("", value.strip()):
        return None
    return int(sum(float(number) * _MS[unit] for number, unit in _DURATION.findall(value)))


def _number(value: str | None) -> float | None:
    if value is None or not re.fullmatch(r"\s*\d{1,16}(?:\.\d{1,16})?\s*", value, re.ASCII):
        return None
    return float(value)


# -- bodies


def _json(body: bytes) -> Any:
    try:
        return json.loads(body[:BODY_BYTES_MAX])
    except (ValueError, RecursionError):
        return None


def _error(document: Any) -> dict[str, Any]:
    if isinstance(document, list) and document:  # Gemini without alt=sse
        document = document[0]
    error = document.get("error") if isinstance(document, dict) else None
    if isinstance(error, str):
        return {"message": error}
    return error if isinstance(error, dict) else {}


def _from_body(error: dict[str, Any], document: Any, now_ms: int) -> int | None:
    for detail in _details(error):
        if (
            str(detail.get("@type", "")).endswith("google.rpc.RetryInfo")
            and (ms := _duration_ms(detail.get("retryDelay"))) is not None
        ):
            return now_ms + ms
    for place in (error, document if isinstance(document, dict) else {}):
        at, after = place.get("resets_at"), place.get("resets_in_seconds", place.get("retry_after"))
        if _is_number(at) and 1e9 < at < 1e11:
            return int(at * 1_000)
        if _is_number(after) and after >= 0:
            return now_ms + int(min(after, WAIT_MS_MAX) * 1_000)
    message = error.get("message")
    words = _TRY_AGAIN.search(message) if isinstance(message, str) else None
    ms = _duration_ms(words[1]) if words else None
    return now_ms + ms if ms is not None else None


def _is_number(value: Any) -> TypeGuard[float]:
    return (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and abs(value) < 1e300
        and value == value
    )


def _details(error: dict[str, Any]) -> list[dict[str, Any]]:
    details = error.get("details")
    return [detail for detail in details if isinstance(detail, dict)] if isinstance(details, list) else []


def _is_spent(error: dict[str, Any]) -> bool:
    """Return True if there is no money, or a plan's share is used up: more requests will not help."""
    message = error.get("message")
    words = message.lower() if isinstance(message, str) else ""
    return any(
        error.get(key) in _SPENT_CODES for key in ("code", "type") if isinstance(error.get(key), str)
    ) or any(phrase in words for phrase in _SPENT_WORDS)


def _is_per_day(error: dict[str, Any]) -> bool:
    for detail in _details(error):
        violations = detail.get("violations")
        for violation in violations if isinstance(violations, list) else ():
            if isinstance(violation, dict) and "perday" in str(violation.get("quotaId", "")).lower():
                return True
    return False


def _next_pacific_midnight(now_ms: int) -> int:
    return (now_ms - PACIFIC_MIDNIGHT_MS) // DAY_MS * DAY_MS + DAY_MS + PACIFIC_MIDNIGHT_MS
