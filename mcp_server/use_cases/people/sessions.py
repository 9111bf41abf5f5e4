"""Sessions: one run of an agent's program. When one ends its lease ends at once, and its uploads are
salvaged.
"""

import dataclasses
from typing import Any

from mcp_server import faults
from mcp_server.audit import bounded
from mcp_server.core.principal import AGENT, Principal
from mcp_server.core.task import TaskEvent
from mcp_server.models.budgets import Scope
from mcp_server.repos.process import ZERO
from mcp_server.store import Tx, people
from mcp_server.store import leases as lease_rows
from mcp_server.store import model_requests as request_rows
from mcp_server.store import tasks as task_rows
from mcp_server.store.people import SessionRow
from mcp_server.use_cases import leasing
from mcp_server.use_cases.people import credentials, spending
from mcp_server.wire.sessions import QuotaWait, SessionEnded, SessionEndRequest, SessionState
from mcp_server.world import World


def begin(world: World, agent: str, kind: str, *, door: bool) -> tuple[SessionRow, str]:
    """A new session and its token."""
    with world.store.write() as tx:
        session = people.add_session(tx, agent=agent, kind=kind, door=door, now_ms=world.now_ms())
        token = credentials.issue(tx, agent, AGENT, world.now_ms(), session=session.id)
        world.record(tx, "session_started", agent=agent, session=session.id, agent_kind=kind, door=door)
    return session, token


def end(world: World, id: str, ending: SessionEndRequest) -> SessionEnded | None:
    """End a session, its token and its lease; return None for an unknown one. Ending twice changes nothing.

    A lease with a submission in the gate stays until the verdict: finished work is not thrown away.
    """
    with world.store.write() as tx:
        world = world.at_one_moment()
        session = people.session(tx, id)
        if session is None:
            return None
        held = [lease for lease in leasing.live(world, tx) if lease.session == id]
        if session.ended_ms is None:
            ended = dataclasses.replace(
                session, ended_ms=world.now_ms(), outcome=ending.outcome, detail=ending.detail
            )
            people.put_session(tx, ended)
            people.revoke(tx, world.now_ms(), session=id)
            world.record(
                tx,
                "session_ended",
                agent=session.agent,
                session=id,
                outcome=ending.outcome,
                detail=ending.detail,
                exit=ending.exit,
                heard=dict(ending.heard),
            )
            for lease in held:
                over = spending.over_under(world, tx, lease)
                if not lease.pinned and over is not None:
                    spending.give_back(world, tx, lease, over)
                elif not lease.pinned:
                    leasing.end(world, tx, lease, "session_ended", TaskEvent.LEASE_LOST)
        task = task_rows.get(tx, held[0].task) if held else None
    faults.reached("session.ended")
    leasing.keep_salvage(world)
    world.bell.ring()
    salvage = task.salvage if task is not None else None
    return SessionEnded(
        task=task.id if task is not None else None,
        salvage=salvage.ref if salvage is not None else None,
    )


def uploaded(tx: Tx, who: Principal, repo: str, ref: str, commit: str) -> None:
    """An agent's commit arrived: it is what its lease, if it lives, has to show should the agent never come
    back.
    """
    for lease in lease_rows.open_ones(tx):
        if lease.agent == who.name and lease.repo == repo:
            lease_rows.put(tx, dataclasses.replace(lease, head=commit))
    if who.session is not None and (session := people.session(tx, who.session)) is not None:
        people.put_session(tx, dataclasses.replace(session, head=commit, branch=ref))


def find_untold(world: World) -> None:
    """After a crash: what git has stored and no event tells of. The ref that a holder moved last is at what
    was uploaded last.
    """
    with world.store.read() as tx:
        leases = lease_rows.open_ones(tx)
    for lease in leases:
        last = max(
            world.repos[lease.repo].refs.with_age([f"refs/agents/{lease.agent}/"]),
            key=lambda ref: ref.moved_ms,
            default=None,
        )
        if last is None or last.commit == lease.head or last.moved_ms < lease.granted_ms:
            continue
        who = Principal(lease.agent, AGENT, lease.session)
        with world.store.write() as tx:
            world.record(
                tx,
                "git_push",
                who,
                repo=lease.repo,
                status="found",
                updates=[[last.name, lease.head or ZERO, last.commit]],
            )
            uploaded(tx, who, lease.repo, last.name, last.commit)


def called(
    world: World,
    tx: Tx,
    who: Principal,
    tool: str,
    *,
    status: str,
    code: str | None,
    args: dict[str, Any],
    ms: int,
) -> None:
    """Writes down one tool call, once its answer is known, and renews the caller's lease."""
    leasing.renew(world, tx, who)
    if who.session is not None:
        people.count_call(tx, who.session, tool, world.now_ms())
    world.record(
        tx,
        "tool_call",
        who,
        fence=args.get("fence"),
        tool=tool,
        args=bounded(args),
        status=status,
        code=code,
        ms=ms,
    )


def listed_tools(world: World, who: Principal) -> None:
    """The session's program has seen our tools: a program that never does works without them and must be
    stopped.
    """
    with world.store.write() as tx:
        if (
            who.session is not None
            and (session := people.session(tx, who.session)) is not None
            and not session.tools_listed
        ):
            people.put_session(tx, dataclasses.replace(session, tools_listed=True))
            world.record(tx, "tools_listed", who)


def facts(world: World, id: str) -> SessionState | None:
    """Return a session as whoever watches it has to know it; None for an unknown one."""
    with world.store.read() as tx:
        session = people.session(tx, id)
        if session is None:
            return None
        leases = lease_rows.count_of_session(tx, id)
        asked_ms = request_rows.last_of_session(tx, id)
    now = world.now_ms()
    wait = world.accounts.wait_of(session.agent, id, now)
    busy = wait is not None or world.ledger.is_open(Scope.SESSION, id)
    quiet_ms = 0 if busy else now - max(session.started_ms, session.last_call_ms or 0, asked_ms or 0)
    return SessionState(
        **dataclasses.asdict(session),
        session=id,
        state="ended" if session.ended_ms else "working",
        over_budget=spending.over_of_session(world, session),
        leases=leases,
        quiet_s=max(0, quiet_ms) / 1_000,
        waiting_for_quota=QuotaWait.of_json(wait.to_json()) if wait is not None else None,
    )
