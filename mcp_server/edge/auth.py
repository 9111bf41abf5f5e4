"""Who is calling: a bearer token becomes a Principal in one place, for every route. Nothing else tells who
someone is.
"""

import hashlib
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from mcp_server.store import Store, Tx, people

AGENT, RUNNER, ADMIN = "agent", "runner", "admin"
OPEN_PATHS = frozenset({"/health"})
MODELS = "/llm/"  # model clients send their token where their vendor expects its key
KEY_HEADERS = ("x-api-key", "x-goog-api-key")


@dataclass(frozen=True)
class Principal:
    """`name` is the agent's name, or the role's for the operator and the runner."""

    name: str
    role: str
    session: str | None = None


def hashed(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def issue(tx: Tx, name: str, role: str, now_ms: int, *, session: str | None = None) -> str:
    """A new token; only its hash is kept, so this is the one time it can be read."""
    token = f"hs_{secrets.token_urlsafe(32)}"
    people.add_token(tx, sha256=hashed(token), name=name, role=role, session=session, now_ms=now_ms)
    return token


def role_token(store: Store, path: Path, role: str, now_ms: int) -> None:
    """Makes the operator's or the runner's token file where there is none, or where the database does not
    know it.
    """
    if path.exists():
        with store.read() as tx:
            if people.token_by_hash(tx, hashed(path.read_text().strip())) is not None:
                return
    with store.write() as tx:
        token = issue(tx, role, role, now_ms)
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(token + "\n")


def principal_of(store: Store, token: str, door: str | None) -> Principal | None:
    """The token's holder, or None: unknown, revoked, or used through another session's door."""
    with store.read() as tx:
        found = people.token_by_hash(tx, hashed(token))
    if found is None or found.revoked_ms is not None:
        return None
    if door is not None and found.session != door:
        return None
    return Principal(found.name, found.role, found.session)


class Authenticated:
    """ASGI middleware: puts `scope["principal"]` there, or answers 401."""

    def __init__(self, app: ASGIApp, store: Store):
        self._app, self._store = app, store

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        token = _token(Request(scope))
        door = (scope.get("state") or {}).get("door")
        # One indexed look-up of some 50 microseconds: cheaper than a hop to a thread.
        who = principal_of(self._store, token, door) if token else None
        if who is None and scope["path"].startswith(MODELS):
            # The one shape that the clients of all vendors can read.
            told = {
                "type": "authentication_error",
                "message": "the token is not one of this server's",
                "code": 401,
                "status": "UNAUTHENTICATED",
            }
            answer = JSONResponse(
                {"type": "error", "error": told},
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
    """What the request shows; below MODELS also in the places of a vendor's key."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    if request.scope["path"].startswith(MODELS):
        places = (*(request.headers.get(name) for name in KEY_HEADERS), request.query_params.get("key"))
        return next((shown.strip() for shown in places if shown and shown.strip()), None)
    return None
