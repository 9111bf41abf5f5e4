"""Owns what the JSON routes have in common: who may call, how a request is read, how an answer or an error is
written.

Thin: each route reads its request, calls a use case in a thread and hands back a value of the wire.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mcp_server.core.principal import ADMIN, RUNNER, Principal
from mcp_server.core.refusal import Refused
from mcp_server.use_cases.oracle import case_sets
from mcp_server.use_cases.people import events
from mcp_server.wire.base import UnreadableWire, WireAnswer, WireRequest
from mcp_server.world import World

WAIT_S_MAX = 25.0  # for which one request may wait: well below the time-outs of proxies and clients
HARNESS = frozenset({RUNNER, ADMIN})
PEOPLE = frozenset({ADMIN})

Answer = Response | WireAnswer | Sequence[WireAnswer] | None
Serve = Callable[[Request], Awaitable[Answer]]
T = TypeVar("T")
R = TypeVar("R", bound=WireRequest)


class BadRequest(Exception):
    """A request that cannot be served: HTTP status, stable code, sentence."""

    def __init__(self, status: int, code: str, message: str):
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


@dataclass(frozen=True)
class ApiRoute:
    """One route: what serves it, and the roles that may call it."""

    method: str
    path: str
    serve: Serve
    roles: frozenset[str] = HARNESS


def starlette_routes(routes: Iterable[ApiRoute]) -> list[Route]:
    """Return the routes as the server mounts them."""
    return [Route(route.path, _endpoint(route), methods=[route.method]) for route in routes]


def _endpoint(route: ApiRoute) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        role = caller(request).role
        try:
            if role not in route.roles:
                raise BadRequest(403, "forbidden", f"a token of role {role} may not do this")
            return _response(await route.serve(request))
        except BadRequest as bad:
            return JSONResponse({"error": bad.code, "message": bad.message}, bad.status)

    return endpoint


def _response(answer: Answer) -> Response:
    if answer is None:
        return Response(status_code=204)
    if isinstance(answer, Response):
        return answer
    if isinstance(answer, WireAnswer):
        return JSONResponse(answer.render())
    return JSONResponse([each.render() for each in answer])


def done() -> Response:
    """Return the answer to a request that has nothing to say but that it was carried out."""
    return JSONResponse({})


def caller(request: Request) -> Principal:
    """Return whose token the request shows."""
    principal = request.scope["principal"]
    assert isinstance(principal, Principal)
    return principal


def number(request: Request) -> int:
    """Return the number in the path; raise BadRequest if it is none."""
    digits = request.path_params["id"]
    if not re.fullmatch(r"[0-9]{1,18}", digits):  # 18 digits fit the database's integers
        raise BadRequest(404, "unknown", f"{digits!r} is not a number of ours")
    return int(digits)


async def read(request: Request, kind: type[R]) -> R:
    """Return the request's body; raise BadRequest with a sentence that names each wrong field."""
    try:
        return kind.parse(await request.body() or b"{}")
    except UnreadableWire as wrong:
        raise BadRequest(400, "bad_request", str(wrong)) from wrong


def check_name(agent: str) -> None:
    """Raise BadRequest if an agent cannot have this name, which becomes part of refs, container names and
    commits.
    """
    if not events.AGENT_NAME.fullmatch(agent) or agent in (ADMIN, RUNNER):
        raise BadRequest(
            400,
            "bad_request",
            f"{agent!r} is no agent's name: letters, digits, dashes and underscores, dots between them, "
            "at most 60 characters, not admin or runner",
        )


def accepted(answer: T | Refused) -> T:
    """Return what a use case answered; raise BadRequest if it refused."""
    if isinstance(answer, Refused):
        raise BadRequest(409, str(answer.code), f"{answer.happened}; {answer.holds}; {answer.next}")
    return answer


def suites_of(world: World, name: str | None) -> tuple[str, ...]:
    """Return the suite of this name, or every suite; raise BadRequest for an unknown one."""
    if name is None:
        return tuple(world.config.suites)
    if name not in world.config.suites:
        raise BadRequest(404, "unknown_suite", f"there is no oracle {name!r}")
    return (name,)


async def check_cases(world: World) -> None:
    """Raise BadRequest with everything that is wrong with the cases, before anything is run on them."""
    if problems := await asyncio.to_thread(case_sets.problems, world):
        raise BadRequest(409, "bad_cases", "\n".join(map(str, problems)))
