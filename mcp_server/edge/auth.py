"""Who is calling: every request's bearer token becomes a principal here, before a route sees the request."""

from collections import Counter

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from mcp_server.core.principal import AGENT
from mcp_server.store import Store
from mcp_server.use_cases.people import credentials

OPEN_PATHS = frozenset({"/health"})
MODELS = "/llm/"  # model clients send their token where their vendor expects its key
# At once by one agent: what models and git allow it (32 and 8) and some for the tools, whose calls may wait.
REQUESTS_MAX = 64
KEY_HEADERS = ("x-api-key", "x-goog-api-key")


class Authenticated:
    """ASGI middleware that sets `scope["principal"]`, or answers 401; 429 to an agent with too many requests
    under way.
    """

    def __init__(self, app: ASGIApp, store: Store):
        self._app, self._store = app, store
        self._under_way: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        token = _token(Request(scope))
        door = (scope.get("state") or {}).get("door")
        # One indexed look-up of some 50 microseconds: cheaper than a hop to a thread.
        who = credentials.principal_of(self._store, token, door) if token else None
        if who is None:
            await _unknown(scope["path"])(scope, receive, send)
            return
        scope["principal"] = who
        if who.role != AGENT:
            await self._app(scope, receive, send)
        elif self._under_way[who.name] >= REQUESTS_MAX:
            await _busy(scope["path"], who.name)(scope, receive, send)
        else:
            await self._counted(who.name, scope, receive, send)

    async def _counted(self, agent: str, scope: Scope, receive: Receive, send: Send) -> None:
        self._under_way[agent] += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._under_way[agent] -= 1
            if not self._under_way[agent]:
                del self._under_way[agent]


def _unknown(path: str) -> JSONResponse:
    headers = {"WWW-Authenticate": "Bearer"}
    if path.startswith(MODELS):
        said = "the token is not one of this server's"
        headers = {**headers, "x-should-retry": "false"}
        return _for_models(401, "authentication_error", "UNAUTHENTICATED", said, headers)
    message = "no valid token: send `Authorization: Bearer TOKEN`; `harness connect NAME` makes one"
    return JSONResponse({"error": "unauthorized", "message": message}, 401, headers)


def _busy(path: str, agent: str) -> JSONResponse:
    message = f"{agent} has {REQUESTS_MAX} requests under way; wait for some of them"
    headers = {"Retry-After": "1"}
    if path.startswith(MODELS):
        return _for_models(429, "rate_limit_error", "RESOURCE_EXHAUSTED", message, headers)
    return JSONResponse({"error": "too_many_requests", "message": message}, 429, headers)


def _for_models(code: int, kind: str, status: str, message: str, headers: dict[str, str]) -> JSONResponse:
    """Return an error in the one shape that the clients of all vendors can read."""
    error = {"type": kind, "message": message, "code": code, "status": status}
    return JSONResponse({"type": "error", "error": error}, code, headers)


def _token(request: Request) -> str | None:
    """Return the token that the request carries, below MODELS also in a vendor's key's places; or None."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    if request.scope["path"].startswith(MODELS):
        places = [request.headers.get(name) for name in KEY_HEADERS] + [request.query_params.get("key")]
        return next((key.strip() for key in places if key and key.strip()), None)
    return None
