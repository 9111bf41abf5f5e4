"""Tokens of connected clients: issued to a name, revoked at once with all that was held by them."""

from mcp_server.core.principal import AGENT, Principal
from mcp_server.core.task import TaskEvent
from mcp_server.store import Tx, people
from mcp_server.store.people import Token
from mcp_server.use_cases import leasing
from mcp_server.use_cases.people import credentials
from mcp_server.wire.sessions import RevokedToken, TokenFacts
from mcp_server.world import World


def issue(world: World, by: Principal, agent: str) -> tuple[str, int]:
    """Issue a token to an agent without a session; return it with its number."""
    with world.store.write() as tx:
        token = credentials.issue(tx, agent, AGENT, world.now_ms())
        row = people.token_by_hash(tx, credentials.hashed(token))
        assert row is not None
        world.record(tx, "token_issued", agent=agent, by=by.name, issued=row.id)
    return token, row.id


def issued(world: World) -> list[TokenFacts]:
    """Return every token that was ever issued, without its hash."""
    with world.store.read() as tx:
        rows = people.all_tokens(tx)
    return [
        TokenFacts(
            id=row.id,
            name=row.name,
            role=row.role,
            session=row.session,
            issued_ms=row.issued_ms,
            revoked_ms=row.revoked_ms,
        )
        for row in rows
    ]


def revoke(world: World, by: Principal, id: int, *, keeps_lease: bool = False) -> RevokedToken | None:
    """Revoke a token; return None if there is no such live token.

    A lease ends with the last token of its holder, its uploads kept as salvage. `keeps_lease` is for a client
    that hands its own token in, as one on stdio does at its end: it may be back in a moment.
    """
    with world.store.write() as tx:
        world = world.at_one_moment()
        token = next(
            (token for token in people.all_tokens(tx) if token.id == id and token.revoked_ms is None), None
        )
        if token is None:
            return None
        people.revoke(tx, world.now_ms(), id=id)
        # Not `token=`: what is logged under that name is hidden as a secret.
        world.record(tx, "token_revoked", revoked=id, by=by.name)
        held = (
            []
            if keeps_lease or _has_another(tx, token)
            else [
                lease
                for lease in leasing.live(world, tx)
                if (lease.agent, lease.session) == (token.name, token.session)
            ]
        )
        for lease in held:
            if not lease.pinned:
                leasing.end(world, tx, lease, "token_revoked", TaskEvent.LEASE_LOST)
    leasing.keep_salvage(world)
    world.bell.ring()
    return RevokedToken(
        agent=token.name,
        ended=tuple(lease.task for lease in held if not lease.pinned),
        pinned=tuple(lease.task for lease in held if lease.pinned),
    )


def _has_another(tx: Tx, token: Token) -> bool:
    holder = (token.name, token.role, token.session)
    return any(
        (other.name, other.role, other.session) == holder
        and other.revoked_ms is None
        and other.id != token.id
        for other in people.all_tokens(tx)
    )
