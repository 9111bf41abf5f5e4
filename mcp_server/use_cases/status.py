"""The run at a glance, for people and for the harness: agents, leases, queue, landings, refusals."""

import json
from collections import Counter

from mcp_server.core import lease as leases
from mcp_server.core import task as tasks
from mcp_server.core.task import State
from mcp_server.gateway.accounts import Wait
from mcp_server.gateway.budgets import Scope
from mcp_server.store import events, people
from mcp_server.store import jobs as job_rows
from mcp_server.store import submissions as submission_rows
from mcp_server.use_cases import baseline, leasing, oracle_check, planning
from mcp_server.world import World


def status(world: World) -> dict:
    all_tasks, _ = planning.board(world)
    with world.store.write() as tx:
        live = leasing.live(world, tx)
    with world.store.read() as tx:
        sessions = people.latest_sessions(tx)
        connected = people.connected(tx) - {session.agent for session in sessions}
        pending = submission_rows.pending(tx)
        landed = submission_rows.landed(tx)
        refusals = [json.loads(body) for body in events.bodies(tx, "refusal")]
        last = events.last(tx)
    counts = Counter(task.state for task in all_tasks.values())
    held = {lease.agent: lease for lease in live}
    landings = Counter(one.agent for one in landed)
    refused = Counter(event["agent"] for event in refusals)
    now = world.now_ms()
    return {
        "run": world.config.run.name,
        "main": {name: world.main(name) for name in world.repos},
        "tasks": {"open": counts[State.OPEN], "claimed": counts[State.LEASED], "done": counts[State.DONE], "blocked": counts[State.BLOCKED]},
        "finished": tasks.run_is_finished(all_tasks) and not pending,
        "agents": [
            row | {"waiting_for_quota": _quota(world.accounts.wait_of(row["agent"], row["session"], now)), "spent": _spent(world, row["agent"])}
            for row in [_agent(session, held.get(session.agent), now, landings, refused) for session in sessions]
            + [_connected(agent, held.get(agent), now, landings, refused) for agent in sorted(connected)]
        ],
        "accounts": world.accounts.shown(now),
        "submissions": [_waiting(place, one, now) for place, one in enumerate(pending, 1)],
        "suites": {name: _suite(world, name) for name in world.config.suites},
        "landings": len(landed),
        "refusals": dict(Counter(event["data"]["code"] for event in refusals)),
        "head_seq": last.seq if last else 0,
    }


def _agent(session: people.Session, lease: leases.Lease | None, now_ms: int, landings: Counter, refused: Counter) -> dict:
    return {
        "agent": session.agent,
        "kind": session.kind,
        "state": "ended" if session.ended_ms else "working",
        "outcome": session.outcome,
        "session": session.id,
        "task": lease.task if lease else None,
        "fence": lease.fence if lease else None,
        "lease_left_s": max(0, lease.expires_ms - now_ms) // 1000 if lease else None,
        "last_call": session.last_call,
        "last_call_ms": session.last_call_ms,
        "landings": landings[session.agent],
        "refusals": refused[session.agent],
    }


def _connected(agent: str, lease: leases.Lease | None, now_ms: int, landings: Counter, refused: Counter) -> dict:
    """An agent with a token of its own and no session: a client somewhere else."""
    nobody = people.Session("", agent, "connected", door=False, started_ms=0)
    return _agent(nobody, lease, now_ms, landings, refused) | {"state": "connected", "session": None}


def _quota(wait: Wait | None) -> dict | None:
    return {"account": wait.account, "since_ms": wait.since_ms, "until_ms": wait.until_ms, "reason": wait.reason} if wait else None


def _spent(world: World, agent: str) -> dict:
    spent = world.ledger.spent(Scope.AGENT, agent)
    return {"tokens": spent.tokens, "cost_usd": round(spent.cost_usd, 6), "requests": spent.requests}


def _waiting(place: int, one: submission_rows.Submission, now_ms: int) -> dict:
    return {
        "submission": one.id,
        "task": one.task,
        "agent": one.agent,
        "state": str(one.state),
        "place": place,
        "waited_s": (now_ms - one.submitted_ms) // 1000,
        "jobs": one.jobs,
    }


def _suite(world: World, name: str) -> dict:
    outcomes = baseline.of_main(world, name)
    return {"checked": oracle_check.is_checked(world, name), "passing": list(outcomes.values()).count("pass"), "cases": len(outcomes)}


def job(world: World, id: int) -> dict | None:
    with world.store.read() as tx:
        found = job_rows.get(tx, id)
    return {"job": found.id, "kind": found.kind, "suite": found.suite, "commit": found.commit, "state": found.state, "verdict": found.verdict} if found else None
