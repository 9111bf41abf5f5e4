"""Owns the routes by which a harness begins and ends sessions, watches them, and reports on its agents."""

import asyncio

from starlette.requests import Request
from starlette.routing import Route

from mcp_server.edge.doors import Doors
from mcp_server.edge.json_api import Answer, ApiRoute, BadRequest, check_name, done, read, starlette_routes
from mcp_server.use_cases.people import agents, sessions
from mcp_server.wire.sessions import CrewReport, SessionEndRequest, SessionGrant, SessionRequest
from mcp_server.world import World


class SessionsApi:
    """The routes below /api/sessions, and /api/crew. Without `doors` no session gets a socket."""

    def __init__(self, world: World, doors: Doors | None):
        self._world, self._doors = world, doors

    def routes(self) -> list[Route]:
        """Return the routes to mount."""
        return starlette_routes(
            [
                ApiRoute("POST", "/api/sessions", self.begin),
                ApiRoute("GET", "/api/sessions/{id}", self.session),
                ApiRoute("POST", "/api/sessions/{id}/end", self.end),
                ApiRoute("PUT", "/api/crew", self.report_crew),
            ]
        )

    async def begin(self, request: Request) -> Answer:
        """Begin a session; its door is open before the answer is sent."""
        wish = await read(request, SessionRequest)
        check_name(wish.agent)
        session, token = await asyncio.to_thread(
            sessions.begin, self._world, wish.agent, wish.kind, door=wish.door
        )
        if session.door and self._doors is not None:
            await self._doors.open(session.id)
        return SessionGrant(
            session=session.id,
            token=token,
            door=session.id if session.door else None,
            egress=wish.agent in self._world.config.egress.agents,
        )

    async def end(self, request: Request) -> Answer:
        """End a session, its token and its lease; ending it twice changes nothing."""
        ending, session = await read(request, SessionEndRequest), request.path_params["id"]
        ended = await asyncio.to_thread(sessions.end, self._world, session, ending)
        if ended is None:
            raise _unknown_session(session)
        if self._doors is not None:
            await self._doors.close(session)
        return ended

    async def session(self, request: Request) -> Answer:
        """Answer how a session stands."""
        session = request.path_params["id"]
        facts = await asyncio.to_thread(sessions.facts, self._world, session)
        if facts is None:
            raise _unknown_session(session)
        return facts

    async def report_crew(self, request: Request) -> Answer:
        """Note what each agent of the harness does now; agents that are not named are not kept any more."""
        report = await read(request, CrewReport)
        for state in report.agents:
            check_name(state.agent)
        await asyncio.to_thread(agents.record_states, self._world, report.agents)
        return done()


def _unknown_session(session: str) -> BadRequest:
    return BadRequest(404, "unknown_session", f"there is no session {session}")
