"""Owns how a run is shown: a live table on a terminal, plain lines elsewhere; both are fed events and
statuses.

Rule: a view only draws; it decides nothing and asks nobody.
"""

from collections import deque
from datetime import UTC, datetime
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from harness.show import lines
from mcp_server.wire.events import LoggedEvent
from mcp_server.wire.status import AccountStatus, AgentStatus, RedMain, RunStatus, SuiteStatus

LAST_LINES = 8
REDRAWS_PER_S = 4
END_CHARACTERS = 60
RED_NAMED = 5  # cases that are named of those that main fails
WORKER = "worker"
COLUMNS = (
    "agent",
    "kind",
    "state",
    "session",
    "last end",
    "task",
    "lease left",
    "last call",
    "tokens",
    "landed",
    "refused",
)
NUMBERS = ("session", "lease left", "tokens", "landed", "refused")


class View(Protocol):
    """What a run tells the person; used as a context manager around the run."""

    def __enter__(self) -> "View": ...
    def __exit__(self, *_: object) -> None: ...
    def event(self, event: LoggedEvent) -> None: ...
    def status(self, status: RunStatus) -> None: ...
    def say(self, text: str) -> None: ...


class PlainLines:
    """One line for each event worth one, with the time since the start."""

    def __init__(self, console: Console, start_ms: int) -> None:
        self._console = console
        self._teller = lines.Teller(start_ms)

    def __enter__(self) -> "PlainLines":
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def event(self, event: LoggedEvent) -> None:
        line = self._teller.line(event)
        if line is not None:
            self.say(line)

    def status(self, status: RunStatus) -> None:
        return None

    def say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


class LiveTable:
    """The agents as a table redrawn in place, the last events under it."""

    def __init__(self, console: Console, start_ms: int) -> None:
        self._teller = lines.Teller(start_ms)
        self._recent: deque[str] = deque(maxlen=LAST_LINES)
        self._status: RunStatus | None = None
        self._live = Live(console=console, refresh_per_second=REDRAWS_PER_S, get_renderable=self._drawn)

    def __enter__(self) -> "LiveTable":
        self._live.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._live.__exit__(None, None, None)

    def event(self, event: LoggedEvent) -> None:
        line = self._teller.line(event)
        if line is not None:
            self._recent.append(line)

    def status(self, status: RunStatus) -> None:
        self._status = status

    def say(self, text: str) -> None:
        self._live.console.print(text, markup=False, highlight=False)

    def _drawn(self) -> Group:
        if self._status is None:
            return Group(Text("starting …", style="dim"))
        recent = [Text(text, no_wrap=True, overflow="ellipsis", style="dim") for text in self._recent]
        return Group(agents_table(self._status), Text(headline(self._status)), *recent)


def headline(status: RunStatus) -> str:
    """Return tasks, landings, refusals and cases in one line."""
    counts = status.tasks
    tasks = f"{counts.done} done · {counts.claimed} claimed · {counts.open} open · {counts.blocked} blocked"
    parts = [
        f"tasks: {tasks}",
        f"landed {status.landings}",
        f"refused {sum(status.refusals.values())}",
    ]
    if status.suites:
        parts.append(", ".join(_cases(name, suite) for name, suite in status.suites.items()))
    return " | ".join(parts)


def _cases(name: str, suite: SuiteStatus) -> str:
    skipped = f" ({suite.skipped} skipped)" if suite.skipped else ""
    return f"{name} {suite.passing}/{suite.cases}{skipped}"


def accounts_lines(status: RunStatus) -> list[str]:
    """Return one line for each model account that gives nothing now."""
    return [_account_line(account) for account in status.accounts if account.state != "ready"]


def _account_line(account: AccountStatus) -> str:
    until = datetime.fromtimestamp((account.until_ms or 0) / 1000, UTC)
    waiting = f", waiting: {', '.join(account.agents)}" if account.agents else ""
    return (
        f"account {account.account}: {account.reason}, {account.state} "
        f"until {until:%Y-%m-%d %H:%M:%SZ}{waiting}"
    )


def red_words(red: RedMain) -> str:
    """Return what a suite of main fails though it passed, and since when."""
    since = ""
    if red.since_ms:
        since = f", {datetime.fromtimestamp(red.since_ms / 1000, UTC):%Y-%m-%d %H:%MZ}"
    named = f" ({', '.join(red.cases[:RED_NAMED])})" if red.cases else ""
    return f"RED on main since {red.commit[:12]}{since}: {red.count} cases that had passed fail{named}"


def gate_lines(status: RunStatus) -> list[str]:
    """Return one line for each submission that waits in the gate."""
    return [
        f"gate {submission.place}. {submission.task} ({submission.agent}): {submission.state} "
        f"for {submission.waited_s} s, waiting for {submission.waiting_for}"
        for submission in status.submissions
    ]


def agents_table(status: RunStatus) -> Table:
    """Return a row for each agent."""
    table = Table(title=f"run {status.run}", title_justify="left", expand=False)
    for name in COLUMNS:
        table.add_column(name, justify="right" if name in NUMBERS else "left")
    for agent in status.agents:
        table.add_row(*agent_row(agent))
    return table


def agent_row(agent: AgentStatus) -> list[str]:
    """Return the texts of an agent's row, in the order of COLUMNS."""
    return [
        agent.agent,
        agent.kind if agent.role == WORKER else f"{agent.kind}, {agent.role}",
        doing(agent),
        "-" if agent.sessions is None else str(agent.sessions),
        _end(agent),
        agent.task or "-",
        _left(agent.lease_left_s),
        agent.last_call or "-",
        _tokens(agent.spent.tokens),
        str(agent.landings),
        str(agent.refusals),
    ]


def doing(agent: AgentStatus) -> str:
    """Return an agent's state with its reason; one that waits for its quota says until when."""
    if agent.waiting_for_quota is not None:
        return lines.waiting_for_quota(agent.waiting_for_quota.until_ms, agent.waiting_for_quota.account)
    return f"{agent.state}: {agent.reason}" if agent.reason else agent.state


def _end(agent: AgentStatus) -> str:
    """Return how the last session that ended did so."""
    known_parts = [part for part in (agent.outcome, agent.detail) if part]
    return lines.clipped(": ".join(known_parts) or "-", END_CHARACTERS)


def _tokens(tokens: int) -> str:
    return f"{tokens / 1000:,.0f}k" if tokens >= 10_000 else str(tokens)


def _left(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    minutes, rest = divmod(max(0, int(seconds)), 60)
    return f"{minutes}:{rest:02d}"


def view(console: Console, *, start_ms: int, plain: bool) -> View:
    """The live table where it can be drawn and was not declined."""
    if plain or not console.is_terminal:
        return PlainLines(console, start_ms)
    return LiveTable(console, start_ms)
