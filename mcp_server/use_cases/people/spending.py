"""What models cost: budgets, who is near one, past one, and what follows; and sums for reports."""

from collections.abc import Iterable
from typing import Any

from mcp_server.config import Budget
from mcp_server.core.lease import Lease
from mcp_server.core.principal import AGENT, Principal
from mcp_server.core.refusal import Code, Refused
from mcp_server.core.task import TaskEvent
from mcp_server.models import budgets
from mcp_server.models.budgets import MEASURES, NOTE_SHARE, Scope, Spent, Standing
from mcp_server.store import Tx, people
from mcp_server.store import leases as lease_rows
from mcp_server.store import model_requests as rows
from mcp_server.store import submissions as submission_rows
from mcp_server.use_cases import leasing
from mcp_server.world import MS_PER_MINUTE, World

# for the harness to end a session over its budget and to save its work; then its lease ends anyhow
GRACE_MS = 120_000
NO_BUDGET = Budget()


def task_of(world: World, who: Principal) -> str | None:
    """The task of the lease that `who` holds."""
    with world.store.read() as tx:
        lease = lease_of(world, tx, who)
    return lease.task if lease else None


def lease_of(world: World, tx: Tx, who: Principal) -> Lease | None:
    lease = lease_rows.of_agent(tx, who.name)
    return lease if lease is not None and (lease.pinned or world.now_ms() < lease.expires_ms) else None


# -- budgets


def keys(who: Principal, task: str | None) -> tuple[tuple[Scope, str], ...]:
    """What a request of `who` under `task` is charged to."""
    found = [(Scope.SESSION, who.session), (Scope.TASK, task), (Scope.AGENT, who.name), (Scope.RUN, "")]
    return tuple((scope, name) for scope, name in found if name is not None)


def limits(world: World, charged: Iterable[tuple[Scope, str]], agent: str) -> list[tuple[Scope, str, Budget]]:
    """Those of the scopes that have a limit."""
    spec = world.config.spec_of(agent)
    gateway, tasks = world.config.gateway, {task.id: task.budget for task in world.config.tasks}
    found = []
    for scope, name in charged:
        match scope:
            case Scope.SESSION:
                budget = _merged(spec.session_budget if spec else None, gateway.session_budget)
            case Scope.TASK:
                budget = _merged(tasks.get(name), gateway.task_budget)
            case Scope.AGENT:
                budget = _merged(spec.budget if spec else None, gateway.agent_budget)
            case Scope.RUN:
                budget = gateway.budget
        if budget != NO_BUDGET:
            found.append((scope, name, budget))
    return found


def _merged(own: Budget | None, default: Budget) -> Budget:
    """Each limit its own, or else the default's."""
    if own is None or own == default:
        return default
    return Budget(
        **{
            name: getattr(own, name) if getattr(own, name) is not None else getattr(default, name)
            for name in MEASURES
        }
    )


def standing_now(world: World, limited: list[tuple[Scope, str, Budget]]) -> Standing | None:
    """The same, asking the database only where time is limited."""
    if any(budget.minutes is not None for _, _, budget in limited):
        with world.store.read() as tx:
            return standing(world, tx, limited)
    return budgets.worst(
        (scope, name, budget, world.ledger.spent(scope, name)) for scope, name, budget in limited
    )


def standing(world: World, tx: Tx, limited: list[tuple[Scope, str, Budget]]) -> Standing | None:
    """The limit nearest to its end, as of now."""
    return budgets.worst(
        (scope, name, budget, _spent(world, tx, scope, name, budget)) for scope, name, budget in limited
    )


def standing_of(world: World, tx: Tx, who: Principal) -> Standing | None:
    if not any_budget(world):
        return None
    lease = lease_of(world, tx, who)
    limited = limits(world, keys(who, lease.task if lease else None), who.name)
    return standing(world, tx, limited) if limited else None


def note(world: World, tx: Tx, who: Principal) -> dict | None:
    """For the next tool answer, once somebody should know."""
    found = standing_of(world, tx, who)
    return found.to_json() if found is not None and found.share >= NOTE_SHARE else None


def refusal(world: World, tx: Tx, who: Principal, task: str | None) -> Refused | None:
    """Why `who` gets no new work, `task` being what would be given."""
    if not any_budget(world):
        return None
    found = standing(world, tx, limits(world, keys(who, task), who.name))
    if found is None or not found.is_over:
        return None
    step = (
        "claim another task"
        if found.scope is Scope.TASK
        else "end your session; a person may raise the budget in harness.toml"
    )
    return Refused(
        Code.BUDGET,
        f"{found.sentence()}",
        "no model request is answered under this budget, so nothing new is leased",
        step,
    )


def _spent(world: World, tx: Tx, scope: Scope, name: str, budget: Budget) -> Spent:
    spent = world.ledger.spent(scope, name)
    if budget.minutes is None:
        return spent
    return Spent(
        spent.tokens, spent.cost_usd, spent.requests, _wall_ms(world, tx, scope, name) / MS_PER_MINUTE
    )


def _wall_ms(world: World, tx: Tx, scope: Scope, name: str) -> int:
    """A session and a run since they began, an agent in its sessions, a task under its leases."""
    now = world.now_ms()
    match scope:
        case Scope.SESSION:
            session = people.session(tx, name)
            return now - session.started_ms if session else 0
        case Scope.AGENT:
            return people.in_sessions_ms(tx, name, now)
        case Scope.TASK:
            return sum((one.ended_ms or now) - one.granted_ms for one in lease_rows.of_task(tx, name))
        case Scope.RUN:
            began = people.first_began_ms(tx)
            return now - began if began is not None else 0


def over_under(world: World, tx: Tx, lease: Lease) -> Standing | None:
    """The limit that the holder of a lease has passed, if any."""
    limited = limits(world, keys(Principal(lease.agent, AGENT, lease.session), lease.task), lease.agent)
    found = standing(world, tx, limited) if limited else None
    return found if found is not None and found.is_over else None


def over_of_session(world: World, session: people.SessionRow) -> dict | None:
    """For the harness: a session to be ended with outcome `budget`, and why."""
    if session.ended_ms is not None:
        return None
    with world.store.read() as tx:
        found = standing_of(world, tx, Principal(session.agent, AGENT, session.id))
    return found.to_json() if found is not None and found.is_over else None


def give_back(world: World, tx: Tx, lease: Lease, over: Standing) -> None:
    """The task goes back, with the reason: to be claimed again, unless it is the task itself that used up its
    budget.
    """
    event = TaskEvent.BLOCK if over.scope is Scope.TASK else TaskEvent.LEASE_LOST
    leasing.end(world, tx, lease, "budget", event, why=f"budget: {over.sentence()}")


def enforce(world: World) -> bool:
    """Marks agents past a budget; ends the leases of those that nobody stops. Whether anything changed."""
    if not any_budget(world):
        return False
    ended = False
    with world.store.write() as tx:
        for lease in leasing.live(world, tx):
            over = None if lease.pinned else over_under(world, tx, lease)
            if over is None:
                continue
            who = Principal(lease.agent, AGENT, lease.session)
            if lease.fence not in world.over_budget:
                world.over_budget[lease.fence] = world.now_ms()
                world.record(tx, "budget_reached", who, task=lease.task, fence=lease.fence, **_told(over))
            if lease.session is None or world.now_ms() - world.over_budget[lease.fence] >= GRACE_MS:
                give_back(world, tx, lease, over)
                ended = True
    if ended:
        leasing.keep_salvage(world)
    return ended


def _told(over: Standing) -> dict:
    """For an event, whose log hides whatever is named after a token."""
    return {
        "scope": str(over.scope),
        "of": over.name,
        "measure": over.measure,
        "used": over.used,
        "limit": over.limit,
    }


def any_budget(world: World) -> bool:
    """Whether anything is limited at all."""
    return world.config.has_budgets


# -- reports


def report(world: World) -> dict[str, Any]:
    """Sums in all, by agent, session, task and model, and what each landed change has cost."""
    with world.store.read() as tx:
        [(_, total)] = rows.sums(tx)
        by = {
            name: rows.sums(tx, *columns)
            for name, columns in {
                "agents": ("agent",),
                "sessions": ("session",),
                "tasks": ("task",),
                "models": ("account", "model"),
            }.items()
        }
        landed = _landed(tx)
    return {
        "total": total.to_json(),
        "agents": [{"agent": values[0]} | one.to_json() for values, one in by["agents"]],
        "sessions": [{"session": values[0]} | one.to_json() for values, one in by["sessions"]],
        "tasks": [{"task": values[0]} | one.to_json() for values, one in by["tasks"]],
        "models": [
            {"account": values[0], "model": values[1]} | one.to_json() for values, one in by["models"]
        ],
        "landed": landed,
    }


def _landed(tx: Tx) -> list[dict]:
    """Every request made under a task since it landed last, by whomever, went into its landing: failed
    attempts too.
    """
    found, since = [], {}
    for one in submission_rows.landed(tx):
        ended = one.ended_ms or one.submitted_ms
        [(_, spent)] = rows.sums(tx, task=one.task, after_ms=since.get(one.task, -1), until_ms=ended)
        since[one.task] = ended
        found.append(
            {
                "task": one.task,
                "agent": one.agent,
                "commit": one.candidate,
                "summary": one.summary.partition("\n")[0],
            }
            | spent.to_json()
        )
    return found
