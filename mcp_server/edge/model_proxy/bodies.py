"""Owns the bytes of requests that are under way: who may hold how many of them.

Rule: a part of a body is counted as it comes and before it is kept, and is given back once the request is
over. Half a body counts as much as a whole one, and no agent can take what every other one may always have.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.types import Receive

BODY_BYTES_MAX = 40 << 20  # Anthropic takes 32 MB
AGENT_BYTES_MAX = 64 << 20  # of all requests of one agent at once; most have less than one
ALL_BYTES_MAX = 256 << 20  # of all agents; beyond it an agent may have no more than ALWAYS_BYTES
ALWAYS_BYTES = 4 << 20


class CallerGone(Exception):
    """The client left before it had said what it wants."""


class BodyTooLarge(Exception):
    """One request is larger than any vendor takes."""


class NoRoom(Exception):
    """The requests under way hold as much as they may."""


class HeldBody:
    """The bytes of one request, as far as they have come."""

    def __init__(self, bodies: "Bodies", agent: str):
        self._bodies, self._agent = bodies, agent
        self._parts: list[bytes] = []
        self.size = 0

    async def read(self, receive: Receive) -> bytes:
        """Return the whole body. Raise CallerGone, BodyTooLarge or NoRoom."""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise CallerGone
            self._take(message.get("body", b""))
            if not message.get("more_body"):
                return b"".join(self._parts)

    def _take(self, part: bytes) -> None:
        if self.size + len(part) > BODY_BYTES_MAX:
            raise BodyTooLarge(f"the request has more than {BODY_BYTES_MAX} bytes")
        self._bodies.take(self._agent, len(part))
        self.size += len(part)
        self._parts.append(part)


class Bodies:
    """All that is held."""

    def __init__(self) -> None:
        self._of_agent: Counter[str] = Counter()

    @contextmanager
    def held(self, agent: str) -> Iterator[HeldBody]:
        """Give a body to read into; what it holds is given back at the end."""
        body = HeldBody(self, agent)
        try:
            yield body
        finally:
            self._of_agent[agent] -= body.size
            if not self._of_agent[agent]:
                del self._of_agent[agent]

    def take(self, agent: str, size: int) -> None:
        """Count so many more bytes of the agent's; raise NoRoom if it may not have them."""
        own = self._of_agent[agent] + size
        if own > AGENT_BYTES_MAX:
            raise NoRoom(f"the requests of {agent} that are under way have {AGENT_BYTES_MAX} bytes")
        if own > ALWAYS_BYTES and self._of_agent.total() + size > ALL_BYTES_MAX:
            raise NoRoom(f"the requests of all agents that are under way have {ALL_BYTES_MAX} bytes")
        self._of_agent[agent] = own
