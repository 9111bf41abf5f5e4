"""The run at a glance, for people and for the harness: agents, leases, queue, landings, refusals. Rule: it
looks into every room of the use cases, and none of them builds on it.
"""

from mcp_server.core import landing, schedule
from mcp_server.core import lease as leases
from mcp_server.core import task as tasks
from mcp_server.core.task import TaskState
from mcp_server.models.accounts import Wait
from mcp_server.models.budgets import Scope
from mcp_server.store import events, people
from mcp_server.store import jobs as job_rows
from mcp_server.store import submissions as submission_rows
from mcp_server.tally import AgentCounts
from mcp_server.use_cases import leasing
from mcp_server.use_cases.landing import waiting
from mcp_server.use_cases.oracle import baseline, case_sets, check
from mcp_server.use_cases.people import agents as crew
from mcp_server.use_cases.tasks import planning
from mcp_server.world import World
from oracle.cases.files import BadCases


def status(world: World) -> dict:
    all_tasks, _ = planning.board(world)
    with world.store.write() as tx:
        live = leasing.live(world, tx)
    with world.store.read() as tx:
        sessions, ended = people.newest_sessions(tx), people.newest_sessions(tx, ended=True)
        connected = people.connected(tx) - set(sessions)
        pending = submission_rows.pending(tx)
        happened = world.tally.up_to(tx)
        last = events.last(tx)
    counts = all_tasks.counts()
    held = {lease.agent: lease for lease in live}
    now = world.now_ms()
    members = crew.known(world)
    rows = [
        _agent(session, ended.get(agent), held.get(agent), now, happened)
        for agent, session in sessions.items()
    ]
    rows += [_connected(agent, held.get(agent), now, happened) for agent in connected]
    rows += [_absent(member) for agent, member in members.items() if agent not in sessions]
    return {
        "run": world.config.run.name,
        "main": {name: world.main(name) for name in world.repos},
        "tasks": {
            "open": counts[TaskState.OPEN],
            "claimed": counts[TaskState.LEASED],
            "done": counts[TaskState.DONE],
            "blocked": counts[TaskState.BLOCKED],
        },
        "finished": tasks.run_is_finished(all_tasks) and not pending,
        "claimable": schedule.best_open(schedule.Board(all_tasks, live, now)) is not None,
        "agents": [
            row
            | _member(members.get(row["agent"]))
            | {
                "waiting_for_quota": _quota(world.accounts.wait_of(row["agent"], row["session"], now)),
                "spent": _spent(world, row["agent"]),
            }
            for row in sorted(rows, key=lambda row: row["agent"])
        ],
        "accounts": world.accounts.snapshot(now),
        "submissions": [_waiting(world, one, now) for one in pending],
        "suites": {name: _suite(world, name) for name in world.config.suites},
        "warnings": crew.warnings(members, now) + warnings(world),
        "landings": happened.landings.total(),
        "refusals": dict(happened.codes),
        "head_seq": last.seq if last else 0,
    }


def warnings(world: World) -> list[str]:
    """What people should mend though it stops nothing: flaky cases that no suite has. A command suite's are
    known once main is measured.
    """
    found = []
    for name, suite in world.config.suites.items():
        if suite.flaky and (known := _case_ids(world, name)):
            found += [
                f"[oracle.{name}.flaky] names {case!r}, and there is no such case"
                for case in suite.flaky
                if case not in known
            ]
    return found


def _case_ids(world: World, suite: str) -> set[str]:
    spec = world.config.suites[suite]
    if spec.kind == "command":
        return set(baseline.of_main(world, suite))
    try:
        return {case.id for case in case_sets.load(world, suite, world.main(spec.repo))}
    except BadCases:
        return set()


def _agent(
    session: people.SessionRow,
    before: people.SessionRow | None,
    lease: leases.Lease | None,
    now_ms: int,
    happened: AgentCounts,
) -> dict:
    return {
        "agent": session.agent,
        "kind": session.kind,
        "state": "ended" if session.ended_ms else "working",
        "outcome": before.outcome if before else None,
        "detail": before.detail if before else None,
        "session": session.id,
        "live": session.ended_ms is None,
        "task": lease.task if lease else None,
        "fence": lease.fence if lease else None,
        "lease_left_s": max(0, lease.expires_ms - now_ms) // 1000 if lease else None,
        "last_call": session.last_call,
        "last_call_ms": session.last_call_ms,
        "landings": happened.landings[session.agent],
        "refusals": happened.refusals[session.agent],
    }


def _connected(agent: str, lease: leases.Lease | None, now_ms: int, happened: AgentCounts) -> dict:
    """An agent with a token of its own and no session: a client somewhere else."""
    nobody = people.SessionRow("", agent, "connected", door=False, started_ms=0)
    return _agent(nobody, None, lease, now_ms, happened) | {
        "state": "connected",
        "session": None,
        "live": False,
    }


def _absent(member: crew.Member) -> dict:
    """An agent of the harness that has never had a session."""
    nobody = people.SessionRow("", member.agent, member.kind, door=False, started_ms=0)
    return _agent(nobody, None, None, 0, AgentCounts()) | {"session": None, "live": False}


def _member(member: crew.Member | None) -> dict:
    """What only the harness knows of an agent; its state counts for more than that of its session."""
    if member is None:
        return {}
    return {
        name: getattr(member, name) for name in ("role", "state", "reason", "sessions", "said", "since_ms")
    }


def _quota(wait: Wait | None) -> dict | None:
    return wait.to_json() if wait is not None else None


def _spent(world: World, agent: str) -> dict:
    spent = world.ledger.spent(Scope.AGENT, agent)
    return {"tokens": spent.tokens, "cost_usd": round(spent.cost_usd, 6), "requests": spent.requests}


def _waiting(world: World, one: submission_rows.Submission, now_ms: int) -> dict:
    with world.store.read() as tx:
        place = waiting.place(world, tx, one)
    return {
        "submission": one.id,
        "task": one.task,
        "agent": one.agent,
        "state": str(one.state),
        "place": place["position"],
        "waiting_for": place["waiting_for"],
        "waited_s": (now_ms - one.submitted_ms) // 1000,
        "jobs": one.jobs,
    }


def _suite(world: World, name: str) -> dict:
    """`red`, `flaky` and `held_out` are there where the suite has such cases."""
    outcomes = baseline.of_main(world, name)
    told: dict = {
        "checked": check.is_checked(world, name),
        "passing": list(outcomes.values()).count("pass"),
        "cases": len(outcomes),
    }
    if red := world.red.get(name):
        told["red"] = red
    if hidden := case_sets.hidden(world, name, outcomes):
        told["held_out"] = {"cases": len(hidden), "passed": sum(outcomes[case] == "pass" for case in hidden)}
    if flaky := world.config.suites[name].flaky:
        exempt = landing.exempt(flaky, world.today())
        told["flaky"] = {"exempt": sorted(exempt), "expired": sorted(flaky.keys() - exempt)}
    return told


def job(world: World, id: int) -> dict | None:
    """A job as people see it: with the files of the held-out cases that fail."""
    with world.store.read() as tx:
        found = job_rows.get(tx, id)
    if found is None:
        return None
    told = {
        "job": found.id,
        "kind": found.kind,
        "suite": found.suite,
        "commit": found.commit,
        "state": found.state,
        "verdict": found.verdict,
    }
    failing = [
        case for case, outcome in (found.verdict or {}).get("outcomes", {}).items() if outcome != "pass"
    ]
    hidden = case_sets.where(world, found.suite, failing)
    return told | ({"held_out_failing": hidden} if hidden else {})
