"""How a session's end is named, what follows from it, and which limit ends it: decisions alone."""

import dataclasses
import itertools

import pytest

from harness.agents.base import AgentEvent, Mark
from harness.sessions import limits, outcome
from harness.sessions.limits import Cut, Life, SessionLimits
from harness.sessions.outcome import Again, Enough, Known, Seen, SessionEnd, SessionOutcome
from harness.sessions.site import limits_of
from mcp_server.config import AgentSpec, RunSettings
from mcp_server.core.role import Role
from mcp_server.wire.sessions import BudgetNote, QuotaWait

QUOTA = AgentEvent(Mark.QUOTA, "limit reached", wait_until_ms=90_000)
ASKED = AgentEvent(Mark.ASKED, "shall I?")
PARKED = QuotaWait(account="anthropic", since_ms=0, until_ms=70_000, reason="rate limit")
NO_TOOLS = "it never listed our tools: is its MCP configuration right?"


def over(scope: str) -> BudgetNote:
    return BudgetNote(scope=scope, name="", measure="tokens", used=10, limit=10, percent=100, note="all gone")


@pytest.mark.parametrize(
    ("seen", "known", "named"),
    [
        (Seen(0), Known(calls=3, leases=1), (SessionOutcome.WORKED, "", True)),
        (Seen(0), Known(uploaded=True), (SessionOutcome.WORKED, "", True)),
        (Seen(0), Known(), (SessionOutcome.IDLE, "", False)),
        (Seen(0), Known(calls=2), (SessionOutcome.IDLE, "no task was free", True)),
        (Seen(0), Known(calls=2, is_free=True), (SessionOutcome.IDLE, "it took no task", False)),
        (Seen(0), Known(tools_listed=False), (SessionOutcome.NO_TOOLS, NO_TOOLS, False)),
        (Seen(0, events=(ASKED,)), Known(), (SessionOutcome.ASKED, "shall I?", False)),
        (Seen(0, events=(ASKED,)), Known(calls=2, leases=1), (SessionOutcome.ASKED, "shall I?", False)),
        (Seen(0, events=(ASKED,)), Known(calls=2, uploaded=True), (SessionOutcome.WORKED, "", True)),
        (Seen(1), Known(calls=2), (SessionOutcome.CRASHED, "exit 1", False)),
        (Seen(1), Known(uploaded=True), (SessionOutcome.CRASHED, "exit 1", True)),
        (
            Seen(1, events=(AgentEvent(Mark.ERROR, "push: expected landed"),)),
            Known(),
            (SessionOutcome.CRASHED, "exit 1: push: expected landed", False),
        ),
        (Seen(137), Known(), (SessionOutcome.CRASHED, "exit 137 (killed)", False)),
        (Seen(137, out_of_memory=True), Known(), (SessionOutcome.CRASHED, "out of memory", False)),
        (Seen(None), Known(), (SessionOutcome.CRASHED, "the sandbox is gone", False)),
        (
            Seen(127, events=(AgentEvent(Mark.SAID, "claude: not found"),)),
            Known(),
            (SessionOutcome.MISSING, "exit 127: claude: not found", False),
        ),
        (
            Seen(127, entry={"no_command": "claude: no"}),
            Known(),
            (SessionOutcome.MISSING, "claude: no", False),
        ),
        (
            Seen(69, entry={"clone_failed": "401"}),
            Known(),
            (SessionOutcome.CRASHED, "clone failed: 401", False),
        ),
        (Seen(1, events=(QUOTA,)), Known(), (SessionOutcome.QUOTA, "limit reached", False)),
        (Seen(0, events=(QUOTA,)), Known(calls=9), (SessionOutcome.QUOTA, "limit reached", False)),
        (Seen(1), Known(quota=PARKED), (SessionOutcome.QUOTA, "rate limit", False)),
        (
            Seen(1, events=(QUOTA, AgentEvent(Mark.AUTH, "not logged in"))),
            Known(),
            (SessionOutcome.AUTH, "not logged in", False),
        ),
        (
            Seen(1, events=(QUOTA,)),
            Known(over=over("session"), uploaded=True),
            (SessionOutcome.BUDGET, "all gone", True),
        ),
        (
            Seen(143, cut=(Cut.BUDGET, "all gone")),
            Known(over=over("run")),
            (SessionOutcome.BUDGET, "all gone", False),
        ),
        (
            Seen(143, cut=(Cut.TIME, "session time over")),
            Known(uploaded=True),
            (SessionOutcome.TIMEOUT, "session time over", True),
        ),
        (Seen(143, cut=(Cut.QUIET, "no output")), Known(), (SessionOutcome.IDLE, "no output", False)),
        (Seen(143, cut=(Cut.NO_TOOLS, "none")), Known(), (SessionOutcome.NO_TOOLS, "none", False)),
        (
            Seen(143, cut=(Cut.DISK, "disk limit reached")),
            Known(),
            (SessionOutcome.CRASHED, "disk limit reached", False),
        ),
        (
            Seen(143, cut=(Cut.STOP, "stop requested"), events=(QUOTA,)),
            Known(),
            (SessionOutcome.STOPPED, "stop requested", True),
        ),
    ],
)
def test_every_end_has_a_name(seen: Seen, known: Known, named: tuple) -> None:
    ended = outcome.classify(seen, known)
    assert (ended.outcome, ended.detail, ended.fruitful) == named


def test_the_gateways_reset_counts_for_more_than_what_the_cli_made_of_it() -> None:
    assert outcome.classify(Seen(1, events=(QUOTA,)), Known(quota=PARKED)).wait_until_ms == 70_000
    assert outcome.classify(Seen(1, events=(QUOTA,)), Known()).wait_until_ms == 90_000


def test_only_a_budget_that_outlives_the_session_ends_an_agent() -> None:
    ends = {
        scope: outcome.classify(Seen(1), Known(over=over(scope)))
        for scope in ("session", "task", "agent", "run")
    }
    follow = {scope: type(outcome.after([ended], now_ms=0)) for scope, ended in ends.items()}
    assert follow == {"session": Again, "task": Again, "agent": Enough, "run": Enough}


def test_a_planner_has_worked_though_it_took_no_task() -> None:
    assert (
        outcome.classify(Seen(0), Known(calls=2, is_free=True), Role.PLANNER).outcome is SessionOutcome.WORKED
    )


CRASH = SessionEnd(SessionOutcome.CRASHED, "exit 1")
IDLE_END = SessionEnd(SessionOutcome.IDLE)
NOT_FREE = SessionEnd(SessionOutcome.IDLE, "no task was free", fruitful=True)
WORKED = SessionEnd(SessionOutcome.WORKED, fruitful=True)
WAITED_OUT = SessionEnd(SessionOutcome.QUOTA, "limit", wait_until_ms=90_000)
WAITS = "waiting for quota until 1970-01-01 00:01Z (limit)"
NUMBERED = [
    SessionEnd(SessionOutcome.CRASHED, f"exit 1: request req_{n}00f3ab1 failed after {n} s")
    for n in (1, 2, 3)
]


@pytest.mark.parametrize(
    ("history", "follows"),
    [
        ([WORKED], Again(0.0)),
        ([CRASH], Again(2.0, "crashed: exit 1")),
        ([CRASH, CRASH], Again(10.0, "crashed: exit 1")),
        ([CRASH, CRASH, CRASH], Enough("3 sessions in a row ended the same way: crashed: exit 1")),
        ([CRASH, WORKED, CRASH, CRASH], Again(10.0, "crashed: exit 1")),
        (
            [CRASH, CRASH, WAITED_OUT, CRASH],
            Enough("3 sessions in a row ended the same way: crashed: exit 1"),
        ),
        ([CRASH, IDLE_END, CRASH], Again(60.0, "crashed: exit 1")),
        ([CRASH, IDLE_END, CRASH, IDLE_END], Again(60.0, "idle")),
        ([NOT_FREE] * 9, Again(2.0, "idle: no task was free")),
        ([WAITED_OUT], Again(80.0, WAITS)),
        ([WAITED_OUT] * 9, Again(80.0, WAITS)),
        ([SessionEnd(SessionOutcome.QUOTA)], Again(300.0, "waiting for quota until 1970-01-01 00:05Z")),
        ([dataclasses.replace(WAITED_OUT, wait_until_ms=60_001)], Again(50.001, WAITS)),
        (
            [dataclasses.replace(WAITED_OUT, wait_until_ms=1)],
            Again(0.0, "waiting for quota until 1970-01-01 00:00Z (limit)"),
        ),
        (
            [CRASH, SessionEnd(SessionOutcome.STOPPED, "stop requested", fruitful=True)],
            Enough("stop requested", gave_up=False),
        ),
        (NUMBERED, Enough(f"3 sessions in a row ended the same way: crashed: {NUMBERED[-1].detail}")),
    ],
)
def test_what_follows_an_end(history: list[SessionEnd], follows: Again | Enough) -> None:
    assert outcome.after(history, now_ms=10_000) == follows


def test_an_agent_that_fails_in_turns_of_two_kinds_ends_as_well() -> None:
    history: list[SessionEnd] = []
    for ended in itertools.cycle((CRASH, IDLE_END)):
        history.append(ended)
        if isinstance(outcome.after(history, now_ms=0), Enough):
            break
    assert len(history) == 5


# -- limits

LIMITS = SessionLimits(session_s=3600, idle_s=600, tools_s=60)
ALIVE = Life(age_s=100, runs_s=90, quiet_s=5, tools_listed=True)


@pytest.mark.parametrize(
    ("changed", "cut"),
    [
        ({}, None),
        ({"age_s": 3600}, Cut.TIME),
        ({"over": "all gone"}, Cut.BUDGET),
        ({"tools_listed": False}, Cut.NO_TOOLS),
        ({"tools_listed": False, "runs_s": 59}, None),
        ({"tools_listed": False, "runs_s": None}, None),  # a slow clone is not the CLI's fault
        ({"quiet_s": 600, "runs_s": 700}, Cut.QUIET),
        ({"quiet_s": 600}, None),  # it has not run so long
        ({"quiet_s": 600, "runs_s": None}, None),
        ({"quiet_s": 600, "runs_s": 700, "over": "all gone"}, Cut.BUDGET),
    ],
)
def test_the_first_limit_that_is_passed_ends_a_session(changed: dict, cut: Cut | None) -> None:
    found = limits.passed(LIMITS, dataclasses.replace(ALIVE, **changed))
    assert (found[0] if found else None) is cut


def test_a_cut_says_what_it_measured() -> None:
    assert limits.passed(LIMITS, dataclasses.replace(ALIVE, tools_listed=False)) == (
        Cut.NO_TOOLS,
        "it never listed our tools within 60 s: is its MCP configuration right?",
    )
    assert limits.passed(LIMITS, dataclasses.replace(ALIVE, quiet_s=900, runs_s=900)) == (
        Cut.QUIET,
        "no output, tool call or model request for 10 minutes",
    )


def test_a_tables_limits_come_before_the_runs_and_only_a_vendors_cli_must_list_tools() -> None:
    run = RunSettings("r", session_minutes=2, idle_minutes=1, tools_seconds=30)
    assert limits_of(run, AgentSpec("a", "claude")) == SessionLimits(120, 60, 30)
    assert limits_of(
        run, AgentSpec("a", "codex", session_minutes=1, idle_minutes=0.5, tools_seconds=5)
    ) == SessionLimits(60, 30, 5)
    assert limits_of(run, AgentSpec("a", "command")).tools_s is None
    assert limits_of(run, AgentSpec("a", "command", tools_seconds=5)).tools_s == 5
