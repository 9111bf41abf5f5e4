"""What a person reads of a run: lines, table, incidents."""

import io
import json
from typing import Any

import pytest
from rich.console import Console

from harness.agents.base import AgentEvent, Mark
from harness.sessions import transcript
from harness.show import incidents, lines
from harness.show.incidents import IncidentKind, IncidentWatch
from harness.show.table import COLUMNS, LiveTable, PlainLines, agent_row, headline, view
from mcp_server.wire.events import LoggedEvent
from mcp_server.wire.sessions import QuotaWait
from tests import wired


def event(kind: str, **fields: Any) -> LoggedEvent:
    return wired.event(kind, **{"ms": 1000, **fields})


STATUS = wired.run_status(
    tasks={"open": 1, "claimed": 2, "done": 3, "blocked": 0},
    landings=3,
    refusals={"held": 2},
    suites={"sql": {"passing": 7, "cases": 9, "checked": True}},
    agents=[wired.AGENT | {"task": "T1", "lease_left_s": 125, "last_call": "push"}],
)


@pytest.mark.parametrize(
    ("happened", "said"),
    [
        (event("lease_granted"), "claimed T1 (fence 4)"),
        (event("landed", commit="0123456789abcdef"), "LANDED T1 as 0123456789"),
        (
            event("refusal", code="overlap", tool="claim_task", happened="taken"),
            "refused overlap in claim_task: taken",
        ),
        (event("lease_ended", reason="session_ended"), "lease on T1 ended, session_ended (fence 4)"),
        (
            event("session_ended", outcome="quota", detail="resets at 5"),
            "session S1 ended, quota: resets at 5",
        ),
        (event("task_state", state="blocked"), "task T1 is blocked"),
        (
            event("suite_image", suite="unit", image="sha256:0123456789ab", before="sha256:cdef01234567"),
            "suite unit has another image (0123456789, it was cdef012345): what was known counts no more, "
            "main is checked and run again",
        ),
        (
            event("agent_state", state="stopped", reason="preflight: no claude", sessions=0, gave_up=True),
            "never started: preflight: no claude",
        ),
        (
            event("agent_state", state="stopped", reason="no task is left", sessions=2, gave_up=False),
            "stopped: no task is left",
        ),
        (
            event("agent_state", state="waiting", reason="waiting for quota until 14:05Z"),
            "waits: waiting for quota until 14:05Z",
        ),
        (
            event("main_red", suite="sql", since="0123456789abcdef", count=2, cases=["a", "b"]),
            "MAIN IS RED in sql since 0123456789, 2 more cases that had passed fail: a, b",
        ),
        (event("main_green", suite="sql", left=0), "main is green again in sql"),
    ],
)
def test_an_event_worth_telling_is_one_line_with_its_time(happened: LoggedEvent, said: str) -> None:
    assert lines.line(happened, start_ms=0) == f"   +1.0s  a-1            {said}"


def test_an_agent_that_only_works_is_not_told_of() -> None:
    assert lines.line(event("agent_state", state="working", reason=""), start_ms=0) is None


def test_a_row_tells_role_session_last_end_and_tokens() -> None:
    agent = wired.agent_status(
        agent="claude-1",
        role="reviewer",
        state="waiting",
        reason="nothing new has landed",
        sessions=4,
        outcome="crashed",
        detail="exit 1: " + "x" * 80,
        spent={"tokens": 1_234_567, "cost_usd": 0, "requests": 9},
        landings=2,
        refusals=1,
    )
    row = dict(zip(COLUMNS, agent_row(agent), strict=True))
    assert (row["kind"], row["state"], row["session"], row["tokens"]) == (
        "claude, reviewer",
        "waiting: nothing new has landed",
        "4",
        "1,235k",
    )
    assert row["last end"].startswith("crashed: exit 1: x") and len(row["last end"]) == 60
    quota = QuotaWait(account="anthropic", since_ms=0, until_ms=90_000, reason="rate limit")
    assert (
        agent_row(agent.changed(waiting_for_quota=quota))[2]
        == "waiting for quota until 1970-01-01 00:01Z (anthropic)"
    )


def spoken(line: str) -> AgentEvent | None:
    """An adapter that knows nothing but tool calls, and trips over a list."""
    told = json.loads(line)
    return AgentEvent(Mark.TOOL, told["tool"]) if told["tool"] else None


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('{"tool": "Bash ls"}', "[tool] Bash ls"),
        ('{"tool": ""}', None),
        ("plain words", "plain words"),
        ("[1, 2]", "[1, 2]"),
        ('{"other": 1}', '{"other": 1}'),
        ("! on stderr", "! on stderr"),
        ('{"harness": "cloned", "repo": "x"}', "sandbox: cloned"),
        ('{"harness": "clone_failed", "detail": "401"}', "sandbox: clone_failed: 401"),
        ('{"harness": cut', '{"harness": cut'),
        ('{"harness": 1}', "sandbox: 1"),
    ],
)
def test_a_line_of_a_log_is_readable_whatever_it_is(line: str, told: str | None) -> None:
    assert transcript.readable(line, spoken) == told


@pytest.mark.parametrize("kind", ["tool_call", "git_fetch", "job_done", "a kind of next year"])
def test_other_events_are_not_for_people(kind: str) -> None:
    assert lines.line(event(kind), start_ms=0) is None


def test_an_event_without_its_data_is_told_all_the_same() -> None:
    bare = event("refusal", agent=None, task=None, fence=None)
    assert "refused ?" in str(lines.line(bare, start_ms=0))


def test_the_same_no_is_told_once_until_something_else_happens() -> None:
    teller = lines.Teller(0)
    no = event("refusal", code="no_task", tool="claim_task", happened="no task is free now")
    told = [teller.line(each) is not None for each in (no, no, event("lease_granted"), no)]
    assert told == [True, False, True, True]


def test_without_a_terminal_there_are_plain_lines() -> None:
    out = io.StringIO()
    with view(Console(file=out), start_ms=0, plain=False) as shown:
        assert isinstance(shown, PlainLines)
        shown.event(event("lease_granted"))
        shown.event(event("tool_call"))
    assert out.getvalue() == "   +1.0s  a-1            claimed T1 (fence 4)\n"


def test_on_a_terminal_there_is_a_table_with_every_agent() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=120, no_color=True)
    with view(console, start_ms=0, plain=False) as shown:
        assert isinstance(shown, LiveTable)
        shown.status(STATUS)
        shown.event(event("lease_granted"))
    text = out.getvalue()
    assert all(word in text for word in ("a-1", "claude", "2:05", "push", "claimed T1"))


def test_the_headline_counts_tasks_landings_refusals_and_cases() -> None:
    assert (
        headline(STATUS) == "tasks: 3 done · 2 claimed · 1 open · 0 blocked | landed 3 | refused 2 | sql 7/9"
    )


def seen(*happened: LoggedEvent) -> list[IncidentKind]:
    watch = IncidentWatch()
    return [incident.kind for each in happened for incident in watch.feed(each)]


def test_a_claim_race_has_one_winner() -> None:
    watch = IncidentWatch()
    watch.feed(event("lease_granted", agent="a-1"))
    (race,) = watch.feed(event("refusal", agent="b-1", code="held"))
    assert race == incidents.Incident(IncidentKind.RACE, "b-1 wanted T1, a-1 has it: one winner")


def test_a_failure_counts_as_fixed_when_its_task_lands() -> None:
    assert seen(event("refusal", code="oracle_failed")) == []
    assert seen(event("refusal", code="oracle_failed"), event("landed", task="T2"), event("landed")) == [
        IncidentKind.FIXED
    ]


def test_a_task_is_resumed_when_another_takes_over_what_a_dead_session_left() -> None:
    died = event("lease_ended", agent="a-1", reason="session_ended", salvage="refs/x")
    assert seen(died, event("lease_granted", agent="b-1")) == [IncidentKind.RESUMED]
    assert seen(died, event("lease_granted", agent="a-1")) == []
    assert (
        seen(event("lease_ended", reason="abandoned", salvage="refs/x"), event("lease_granted", agent="b-1"))
        == []
    )


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("overlap", IncidentKind.OVERLAP),
        ("outside_module", IncidentKind.OUTSIDE),
        ("regression", IncidentKind.REGRESSION),
        ("stale_fence", IncidentKind.STALE),
        ("protected_ref", IncidentKind.DIRECT),
    ],
)
def test_each_refusal_of_the_story_is_an_incident(code: str, kind: IncidentKind) -> None:
    assert seen(event("refusal", code=code)) == [kind]


def test_an_ordinary_refusal_is_none() -> None:
    assert seen(event("refusal", code="no_task"), event("note_written", topic="x")) == []
