"""Owns how each API's clients are told no, whole or in a stream that has begun, so that they do the sensible thing.

Rule: pure; the words are ours, never a vendor's, which may hold a key.
"""

import json

from mcp_server.models.apis import Api, Form, Headers, Kind

RETRY_AFTER_S_MAX = 290  # from 300 s on claude and gemini give up at once; claude adds jitter of its own
_ANTHROPIC_TYPES = {
    Kind.INVALID: "invalid_request_error", Kind.NOT_FOUND: "not_found_error", Kind.METHOD: "invalid_request_error",
    Kind.TOO_LARGE: "request_too_large", Kind.BUSY: "rate_limit_error", Kind.SPENT: "rate_limit_error",
    Kind.BUDGET: "invalid_request_error", Kind.AUTH: "authentication_error", Kind.UPSTREAM: "api_error",
}  # fmt: skip
_OPENAI_CODES = {
    Kind.INVALID: "invalid_request", Kind.NOT_FOUND: "unknown_url", Kind.METHOD: "method_not_allowed",
    Kind.TOO_LARGE: "request_too_large", Kind.BUSY: "rate_limit_exceeded", Kind.SPENT: "insufficient_quota",
    Kind.BUDGET: "budget_exceeded", Kind.AUTH: "invalid_api_key", Kind.UPSTREAM: "server_error",
}  # fmt: skip
_OPENAI_TYPES = {
    Kind.BUSY: "rate_limit_error",
    Kind.SPENT: "insufficient_quota",
    Kind.UPSTREAM: "server_error",
}
_GEMINI_STATUSES = {
    Kind.INVALID: "INVALID_ARGUMENT", Kind.NOT_FOUND: "NOT_FOUND", Kind.METHOD: "INVALID_ARGUMENT", Kind.TOO_LARGE: "INVALID_ARGUMENT",
    Kind.BUSY: "RESOURCE_EXHAUSTED", Kind.SPENT: "RESOURCE_EXHAUSTED", Kind.BUDGET: "FAILED_PRECONDITION", Kind.AUTH: "UNAUTHENTICATED",
    Kind.UPSTREAM: "UNAVAILABLE",
}  # fmt: skip
STATUSES = {
    Kind.INVALID: 400, Kind.NOT_FOUND: 404, Kind.METHOD: 405, Kind.TOO_LARGE: 413, Kind.BUSY: 429, Kind.SPENT: 429,
    Kind.BUDGET: 400,  # of the statuses that say "yours to mend" the one that all clients retry least
    Kind.AUTH: 401, Kind.UPSTREAM: 502,
}  # fmt: skip
FINAL = frozenset(
    {Kind.INVALID, Kind.NOT_FOUND, Kind.METHOD, Kind.TOO_LARGE, Kind.SPENT, Kind.BUDGET, Kind.AUTH}
)


def error(
    api: Api, kind: Kind, message: str, *, status: int | None = None, retry_after_s: int | None = None
) -> dict:
    """An error as the vendor's own clients read it."""
    match api:
        case Api.ANTHROPIC:
            return {"type": "error", "error": {"type": _ANTHROPIC_TYPES[kind], "message": message}}
        case Api.OPENAI:
            return {
                "error": {
                    "message": message,
                    "type": _OPENAI_TYPES.get(kind, "invalid_request_error"),
                    "param": None,
                    "code": _OPENAI_CODES[kind],
                }
            }
        case Api.GEMINI:
            return {
                "error": {
                    "code": status or STATUSES[kind],
                    "message": message,
                    "status": _GEMINI_STATUSES[kind],
                    "details": _gemini_details(kind, retry_after_s),
                }
            }


def _gemini_details(kind: Kind, retry_after_s: int | None) -> list[dict]:
    found: list[dict] = []
    if kind is Kind.SPENT:
        found.append(
            {
                "@type": "type.googleapis.com/google.rpc.QuotaFailure",
                "violations": [{"quotaId": "HarnessAccountPerDay"}],
            }
        )
    if retry_after_s is not None:
        found.append({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{retry_after_s}s"})
    return found


def error_headers(kind: Kind, retry_after_s: int | None) -> Headers:
    """Beside an error's body: when to come again, in the forms that clients honour."""
    headers = [(b"content-type", b"application/json")]
    if kind in FINAL:
        headers.append((b"x-should-retry", b"false"))
    if retry_after_s is not None:
        headers.append((b"retry-after", str(retry_after_s).encode()))
    return headers


def stream_error(form: Form, kind: Kind, message: str, *, retry_after_s: int | None = None) -> bytes:
    """The same in a stream that has begun. google/genai takes an error only as a chunk that is JSON by itself."""
    if retry_after_s is not None and form is Form.RESPONSES:
        message = f"{message} Please try again in {retry_after_s}s."  # codex reads the pause here
    match form:
        case Form.MESSAGES:
            return _event(error(Api.ANTHROPIC, kind, message), name="error")
        case Form.RESPONSES:
            told = {
                "id": "resp_gateway",
                "object": "response",
                "status": "failed",
                "error": {"code": _OPENAI_CODES[kind], "message": message},
                "output": [],
            }
            return _event(
                {"type": "response.failed", "sequence_number": 0, "response": told}, name="response.failed"
            )
        case Form.GENERATE:
            return (
                json.dumps(error(Api.GEMINI, kind, message, retry_after_s=retry_after_s)).encode() + b"\n\n"
            )
        case _:
            return _event(error(Api.OPENAI, kind, message))


def _event(data: dict, *, name: str = "") -> bytes:
    return (f"event: {name}\n" if name else "").encode() + b"data: " + json.dumps(data).encode() + b"\n\n"


PING = b": waiting for quota\n\n"  # a comment of server-sent events: every client skips it
