"""Owns the way from a door to the few places outside that tools may need: a CONNECT proxy, off unless
[egress] names agents.

Rule: the name is looked up here and nowhere else, once, and what is connected to is the address that was
judged. Whoever is let through or sent away leaves an event. What flows inside is not looked at: it is the
tool's TLS.
"""

import asyncio
import base64
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import h11

from mcp_server.config import Egress
from mcp_server.core import destination
from mcp_server.core.destination import Destination, UnfitDestination
from mcp_server.core.principal import AGENT, Principal
from mcp_server.edge.egress import tunnel
from mcp_server.edge.egress.resolver import Resolver
from mcp_server.edge.egress.tunnel import CHUNK_BYTES, Flow
from mcp_server.use_cases.people import credentials
from mcp_server.world import World

HEAD_BYTES_MAX = 16 << 10
ADDRESSES_MAX = 4  # of a name are tried
BROKEN = frozenset({"idle", "total_limit", "broken"})
REALM = 'Basic realm="harness"'
log = logging.getLogger(__name__)

Resolve = Callable[[str, int], Awaitable[list[str]]]
WhoIs = Callable[[str, str], Principal | None]  # token, door
Record = Callable[..., None]  # kind, who, **data; called in a thread


@dataclass(frozen=True)
class EgressLimits:
    head_s: float = 10.0  # to send one request in
    connect_s: float = 15.0  # look-up and connection together
    idle_s: float = 300.0  # without a byte in either direction: longer than any registry thinks
    total_s: float = 3_600.0
    tunnels: int = 32  # of one session at once: package managers open some ten


class _Refused(Exception):
    """An answer that is no: HTTP status, stable code, sentence."""

    def __init__(self, status: int, code: str, message: str):
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


@dataclass
class _Client:
    """One connection from a sandbox."""

    session: str
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    parser: h11.Connection = field(
        default_factory=lambda: h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES_MAX)
    )

    async def request(self) -> h11.Request | None:
        """The next request, whole; None where the client has gone. Raises RemoteProtocolError for what is
        none.
        """
        found = None
        while True:
            event = self.parser.next_event()
            if event is h11.NEED_DATA:
                self.parser.receive_data(await self.reader.read(CHUNK_BYTES))
            elif isinstance(event, h11.Request):
                found = event
            elif isinstance(event, h11.Data):
                raise h11.RemoteProtocolError("a request to connect has no body")
            elif isinstance(event, h11.EndOfMessage):
                return found
            else:
                return None

    async def answer(self, status: int, message: str, headers: list[tuple[str, str]]) -> None:
        body = (message + "\n").encode()
        head = [("content-type", "text/plain; charset=utf-8"), ("content-length", str(len(body))), *headers]
        for event in (
            h11.Response(status_code=status, headers=head, reason=b""),
            h11.Data(data=body),
            h11.EndOfMessage(),
        ):
            self.writer.write(self.parser.send(event) or b"")
        await self.writer.drain()

    def accept(self) -> bytes:
        """Says yes; what the client sent too early is what it answers."""
        self.writer.write(
            self.parser.send(h11.Response(status_code=200, headers=[], reason=b"Connected")) or b""
        )
        return self.parser.trailing_data[0]


class Proxy:
    """Serves the connections from doors that begin with CONNECT."""

    def __init__(
        self,
        egress: Egress,
        who_is: WhoIs,
        record: Record,
        *,
        resolve: Resolve | None = None,
        limits: EgressLimits | None = None,
    ):
        self._egress, self._who_is, self._record = egress, who_is, record
        self._resolve, self._limits = resolve or Resolver(), limits or EgressLimits()
        self._open: Counter[str] = Counter()

    async def serve(self, session: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Until the connection is over. Raises nothing but cancellation, after which the event is written
        too.
        """
        client = _Client(session, reader, writer)
        try:
            while await self._one(client):
                client.parser.start_next_cycle()
        except (h11.RemoteProtocolError, h11.LocalProtocolError, ConnectionError, TimeoutError):
            pass  # it speaks no HTTP, or has gone
        finally:
            writer.close()

    async def _one(self, client: _Client) -> bool:
        """One request. True where another may follow: a client without credentials is asked for them and
        comes again.
        """
        try:
            async with asyncio.timeout(self._limits.head_s):
                request = await client.request()
        except h11.RemoteProtocolError as wrong:
            if client.parser.our_state is h11.IDLE or client.parser.our_state is h11.SEND_RESPONSE:
                await client.answer(400, f"not a request to connect: {wrong}", [("connection", "close")])
            raise
        if request is None:
            return False
        who = self._principal(request, client.session)
        if who is None:
            await client.answer(
                407,
                "no valid token: put the session's token into the proxy's address as the password",
                [("proxy-authenticate", REALM)],
            )
            return client.parser.our_state is h11.DONE
        target = request.target.decode("ascii")
        now = asyncio.get_running_loop().time()
        flow = Flow(now, now)
        try:
            await self._tunnel(client, who, request, flow)
        except _Refused as no:
            flow.status = no.code
            await client.answer(no.status, no.message, [("connection", "close")])
        except TimeoutError:
            flow.status = "total_limit"
        except ConnectionError:
            flow.status = "broken"
        except asyncio.CancelledError:
            flow.status = "closed_by_us"
            raise
        finally:
            await self._tell(who, target, flow)
        if flow.status in BROKEN:
            client.writer.transport.abort()
        return False

    def _principal(self, request: h11.Request, session: str) -> Principal | None:
        given = next(
            (value.decode("latin-1") for name, value in request.headers if name == b"proxy-authorization"), ""
        )
        token = _token(given)
        who = self._who_is(token, session) if token else None
        return who if who is not None and who.role == AGENT else None

    async def _tunnel(self, client: _Client, who: Principal, request: h11.Request, flow: Flow) -> None:
        where = self._allowed(who, request)
        if self._open[client.session] >= self._limits.tunnels:
            raise _Refused(
                429, "too_many", f"{self._limits.tunnels} connections are open already; close some"
            )
        self._open[client.session] += 1
        try:
            reader, writer, flow.address = await self._connect(where)
            try:
                early = client.accept()
                flow.up += len(early)
                writer.write(early)
                async with asyncio.timeout(self._limits.total_s):
                    await tunnel.relay(
                        (client.reader, client.writer), (reader, writer), flow, idle_s=self._limits.idle_s
                    )
            finally:
                tunnel.let_go(writer, flow)
        finally:
            self._open[client.session] -= 1

    def _allowed(self, who: Principal, request: h11.Request) -> Destination:
        if request.method != b"CONNECT":
            raise _Refused(405, "method", "this is a proxy for CONNECT alone: use https addresses")
        if who.name not in self._egress.agents:
            raise _Refused(403, "agent", f"{who.name} may connect nowhere: [egress] agents does not name it")
        where = destination.parse(request.target.decode("ascii"))
        if isinstance(where, UnfitDestination):
            raise _Refused(400, "unfit", f"not a place to connect to: {where.reason}")
        if str(where) not in self._egress.allow:
            raise _Refused(
                403,
                "not_allowed",
                f"{where} is not allowed; allowed: {', '.join(self._egress.allow) or 'nothing'}",
            )
        return where

    async def _connect(self, where: Destination) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, str]:
        """To the first good address that answers. The address is connected to as it is: no second look-up can
        change it.
        """
        try:
            async with asyncio.timeout(self._limits.connect_s):
                found = await self._resolve(where.host, where.port)
                private = str(where) in self._egress.private
                good = [address for address in found if destination.may_connect(address, private=private)]
                if not good:
                    raise (
                        _Refused(403, "not_public", f"{where.host} has no public address")
                        if found
                        else _Refused(502, "unknown_host", f"{where.host} has no address")
                    )
                for address in good[:ADDRESSES_MAX]:
                    with suppress(OSError):
                        return *await asyncio.open_connection(address, where.port, limit=CHUNK_BYTES), address
        except TimeoutError:
            raise _Refused(
                504, "no_answer", f"{where} did not answer within {self._limits.connect_s:.0f} s"
            ) from None
        except OSError as error:
            raise _Refused(
                502, "unknown_host", f"{where.host} cannot be looked up: {error.strerror or error}"
            ) from None
        raise _Refused(502, "unreachable", f"{where} cannot be reached")

    async def _tell(self, who: Principal, target: str, flow: Flow) -> None:
        where = destination.parse(target)
        target_data = (
            {"host": where.host, "port": where.port} if isinstance(where, Destination) else {"asked": target}
        )
        ms = round((asyncio.get_running_loop().time() - flow.began) * 1_000)
        writing = asyncio.to_thread(
            self._record,
            "egress",
            who,
            **target_data,
            address=flow.address,
            status=flow.status,
            bytes_up=flow.up,
            bytes_down=flow.down,
            ms=ms,
        )
        try:
            await asyncio.shield(asyncio.ensure_future(writing))
        except Exception:
            log.exception("the event of a connection of %s to %s is not written", who.name, target)


def proxy(world: World) -> Proxy | None:
    """The proxy of this configuration; None where nobody may go out."""

    def record(kind: str, who: Principal, **data: Any) -> None:
        with world.store.write() as tx:
            world.record(tx, kind, who, **data)

    if not world.config.egress.agents:
        return None
    return Proxy(
        world.config.egress, lambda token, door: credentials.principal_of(world.store, token, door), record
    )


def _token(header: str) -> str:
    """Of `Bearer TOKEN` or of `Basic`, where a proxy's address has it as the password or else the user."""
    scheme, _, value = header.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() != "basic":
        return ""
    try:
        user, _, password = base64.b64decode(value.strip(), validate=True).decode().partition(":")
    except ValueError:
        return ""
    return password or user
