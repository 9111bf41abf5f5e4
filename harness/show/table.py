"""Owns how a run is shown: a live table on a terminal, plain lines elsewhere; both are fed events and
statuses.

Rule: a view only draws; it decides nothing and asks nobody.
"""

from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from harness.show import lines

LAST_LINES = 8
REDRAWS_PER_S = 4
END_CHARACTERS = 60
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

Json = Mapping[str, Any]


class View(Protocol):
    """What a run tells the person; used as a context manager around the run."""

    def __enter__(self) -> "View": ...
    def __exit__(self, *_: object) -> None: ...
    def event(self, event: Json) -> None: ...
    def status(self, status: Json) -> None: ...
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

    def event(self, event: Json) -> None:
        said = self._teller.line(event)
        if said is not None:
            self.say(said)

    def status(self, status: Json) -> None:
        return None

    def say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


class LiveTable:
    """The agents as a table redrawn in place, the last events under it."""

    def __init__(self, console: Console, start_ms: int) -> None:
        self._teller = lines.Teller(start_ms)
        self._recent: deque[str] = deque(maxlen=LAST_LINES)
        self._status: Json = {}
        self._live = Live(console=console, refresh_per_second=REDRAWS_PER_S, get_renderable=self._drawn)

    def __enter__(self) -> "LiveTable":
        self._live.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._live.__exit__(None, None, None)

    def event(self, event: Json) -> None:
        said = self._teller.line(event)
        if said is not None:
            self._recent.append(said)

    def status(self, status: Json) -> None:
        self._status = status

    def say(self, text: str) -> None:
        self._live.console.print(text, markup=False, highlight=False)

    def _drawn(self) -> Group:
        if not self._status:
            return Group(Text("starting …", style="dim"))
        recent = [Text(text, no_wrap=True, overflow="ellipsis", style="dim") for text in self._recent]
        return Group(agents_table(self._status), Text(headline(self._status)), *recent)


def headline(status: Json) -> str:
    """Tasks, landings and refusals in one line."""
    tasks = status.get("tasks", {})
    counted = " · ".join(
        f"{tasks[state]} {state}" for state in ("done", "claimed", "open", "blocked") if state in tasks
    )
    refused = sum(status.get("refusals", {}).values())
    suites = ", ".join(
        f"{name} {suite.get('passing', 0)}/{suite.get('cases', 0)}"
        for name, suite in status.get("suites", {}).items()
    )
    return f"tasks: {counted} | landed {status.get('landings', 0)} | refused {refused}" + (
        f" | {suites}" if suites else ""
    )


def accounts_lines(status: Json) -> list[str]:
    """One line for each model account that gives nothing now."""
    return [
        f"account {one['account']}: {one['reason']}, {'closed' if one['state'] == 'closed' else 'waiting'} until {datetime.fromtimestamp(one['until_ms'] / 1000, UTC):%Y-%m-%d %H:%M:%SZ}"
        + (f", waiting: {', '.join(one['agents'])}" if one.get("agents") else "")
        for one in status.get("accounts", [])
        if one.get("state") != "ready"
    ]


def gate_lines(status: Json) -> list[str]:
    """One line for each submission that waits in the gate."""
    return [
        f"gate {one['place']}. {one['task']} ({one['agent']}): {one['state']} for {one['waited_s']} s, waiting for {one.get('waiting_for', '?')}"
        for one in status.get("submissions", [])
    ]


def agents_table(status: Json) -> Table:
    table = Table(title=f"run {status.get('run', '')}", title_justify="left", expand=False)
    for name in COLUMNS:
        table.add_column(name, justify="right" if name in NUMBERS else "left")
    for agent in status.get("agents", []):
        table.add_row(*agent_row(agent))
    return table


def agent_row(agent: Json) -> list[str]:
    kind, role = str(agent.get("kind") or "-"), agent.get("role", WORKER)
    return [
        str(agent.get("agent", "?")), kind if role == WORKER else f"{kind}, {role}", doing(agent), str(agent.get("sessions", "-")), _end(agent),
        str(agent.get("task") or "-"), _left(agent.get("lease_left_s")), str(agent.get("last_call") or "-"),
        _tokens(agent.get("spent") or {}), str(agent.get("landings", 0)), str(agent.get("refusals", 0)),
    ]  # fmt: skip


def doing(agent: Json) -> str:
    """An agent's state with its reason; one that waits for its quota says until when."""
    if quota := agent.get("waiting_for_quota"):
        return lines.waiting_for_quota(quota["until_ms"], quota["account"])
    state = str(agent.get("state") or "-")
    return f"{state}: {agent['reason']}" if agent.get("reason") else state


def _end(agent: Json) -> str:
    """How the last session that ended did so."""
    return lines.clipped(
        ": ".join(str(agent[key]) for key in ("outcome", "detail") if agent.get(key)) or "-", END_CHARACTERS
    )


def _tokens(spent: Json) -> str:
    tokens = spent.get("tokens") or 0
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
