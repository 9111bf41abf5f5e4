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
from mcp_server.wire.reports import (
    AgentSpending,
    LandedSpending,
    ModelSpending,
    SessionSpending,
    SpendingReport,
    SpendingSum,
    TaskSpending,
)
from mcp_server.wire.sessions import BudgetNote
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


def note(world: World, tx: Tx, who: Principal) -> dict[str, Any] | None:
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


def over_of_session(world: World, session: people.SessionRow) -> BudgetNote | None:
    """Return the budget for which the harness has to end a session with outcome `budget`, if there is one."""
    if session.ended_ms is not None:
        return None
    with world.store.read() as tx:
        found = standing_of(world, tx, Principal(session.agent, AGENT, session.id))
    return BudgetNote.of_json(found.to_json()) if found is not None and found.is_over else None


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
                world.record(tx, "budget_reached", who, task=lease.task, fence=lease.fence, **_as_event(over))
            if lease.session is None or world.now_ms() - world.over_budget[lease.fence] >= GRACE_MS:
                give_back(world, tx, lease, over)
                ended = True
    if ended:
        leasing.keep_salvage(world)
    return ended


def _as_event(over: Standing) -> dict[str, Any]:
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


def report(world: World) -> SpendingReport:
    """Return sums in all, by agent, session, task and model, and what each landed change has cost."""
    with world.store.read() as tx:
        [(_, total)] = rows.sums(tx)
        by_agent = rows.sums(tx, "agent")
        by_session = rows.sums(tx, "session")
        by_task = rows.sums(tx, "task")
        by_model = rows.sums(tx, "account", "model")
        landed = _landed(tx)
    return SpendingReport(
        total=SpendingSum(**total.to_json()),
        agents=tuple(AgentSpending(agent=agent, **spent.to_json()) for (agent,), spent in by_agent),
        sessions=tuple(
            SessionSpending(session=session, **spent.to_json()) for (session,), spent in by_session
        ),
        tasks=tuple(TaskSpending(task=task, **spent.to_json()) for (task,), spent in by_task),
        models=tuple(
            ModelSpending(account=account, model=model, **spent.to_json())
            for (account, model), spent in by_model
        ),
        landed=tuple(landed),
    )


def _landed(tx: Tx) -> list[LandedSpending]:
    """Return what went into each landing: every request made under its task since that landed last, by
    whomever, failed attempts too.
    """
    landings = []
    since_ms: dict[str, int] = {}
    for submission in submission_rows.landed(tx):
        ended_ms = submission.ended_ms or submission.submitted_ms
        after_ms = since_ms.get(submission.task, -1)
        [(_, spent)] = rows.sums(tx, task=submission.task, after_ms=after_ms, until_ms=ended_ms)
        since_ms[submission.task] = ended_ms
        landings.append(
            LandedSpending(
                task=submission.task,
                agent=submission.agent,
                commit=submission.candidate,
                summary=submission.summary.partition("\n")[0],
                **spent.to_json(),
            )
        )
    return landings
