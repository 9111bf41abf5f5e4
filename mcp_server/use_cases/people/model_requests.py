"""Requests to models, written down: each that ended, those that a killed server left, and agents that wait
for their account.
"""

from collections.abc import Iterable
from dataclasses import replace

from mcp_server.core.principal import AGENT, Principal
from mcp_server.models import under_way
from mcp_server.models.apis import FREE
from mcp_server.models.budgets import Scope, Spent
from mcp_server.models.under_way import PendingRequest
from mcp_server.store import Tx, meta
from mcp_server.store import leases as lease_rows
from mcp_server.store import model_requests as rows
from mcp_server.store.model_requests import ModelRequest
from mcp_server.use_cases import leasing
from mcp_server.world import World

SLOT = "model request of slot {}"  # in meta: the last request that was noted there and is recorded


def load(world: World) -> None:
    """The running totals as the database has them, once the requests are in it that a killed server had under
    way.
    """
    if lost := under_way.left(world.store.path.parent):
        _count_lost(world, lost)
    found: dict[tuple[Scope, str], Spent] = {}
    with world.store.read() as tx:
        for scope in Scope:
            for values, one in rows.sums(tx, *(() if scope is Scope.RUN else (str(scope),))):
                name = values[0] if values else ""
                if name is not None:
                    found[scope, name] = Spent(one.input + one.output, one.cost_usd, one.requests)
    world.ledger.load(found.items())


def record(world: World, who: Principal, request: ModelRequest, note: PendingRequest | None) -> ModelRequest:
    """One ended request: its row, its event and the renewal of its agent's lease, together. Answers with the
    request as it was written.
    """
    with world.store.write() as tx:
        request = _add(world, tx, who, request, note)
        leasing.renew(world, tx, who)
    return request


def _add(
    world: World, tx: Tx, who: Principal, request: ModelRequest, note: PendingRequest | None
) -> ModelRequest:
    """It is its task's under whose lease it began, though that may have ended meanwhile: so do the last
    requests of killed sessions.
    """
    if (lease := lease_rows.at(tx, who.name, request.began_ms)) is not None:
        request = replace(request, task=lease.task, fence=lease.fence)
    elsewhere = ("agent", "session", "task", "fence", "began_ms", "counted")
    data = {name: value for name, value in vars(request).items() if name not in elsewhere}
    rows.add(tx, request)
    world.record(
        tx, "model_request", who, task=request.task, fence=request.fence, known=request.counted, **data
    )
    if note is not None:
        meta.put(tx, SLOT.format(note.slot), note.id)
    return request


def _count_lost(world: World, notes: Iterable[PendingRequest]) -> None:
    """Requests that nobody knows the end of: the vendor may have answered them whole. One that was recorded
    and still noted is left alone.
    """
    with world.store.write() as tx:
        for note in notes:
            if meta.get(tx, SLOT.format(note.slot)) != note.id:
                _add(world, tx, Principal(note.agent, AGENT, note.session), _lost(note), note)


def _lost(note: PendingRequest) -> ModelRequest:
    free = note.form in FREE
    return ModelRequest(
        began_ms=note.began_ms,
        agent=note.agent,
        session=note.session,
        task=None,
        fence=None,
        account=note.account,
        form=note.form,
        model=note.model,
        status=None,
        outcome="lost",
        input=0,
        cached_read=0,
        cached_write=0,
        output=0,
        reasoning=0,
        counted=free,
        partial=not free,
        cost_usd=0.0 if free else None,
        tries=1,
        waited_ms=0,
        first_byte_ms=None,
        took_ms=0,
    )


# -- waiting


def begin_wait(world: World, who: Principal, account: str, until_ms: int, reason: str) -> None:
    """An agent is parked: its lease is kept, and the log says why nothing is heard of it."""
    with world.store.write() as tx:
        leasing.renew(world, tx, who)
        lease = lease_rows.of_agent(tx, who.name)
        under = {"task": lease.task, "fence": lease.fence} if lease else {}
        world.record(tx, "waiting_for_quota", who, **under, account=account, until_ms=until_ms, reason=reason)
    world.bell.ring()


def parked(world: World, who: Principal, account: str, until_ms: int, reason: str, *, closed: bool) -> None:
    """An account gives nothing until then; `closed` is its breaker."""
    with world.store.write() as tx:
        world.record(
            tx,
            "account_closed" if closed else "account_parked",
            who,
            account=account,
            until_ms=until_ms,
            reason=reason,
        )
    world.bell.ring()


def renew_all(world: World, agents: Iterable[Principal]) -> None:
    """Whoever waits for a model, or listens to one, is at work."""
    with world.store.write() as tx:
        for who in agents:
            leasing.renew(world, tx, who)
