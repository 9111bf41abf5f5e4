"""The run at a glance, for people and for the harness: agents, leases, queue, landings, refusals. Rule: it
looks into every room of the use cases, and none of them builds on it.
"""

from dataclasses import dataclass

from mcp_server.core import landing, schedule
from mcp_server.core import lease as leases
from mcp_server.core import task as tasks
from mcp_server.core.red_suite import RedSuite
from mcp_server.core.task import TaskState
from mcp_server.models.accounts import Wait
from mcp_server.models.budgets import Scope
from mcp_server.store import events, people
from mcp_server.store import jobs as job_rows
from mcp_server.store import submissions as submission_rows
from mcp_server.tally import AgentCounts
from mcp_server.use_cases import leasing
from mcp_server.use_cases.landing import waiting
from mcp_server.use_cases.oracle import baseline, case_sets, check, pace, red, suite_images
from mcp_server.use_cases.people import agents
from mcp_server.use_cases.tasks import planning
from mcp_server.wire.jobs import HeldOutFailure, JobState
from mcp_server.wire.sessions import AgentState, QuotaWait
from mcp_server.wire.status import (
    AccountStatus,
    AgentStatus,
    FlakyCases,
    HeldOutCounts,
    RedMain,
    RunStatus,
    SpentByAgent,
    SubmissionStatus,
    SuiteStatus,
    TaskCounts,
)
from mcp_server.world import World
from oracle.cases.files import BadCases
from oracle.judging.verdict import PASS, SKIP, Verdict

RED_NAMED_MAX = 50  # cases that main fails, of one suite
CONNECTED = "connected"  # a client with a token of its own, somewhere else


def status(world: World) -> RunStatus:
    """Return the run at a glance."""
    all_tasks, _ = planning.board(world)
    with world.store.write() as tx:
        live_leases = leasing.live(world, tx)
    with world.store.read() as tx:
        sessions, ended = people.newest_sessions(tx), people.newest_sessions(tx, ended=True)
        connected = people.connected(tx) - set(sessions)
        pending = submission_rows.pending(tx)
        counts = world.tally.up_to(tx)
        last_event = events.last(tx)
    task_counts = all_tasks.counts()
    lease_of = {lease.agent: lease for lease in live_leases}
    now_ms = world.now_ms()
    agent_states = agents.states(world)
    looks = [
        _Look(agent, session, ended.get(agent), lease_of.get(agent)) for agent, session in sessions.items()
    ]
    looks += [_Look(agent, lease=lease_of.get(agent)) for agent in connected]
    looks += [_Look(agent) for agent in agent_states if agent not in sessions]
    looks.sort(key=lambda look: look.agent)
    return RunStatus(
        run=world.config.run.name,
        main={name: world.main(name) for name in world.repos},
        tasks=TaskCounts(
            open=task_counts[TaskState.OPEN],
            claimed=task_counts[TaskState.LEASED],
            done=task_counts[TaskState.DONE],
            blocked=task_counts[TaskState.BLOCKED],
        ),
        finished=tasks.run_is_finished(all_tasks) and not pending,
        claimable=schedule.best_open(schedule.Board(all_tasks, live_leases, now_ms)) is not None,
        agents=tuple(
            _agent_status(world, look, agent_states.get(look.agent), counts, now_ms) for look in looks
        ),
        accounts=tuple(AccountStatus.of_json(account) for account in world.accounts.snapshot(now_ms)),
        submissions=tuple(_submission_status(world, submission, now_ms) for submission in pending),
        suites={name: _suite_status(world, name) for name in world.config.suites},
        warnings=(*agents.warnings(agent_states, now_ms), *suite_images.warnings(world), *warnings(world)),
        landings=counts.landings.total(),
        refusals=dict(counts.codes),
        head_seq=last_event.seq if last_event else 0,
    )


def warnings(world: World) -> list[str]:
    """Return what people should mend though it stops nothing: flaky cases that no suite has, cases that
    turn red on main again and again, and suites that have become slow.

    A command suite's cases are known once main is measured.
    """
    sentences = [words for name in world.config.suites if (words := pace.slowdown(world, name))]
    sentences += _relapses(world)
    for name, suite in world.config.suites.items():
        case_ids = _case_ids(world, name) if suite.flaky else set()
        if case_ids:
            sentences += [
                f"[oracle.{name}.flaky] names {case!r}, and there is no such case"
                for case in suite.flaky
                if case not in case_ids
            ]
    return sentences


def _relapses(world: World) -> list[str]:
    sentences = []
    for name, suite in world.config.suites.items():
        with world.store.read() as tx:
            turns = red.relapsed(world, tx, name)
        cases = sorted(turns.keys() - suite.flaky.keys() - case_sets.hidden(world, name, turns))
        if cases:
            often = max(turns[case] for case in cases)
            sentences.append(
                f"main failed what it passed before and after, up to {often} times, in {name}: "
                f"{landing.some(cases)}; that is flaky: harness oracle run --repeat 10 shows how often"
            )
    return sentences


def _case_ids(world: World, suite: str) -> set[str]:
    spec = world.config.suites[suite]
    if spec.kind == "command":
        return set(baseline.of_main(world, suite))
    try:
        return {case.id for case in case_sets.load(world, suite, world.main(spec.repo))}
    except BadCases:
        return set()


@dataclass(frozen=True)
class _Look:
    """What the database has of an agent: its newest session, its newest ended one, its lease."""

    agent: str
    session: people.SessionRow | None = None
    ended: people.SessionRow | None = None
    lease: leases.Lease | None = None


def _agent_status(
    world: World, look: _Look, agent_state: AgentState | None, counts: AgentCounts, now_ms: int
) -> AgentStatus:
    session, lease = look.session, look.lease
    session_id = session.id if session is not None else None
    agent_status = AgentStatus(
        agent=look.agent,
        kind=_kind(session, agent_state),
        state=_state(session),
        outcome=look.ended.outcome if look.ended is not None else None,
        detail=look.ended.detail if look.ended is not None else None,
        session=session_id,
        live=session is not None and session.ended_ms is None,
        task=lease.task if lease is not None else None,
        fence=lease.fence if lease is not None else None,
        lease_left_s=max(0, lease.expires_ms - now_ms) // 1_000 if lease is not None else None,
        last_call=session.last_call if session is not None else None,
        last_call_ms=session.last_call_ms if session is not None else None,
        landings=counts.landings[look.agent],
        refusals=counts.refusals[look.agent],
        waiting_for_quota=_quota_wait(world.accounts.wait_of(look.agent, session_id, now_ms)),
        spent=_spent(world, look.agent),
    )
    if agent_state is None:
        return agent_status
    # What only the harness knows; its state counts for more than that of the session.
    return agent_status.changed(
        role=agent_state.role,
        state=str(agent_state.state),
        reason=agent_state.reason,
        sessions=agent_state.sessions,
        said=agent_state.said,
        since_ms=agent_state.since_ms,
    )


def _kind(session: people.SessionRow | None, agent_state: AgentState | None) -> str:
    if session is not None:
        return session.kind
    return agent_state.kind if agent_state is not None else CONNECTED


def _state(session: people.SessionRow | None) -> str:
    if session is None:
        return CONNECTED
    return "ended" if session.ended_ms is not None else "working"


def _quota_wait(wait: Wait | None) -> QuotaWait | None:
    return QuotaWait.of_json(wait.to_json()) if wait is not None else None


def _spent(world: World, agent: str) -> SpentByAgent:
    spent = world.ledger.spent(Scope.AGENT, agent)
    return SpentByAgent(
        tokens=spent.tokens,
        cost_usd=round(spent.cost_usd, 6),
        requests=spent.requests,
    )


def _submission_status(world: World, submission: submission_rows.Submission, now_ms: int) -> SubmissionStatus:
    with world.store.read() as tx:
        place = waiting.place(world, tx, submission)
    return SubmissionStatus(
        submission=submission.id,
        task=submission.task,
        agent=submission.agent,
        state=str(submission.state),
        place=place["position"],
        waiting_for=place["waiting_for"],
        waited_s=(now_ms - submission.submitted_ms) // 1_000,
        jobs=submission.jobs,
    )


def _suite_status(world: World, name: str) -> SuiteStatus:
    outcomes = baseline.of_main(world, name)
    suite_status = SuiteStatus(
        checked=check.is_checked(world, name),
        passing=list(outcomes.values()).count(PASS),
        skipped=list(outcomes.values()).count(SKIP),
        cases=len(outcomes),
    )
    if red_suite := world.red.get(name):
        suite_status = suite_status.changed(red=_red_main(world, name, red_suite))
    if hidden := case_sets.hidden(world, name, outcomes):
        passed = sum(outcomes[case] == PASS for case in hidden)
        suite_status = suite_status.changed(held_out=HeldOutCounts(cases=len(hidden), passed=passed))
    if flaky := world.config.suites[name].flaky:
        exempt = landing.exempt(flaky, world.today())
        flaky_cases = FlakyCases(
            exempt=tuple(sorted(exempt)),
            expired=tuple(sorted(flaky.keys() - exempt)),
        )
        suite_status = suite_status.changed(flaky=flaky_cases)
    return suite_status


def _red_main(world: World, suite: str, red_suite: RedSuite) -> RedMain:
    hidden = case_sets.hidden(world, suite, red_suite.cases)
    named = [case for case in red_suite.cases if case not in hidden]
    return RedMain(
        commit=red_suite.commit,
        count=len(red_suite.cases),
        cases=tuple(named[:RED_NAMED_MAX]),
        since_ms=red_suite.since_ms,
    )


def job(world: World, id: int) -> JobState | None:
    """Return how a job stands, with the files of the held-out cases that fail; None for an unknown one."""
    with world.store.read() as tx:
        row = job_rows.get(tx, id)
    if row is None:
        return None
    job_state = JobState(
        job=row.id,
        kind=row.kind,
        suite=row.suite,
        commit=row.commit,
        state=row.state,
        verdict=Verdict.from_json(row.verdict) if row.verdict is not None else None,
    )
    outcomes = job_state.verdict.outcomes if job_state.verdict is not None else {}
    failing = [case for case, outcome in outcomes.items() if outcome != "pass"]
    hidden = case_sets.where(world, row.suite, failing)
    if not hidden:
        return job_state
    return job_state.changed(held_out_failing=tuple(HeldOutFailure(**case) for case in hidden))
