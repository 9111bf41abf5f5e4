"""Owns how a run stands at a glance: its tasks, agents, accounts, suites, and what waits in the gate."""

from collections.abc import Mapping

from mcp_server.wire.base import Number, WireAnswer
from mcp_server.wire.sessions import QuotaWait


class Health(WireAnswer):
    """What a server says of itself to anybody."""

    ok: bool
    """It serves."""
    run: str
    """The name of its run."""


class TaskCounts(WireAnswer):
    """How many tasks are in each state."""

    open: int
    """Nobody holds them."""
    claimed: int
    """An agent holds them."""
    done: int
    """They have landed, or their report is handed in."""
    blocked: int
    """A person has to look at them."""


class SpentByAgent(WireAnswer):
    """What an agent has used of models."""

    tokens: int
    """Tokens in and out."""
    cost_usd: Number
    """What they cost in US dollars, as far as prices are known."""
    requests: int
    """How many requests were answered."""


class AgentStatus(WireAnswer):
    """An agent at a glance: its newest session and its lease; with what its harness says, if one keeps it."""

    agent: str
    """The agent's name."""
    kind: str
    """The kind of program that it runs; `connected` for a client that no harness keeps."""
    state: str
    """What its harness says that it does; else `working` or `ended` as its session is, or `connected`."""
    outcome: str | None
    """What the end of its last ended session is called."""
    detail: str | None
    """Why that session ended."""
    session: str | None
    """The id of its newest session."""
    live: bool
    """That session has not ended."""
    task: str | None
    """The task that it holds."""
    fence: int | None
    """The fence of that lease."""
    lease_left_s: int | None
    """Seconds until that lease ends."""
    last_call: str | None
    """The tool that it called last."""
    last_call_ms: int | None
    """When that was."""
    landings: int
    """How many of its submissions have landed."""
    refusals: int
    """How many of its calls were refused."""
    role: str = "worker"
    """`worker`, `planner` or `reviewer`; sent for agents of a harness."""
    reason: str = ""
    """Why it waits or has stopped; sent for agents of a harness."""
    sessions: int | None = None
    """How many sessions it has begun; sent for agents of a harness."""
    said: str = ""
    """The newest words of its output; sent for agents of a harness."""
    since_ms: int | None = None
    """Since when its state is what it is; sent for agents of a harness."""
    waiting_for_quota: QuotaWait | None
    """The pause that it is in."""
    spent: SpentByAgent
    """What it has used of models."""


class AccountStatus(WireAnswer):
    """An account at a vendor of models."""

    account: str
    """Its name."""
    api: str
    """The form of its vendor's requests."""
    state: str
    """`ready`; or `waiting` or `closed`, while it gives nothing."""
    until_ms: int | None
    """Until when it gives nothing."""
    reason: str
    """Why it gives nothing."""
    in_flight: int
    """Requests that are being answered."""
    queued: int
    """Requests that wait for their turn."""
    agents: tuple[str, ...]
    """The agents that wait for it."""


class SubmissionStatus(WireAnswer):
    """A submission that waits in the gate."""

    submission: int
    """Its number."""
    task: str
    """The task that it is for."""
    agent: str
    """The agent that submitted it."""
    state: str
    """How far it has come."""
    place: int
    """How many are in the gate up to it, by age."""
    waiting_for: str
    """What it waits for, as a phrase."""
    waited_s: int
    """Seconds since it was submitted."""
    jobs: Mapping[str, int]
    """By suite, its oracle job."""


class HeldOutCounts(WireAnswer):
    """The held-out cases of a suite."""

    cases: int
    """How many there are."""
    passed: int
    """How many of them pass."""


class FlakyCases(WireAnswer):
    """The cases of a suite that are not the same twice."""

    exempt: tuple[str, ...]
    """Those that count for nothing now."""
    expired: tuple[str, ...]
    """Those whose exemption is over."""


class RedMain(WireAnswer):
    """Main fails cases that had passed."""

    commit: str
    """The commit of main on which that was seen."""
    count: int
    """How many cases."""
    cases: tuple[str, ...]
    """The first of them."""
    since_ms: int = 0
    """When that was seen first; 0 where an older server saw it."""


class SuiteStatus(WireAnswer):
    """A suite at a glance, on main."""

    checked: bool
    """It has told every planted wrong engine apart."""
    passing: int
    """How many cases pass."""
    cases: int
    """How many cases there are."""
    skipped: int = 0
    """How many of them are skipped."""
    red: RedMain | None = None
    """Sent where main fails cases that had passed."""
    held_out: HeldOutCounts | None = None
    """Sent where the suite has held-out cases."""
    flaky: FlakyCases | None = None
    """Sent where the suite has flaky cases."""


class RunStatus(WireAnswer):
    """A run at a glance."""

    run: str
    """Its name."""
    main: Mapping[str, str]
    """By repository, the commit of main."""
    tasks: TaskCounts
    """How many tasks are in each state."""
    finished: bool
    """No task is left, and nothing waits in the gate."""
    claimable: bool
    """A task could be claimed now."""
    agents: tuple[AgentStatus, ...]
    """Every agent, by name."""
    accounts: tuple[AccountStatus, ...]
    """Every account of the configuration."""
    submissions: tuple[SubmissionStatus, ...]
    """What waits in the gate, the oldest first."""
    suites: Mapping[str, SuiteStatus]
    """Every suite by its name."""
    warnings: tuple[str, ...]
    """What a person should mend, though it stops nothing."""
    landings: int
    """How many submissions have landed."""
    refusals: Mapping[str, int]
    """By code, how many calls were refused."""
    head_seq: int
    """The number of the newest event; 0 before the first."""
