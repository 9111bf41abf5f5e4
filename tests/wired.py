"""Values of the wire for tests that look at a few of their fields: whole ones, with these fields changed."""

from typing import Any

from mcp_server.wire.events import LoggedEvent, MainCommit
from mcp_server.wire.status import AgentStatus, RunStatus

AGENT: dict[str, Any] = {
    "agent": "a-1",
    "kind": "claude",
    "state": "working",
    "outcome": None,
    "detail": None,
    "session": "S1",
    "live": True,
    "task": None,
    "fence": None,
    "lease_left_s": None,
    "last_call": None,
    "last_call_ms": None,
    "landings": 0,
    "refusals": 0,
    "waiting_for_quota": None,
    "spent": {"tokens": 0, "cost_usd": 0, "requests": 0},
}
STATUS: dict[str, Any] = {
    "run": "toy",
    "main": {},
    "tasks": {"open": 0, "claimed": 0, "done": 0, "blocked": 0},
    "finished": False,
    "claimable": True,
    "agents": [],
    "accounts": [],
    "submissions": [],
    "suites": {},
    "warnings": [],
    "landings": 0,
    "refusals": {},
    "head_seq": 0,
}


def agent_status(**changes: object) -> AgentStatus:
    return AgentStatus.of_json(AGENT | changes)


def run_status(**changes: object) -> RunStatus:
    return RunStatus.of_json(STATUS | changes)


def account(name: str, state: str, until_ms: int | None, reason: str) -> dict[str, Any]:
    unused = {"api": "anthropic", "in_flight": 0, "queued": 0, "agents": []}
    return {"account": name, "state": state, "until_ms": until_ms, "reason": reason} | unused


def event(
    kind: str,
    *,
    seq: int = 1,
    ms: int = 0,
    agent: str | None = "a-1",
    task: str | None = "T1",
    fence: int | None = 4,
    **data: object,
) -> LoggedEvent:
    return LoggedEvent(
        seq=seq,
        ms=ms,
        kind=kind,
        agent=agent,
        session="S1",
        task=task,
        fence=fence,
        data=data,
        hash=f"h{seq}",
    )


def commit(name: str, *paths: str, **trailers: str) -> MainCommit:
    return MainCommit(
        commit=name,
        tree="",
        parents=(),
        author="",
        subject="",
        body="",
        trailers=trailers,
        when_s=0,
        paths=paths,
        changes=(),
    )
