"""Owns what tells the four model APIs apart: methods and paths, credentials and what a body asks for.

Rule: pure; and closed: what is not in the tables is not passed on, and the path that goes upstream is written
here, never copied from the client.
"""

import json
import re
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

from pydantic import BaseModel, ValidationError


class ModelApi(StrEnum):
    ANTHROPIC = "anthropic"
    OPENAI = "openai"
    GEMINI = "gemini"


class Form(StrEnum):
    """What a request and its answer look like."""

    MESSAGES = "messages"
    RESPONSES = "responses"
    CHAT = "chat"
    GENERATE = "generate"
    COUNT = "count"  # counts tokens and spends none
    LIST = "list"  # of models
    PROBE = "probe"  # is anybody there? Answered here


class CallKind(StrEnum):
    """Why the gateway itself says no."""

    INVALID = "invalid"
    NOT_FOUND = "not_found"
    METHOD = "method"
    TOO_LARGE = "too_large"
    BUSY = "busy"  # quota: worth trying again
    SPENT = "spent"  # quota: not before the reset
    BUDGET = "budget"
    AUTH = "auth"  # the account's key was refused
    UPSTREAM = "upstream"


FREE = frozenset({Form.COUNT, Form.LIST, Form.PROBE})
BASE_URLS = {
    ModelApi.ANTHROPIC: "https://api.anthropic.com",
    ModelApi.OPENAI: "https://api.openai.com/v1",
    ModelApi.GEMINI: "https://generativelanguage.googleapis.com",
}
KEY_VARIABLES = {
    ModelApi.ANTHROPIC: ("ANTHROPIC_API_KEY",),
    ModelApi.OPENAI: ("OPENAI_API_KEY",),
    ModelApi.GEMINI: ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
}
_FIXED = {
    ModelApi.ANTHROPIC: {
        "/": ("HEAD", Form.PROBE),  # claude before 2.2 asks so whether the server is there
        "/v1/messages": ("POST", Form.MESSAGES),
        "/v1/messages/count_tokens": ("POST", Form.COUNT),
    },
    ModelApi.OPENAI: {
        "/v1/responses": ("POST", Form.RESPONSES),
        "/v1/chat/completions": ("POST", Form.CHAT),
        "/v1/models": ("GET", Form.LIST),
    },
    ModelApi.GEMINI: {},
}
_GEMINI_PATH = re.compile(r"/(v1|v1beta)/models/([A-Za-z0-9][A-Za-z0-9._-]{0,127}):([A-Za-z]+)")
_GEMINI_METHODS = {
    "generateContent": Form.GENERATE,
    "streamGenerateContent": Form.GENERATE,
    "countTokens": Form.COUNT,
}


@dataclass(frozen=True)
class Call:
    """A request that may be passed on. `model` and `stream` as far as the path tells them."""

    api: ModelApi
    form: Form
    method: str
    path: str
    model: str | None = None
    stream: bool = False


@dataclass(frozen=True)
class Wrong:
    """A request that may not: status, kind, sentence, and for 405 what is allowed."""

    status: int
    kind: CallKind
    message: str
    allow: str = ""


def call(api: ModelApi, method: str, path: str) -> Call | Wrong:
    """Return the call that a request is, or why it is none.

    `path` is decoded and begins after the account, such as "/v1/messages".
    """
    if api is ModelApi.GEMINI:
        match = _GEMINI_PATH.fullmatch(path)
        form = _GEMINI_METHODS.get(match[3]) if match else None
        if match is None or form is None:
            return _unknown(api, method, path)
        allowed, served = "POST", Call(api, form, method, path, match[2], match[3] == "streamGenerateContent")
    else:
        entry = _FIXED[api].get(path.rstrip("/") or "/")
        if entry is None:
            return _unknown(api, method, path)
        allowed, form = entry
        served = Call(api, form, method, path.rstrip("/") or "/")
    if method != allowed:
        return Wrong(405, CallKind.METHOD, f"{path} takes {allowed}, not {method[:20]}", allowed)
    return served


def _unknown(api: ModelApi, method: str, path: str) -> Wrong:
    served = (
        ", ".join(sorted(_FIXED[api]))
        or "/v1beta/models/MODEL:generateContent, :streamGenerateContent, :countTokens"
    )
    return Wrong(
        404,
        CallKind.NOT_FOUND,
        f"the gateway does not pass on {method[:20]} {path[:200]}; for this account it serves {served}",
    )


def upstream_url(base_url: str, call: Call, query: str) -> str:
    """Return where a call goes. An OpenAI base URL with a path stands for /v1, as clients write it; the
    client's key is left out of the query.
    """
    base, path = base_url.rstrip("/"), call.path
    if call.api is ModelApi.OPENAI and urlsplit(base).path:
        path = path.removeprefix("/v1")
    kept = "&".join(part for part in query.split("&") if part and not part.startswith("key="))
    return f"{base}{path}" + (f"?{kept}" if kept else "")


# -- what a body asks for

# Values in one body: the parser takes them one by one, some 0.1 us each, while nobody else is served.
# A million tokens of text have half as many commas and brackets, and images next to none.
VALUES_MAX = 400_000
MARKS = (b",", b"[", b"{")
COUNTED_BYTES = 1 << 20


class _StreamOptions(BaseModel):
    include_usage: bool | None = None


class _RequestBody(BaseModel):
    """Of a body only these are looked at; pydantic reads past the rest without building it."""

    model: str | None = None
    stream: bool | None = None
    background: bool | None = None
    stream_options: _StreamOptions | None = None


@dataclass(frozen=True)
class RequestFacts:
    model: str | None
    stream: bool
    background: bool = False
    include_usage: bool = False


def _has_too_many_values(body: bytes) -> bool:
    """Return True if the body may hold more than VALUES_MAX values; each but the first follows a mark."""
    if len(body) <= VALUES_MAX:
        return False
    seen = 0
    for start in range(0, len(body), COUNTED_BYTES):
        part = body[start : start + COUNTED_BYTES]
        seen += sum(map(part.count, MARKS))
        if seen > VALUES_MAX:
            return True
    return False


def asked(call: Call, body: bytes) -> RequestFacts | None:
    """Return what the request asks for; None where the body is no JSON object that a vendor would take."""
    if call.api is ModelApi.GEMINI or call.method != "POST":
        return RequestFacts(call.model, call.stream)
    if _has_too_many_values(body):
        return None
    try:
        read = _RequestBody.model_validate_json(body)
    except ValidationError:
        try:  # half of a surrogate pair is JSON too, and pydantic will not have it
            read = _RequestBody.model_validate(json.loads(body))
        except (ValueError, RecursionError):
            return None
    usage = read.stream_options is not None and bool(read.stream_options.include_usage)
    return RequestFacts(read.model, bool(read.stream) and call.form not in FREE, bool(read.background), usage)


# -- credentials

CREDENTIAL_HEADERS = frozenset({
    "authorization", "x-api-key", "x-goog-api-key", "proxy-authorization", "cookie",
    "openai-organization", "openai-project", "chatgpt-account-id", "x-goog-user-project",
})  # fmt: skip
HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
)
_NOT_SENT_ON = (
    CREDENTIAL_HEADERS
    | HOP_BY_HOP
    | {
        "host",
        "content-length",
        "accept-encoding",
        "expect",
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
    }
)
_NOT_SENT_BACK = HOP_BY_HOP | {"set-cookie", "proxy-authenticate"}
Headers = list[tuple[bytes, bytes]]


def credential(api: ModelApi, key: str) -> tuple[bytes, bytes]:
    """Return the header, name and value, in which the API takes the account's key."""
    match api:
        case ModelApi.ANTHROPIC:
            return b"x-api-key", key.encode()
        case ModelApi.OPENAI:
            return b"authorization", b"Bearer " + key.encode()
        case ModelApi.GEMINI:
            return b"x-goog-api-key", key.encode()


def request_headers(given: Headers) -> Headers:
    """Return the client's headers without its credentials and without what concerns one hop.

    They ask for an answer that can be read: in no encoding.
    """
    return [*_without(given, _NOT_SENT_ON), (b"accept-encoding", b"identity")]


def response_headers(given: Headers) -> Headers:
    """Return the vendor's headers without cookies and without what concerns one hop."""
    return _without(given, _NOT_SENT_BACK)


def _without(given: Headers, names: frozenset[str]) -> Headers:
    named = {
        part.strip().lower()
        for name, value in given
        if name.lower() == b"connection"
        for part in value.decode("latin-1").split(",")
    }
    return [
        (name, value)
        for name, value in given
        if (lower := name.decode("latin-1").lower()) not in names and lower not in named
    ]
