"""Who is calling: every request's bearer token becomes a principal here, before a route sees the request."""

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from mcp_server.store import Store
from mcp_server.use_cases.people import credentials

OPEN_PATHS = frozenset({"/health"})
MODELS = "/llm/"  # model clients send their token where their vendor expects its key
KEY_HEADERS = ("x-api-key", "x-goog-api-key")


class Authenticated:
    """ASGI middleware that sets `scope["principal"]`, or answers 401."""

    def __init__(self, app: ASGIApp, store: Store):
        self._app, self._store = app, store

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        token = _token(Request(scope))
        door = (scope.get("state") or {}).get("door")
        # One indexed look-up of some 50 microseconds: cheaper than a hop to a thread.
        who = credentials.principal_of(self._store, token, door) if token else None
        if who is None and scope["path"].startswith(MODELS):
            # The one shape that the clients of all vendors can read.
            error = {
                "type": "authentication_error",
                "message": "the token is not one of this server's",
                "code": 401,
                "status": "UNAUTHENTICATED",
            }
            answer = JSONResponse(
                {"type": "error", "error": error},
                401,
                {"WWW-Authenticate": "Bearer", "x-should-retry": "false"},
            )
            await answer(scope, receive, send)
            return
        if who is None:
            message = "no valid token: send `Authorization: Bearer TOKEN`; `harness connect NAME` makes one"
            answer = JSONResponse(
                {"error": "unauthorized", "message": message}, 401, {"WWW-Authenticate": "Bearer"}
            )
            await answer(scope, receive, send)
            return
        scope["principal"] = who
        await self._app(scope, receive, send)


def _token(request: Request) -> str | None:
    """Return the token that the request carries, below MODELS also in a vendor's key's places; or None."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    if request.scope["path"].startswith(MODELS):
        places = [request.headers.get(name) for name in KEY_HEADERS] + [request.query_params.get("key")]
        return next((key.strip() for key in places if key and key.strip()), None)
    return None
