"""Owns how each API's clients are told no, whole or in a stream that has begun, so that they do the sensible
thing.

Rule: pure; the words are ours, never a vendor's, which may hold a key.
"""

import json

from mcp_server.models.apis import CallKind, Form, Headers, ModelApi

RETRY_AFTER_S_MAX = 290  # from 300 s on claude and gemini give up at once; claude adds jitter of its own
_ANTHROPIC_TYPES = {
    CallKind.INVALID: "invalid_request_error",
    CallKind.NOT_FOUND: "not_found_error",
    CallKind.METHOD: "invalid_request_error",
    CallKind.TOO_LARGE: "request_too_large",
    CallKind.BUSY: "rate_limit_error",
    CallKind.SPENT: "rate_limit_error",
    CallKind.BUDGET: "invalid_request_error",
    CallKind.AUTH: "authentication_error",
    CallKind.UPSTREAM: "api_error",
}
_OPENAI_CODES = {
    CallKind.INVALID: "invalid_request",
    CallKind.NOT_FOUND: "unknown_url",
    CallKind.METHOD: "method_not_allowed",
    CallKind.TOO_LARGE: "request_too_large",
    CallKind.BUSY: "rate_limit_exceeded",
    CallKind.SPENT: "insufficient_quota",
    CallKind.BUDGET: "budget_exceeded",
    CallKind.AUTH: "invalid_api_key",
    CallKind.UPSTREAM: "server_error",
}
_OPENAI_TYPES = {
    CallKind.BUSY: "rate_limit_error",
    CallKind.SPENT: "insufficient_quota",
    CallKind.UPSTREAM: "server_error",
}
_GEMINI_STATUSES = {
    CallKind.INVALID: "INVALID_ARGUMENT",
    CallKind.NOT_FOUND: "NOT_FOUND",
    CallKind.METHOD: "INVALID_ARGUMENT",
    CallKind.TOO_LARGE: "INVALID_ARGUMENT",
    CallKind.BUSY: "RESOURCE_EXHAUSTED",
    CallKind.SPENT: "RESOURCE_EXHAUSTED",
    CallKind.BUDGET: "FAILED_PRECONDITION",
    CallKind.AUTH: "UNAUTHENTICATED",
    CallKind.UPSTREAM: "UNAVAILABLE",
}
STATUSES = {
    CallKind.INVALID: 400,
    CallKind.NOT_FOUND: 404,
    CallKind.METHOD: 405,
    CallKind.TOO_LARGE: 413,
    CallKind.BUSY: 429,
    CallKind.SPENT: 429,
    # Of the statuses that say "yours to mend" the one that all clients retry least.
    CallKind.BUDGET: 400,
    CallKind.AUTH: 401,
    CallKind.UPSTREAM: 502,
}
FINAL = frozenset(
    {
        CallKind.INVALID,
        CallKind.NOT_FOUND,
        CallKind.METHOD,
        CallKind.TOO_LARGE,
        CallKind.SPENT,
        CallKind.BUDGET,
        CallKind.AUTH,
    }
)


def error(
    api: ModelApi,
    kind: CallKind,
    message: str,
    *,
    status: int | None = None,
    retry_after_s: int | None = None,
) -> dict[str, object]:
    """Return an error as the vendor's own clients read it, a JSON object."""
    match api:
        case ModelApi.ANTHROPIC:
            return {"type": "error", "error": {"type": _ANTHROPIC_TYPES[kind], "message": message}}
        case ModelApi.OPENAI:
            return {
                "error": {
                    "message": message,
                    "type": _OPENAI_TYPES.get(kind, "invalid_request_error"),
                    "param": None,
                    "code": _OPENAI_CODES[kind],
                }
            }
        case ModelApi.GEMINI:
            return {
                "error": {
                    "code": status or STATUSES[kind],
                    "message": message,
                    "status": _GEMINI_STATUSES[kind],
                    "details": _gemini_details(kind, retry_after_s),
                }
            }


def _gemini_details(kind: CallKind, retry_after_s: int | None) -> list[dict[str, object]]:
    details: list[dict[str, object]] = []
    if kind is CallKind.SPENT:
        details.append(
            {
                "@type": "type.googleapis.com/google.rpc.QuotaFailure",
                "violations": [{"quotaId": "HarnessAccountPerDay"}],
            }
        )
    if retry_after_s is not None:
        details.append(
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{retry_after_s}s"}
        )
    return details


def error_headers(kind: CallKind, retry_after_s: int | None) -> Headers:
    """Return the headers beside an error's body: when to come again, in the forms that clients honour."""
    headers = [(b"content-type", b"application/json")]
    if kind in FINAL:
        headers.append((b"x-should-retry", b"false"))
    if retry_after_s is not None:
        headers.append((b"retry-after", str(retry_after_s).encode()))
    return headers


def stream_error(form: Form, kind: CallKind, message: str, *, retry_after_s: int | None = None) -> bytes:
    """Return the error as bytes of a stream that has begun.

    google/genai takes an error only as a chunk that is JSON by itself.
    """
    if retry_after_s is not None and form is Form.RESPONSES:
        message = f"{message} Please try again in {retry_after_s}s."  # codex reads the pause here
    match form:
        case Form.MESSAGES:
            return _event(error(ModelApi.ANTHROPIC, kind, message), name="error")
        case Form.RESPONSES:
            response = {
                "id": "resp_gateway",
                "object": "response",
                "status": "failed",
                "error": {"code": _OPENAI_CODES[kind], "message": message},
                "output": [],
            }
            return _event(
                {"type": "response.failed", "sequence_number": 0, "response": response},
                name="response.failed",
            )
        case Form.GENERATE:
            return (
                json.dumps(error(ModelApi.GEMINI, kind, message, retry_after_s=retry_after_s)).encode()
                + b"\n\n"
            )
        case _:
            return _event(error(ModelApi.OPENAI, kind, message))


def _event(data: dict[str, object], *, name: str = "") -> bytes:
    return (f"event: {name}\n" if name else "").encode() + b"data: " + json.dumps(data).encode() + b"\n\n"


PING = b": waiting for quota\n\n"  # a comment of server-sent events: every client skips it
