"""Owns the figures of a run: counted from the event log, main's history and the oracle's verdicts; pure.

Rule: nothing here is a constant; a figure that cannot be known is None, never a guess.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from mcp_server.config import Module
from mcp_server.core import paths
from mcp_server.wire.events import LoggedEvent, MainCommit
from mcp_server.wire.reports import (
    AgentSpending,
    LandedSpending,
    ModelSpending,
    SpendingReport,
    SpendingSum,
)
from oracle.judging.verdict import BROKEN, Verdict

SHORT_COMMIT = 12  # digits of an id that a person reads


@dataclass(frozen=True)
class Judged:
    """One commit of main with the verdict of every suite, run afresh."""

    commit: str
    verdicts: Mapping[str, Verdict]


@dataclass(frozen=True)
class Figures:
    tasks_done: int
    landed: int
    claims: int
    refused: dict[str, int]
    coordination_commits: int
    work_commits: int
    claim_ms_p50: float | None
    push_ms_p50: float | None
    wall_s: float
    cases_start: int | None = None
    cases_end: int | None = None
    cases_total: int | None = None
    red_commits: int | None = None
    audit_ok: bool | None = None
    containers_left: int | None = None
    containers_started: int | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class WentIn:
    """What went into the landed changes; the rest of the total was spent elsewhere."""

    requests: int
    tokens: int
    cost_usd: float


@dataclass(frozen=True)
class Spending:
    """What models have cost, the most expensive first; a sum may be a lower bound: see `is_lower_bound`."""

    agents: tuple[AgentSpending, ...]
    models: tuple[ModelSpending, ...]
    landed: tuple[LandedSpending, ...]
    total: SpendingSum
    in_landings: WentIn

    @property
    def usd_per_landing(self) -> float | None:
        """All that was spent, by what came of it; None if nothing landed."""
        return self.total.cost_usd / len(self.landed) if self.landed else None

    def to_json(self) -> dict[str, Any]:
        """Return the figures as a JSON object."""
        return {
            "agents": [row.render() for row in self.agents],
            "models": [row.render() for row in self.models],
            "landed": [row.render() for row in self.landed],
            "total": self.total.render(),
            "in_landings": asdict(self.in_landings),
            "usd_per_landing": self.usd_per_landing,
        }


def of_spending(spending: SpendingReport) -> Spending:
    """Return the figures of the server's report, the most expensive first."""
    landed = tuple(row.changed(commit=(row.commit or "")[:SHORT_COMMIT]) for row in spending.landed)
    went_in = WentIn(
        requests=sum(row.requests for row in landed),
        tokens=sum(row.tokens for row in landed),
        cost_usd=sum(row.cost_usd for row in landed),
    )
    return Spending(
        agents=tuple(sorted(spending.agents, key=_by_cost)),
        models=tuple(sorted(spending.models, key=_by_cost)),
        landed=landed,
        total=spending.total,
        in_landings=went_in,
    )


def _by_cost(row: SpendingSum) -> tuple[float, int]:
    return -row.cost_usd, -row.tokens


def of_log(
    events: Sequence[LoggedEvent], history: Mapping[str, Sequence[MainCommit]], modules: Iterable[Module]
) -> Figures:
    """Return what the log and each repository's main (first-parent, oldest first) alone say."""
    globs: dict[str, list[str]] = {}
    for module in modules:
        globs.setdefault(module.repo, []).extend(module.paths)
    made = [(repo, commit) for repo, commits in history.items() for commit in during_run(commits, events)]
    work = sum(1 for repo, commit in made if is_work(commit, globs.get(repo, [])))
    kinds = Counter(event.kind for event in events)
    return Figures(
        tasks_done=tasks_done(events),
        landed=kinds["landed"],
        claims=kinds["lease_granted"],
        refused=refusals(events),
        coordination_commits=len(made) - work,
        work_commits=work,
        claim_ms_p50=_middle(claim_times_ms(events)),
        push_ms_p50=_middle(push_times_ms(events)),
        wall_s=round((events[-1].ms - events[0].ms) / 1000, 1) if events else 0.0,
    )


def tasks_done(events: Iterable[LoggedEvent]) -> int:
    """Return how many tasks are done by what the log said of each last."""
    last: dict[str | None, str] = {}
    for event in events:
        if event.kind == "task_state":
            last[event.task] = event.data.get("state", "")
    return sum(1 for state in last.values() if state == "done")


def refusals(events: Iterable[LoggedEvent]) -> dict[str, int]:
    """Return how often each code was given."""
    counts = Counter(event.data.get("code", "?") for event in events if event.kind == "refusal")
    return dict(sorted(counts.items()))


def during_run(commits: Sequence[MainCommit], events: Iterable[LoggedEvent]) -> list[MainCommit]:
    """Return the commits of one repository's first-parent main that came after the one that the log began
    with.
    """
    imported = {event.data.get("new") for event in events if event.kind == "main_imported"}
    first = next((index for index, commit in enumerate(commits) if commit.commit in imported), None)
    return list(commits) if first is None else list(commits[first + 1 :])


def is_work(commit: MainCommit, globs: Sequence[str]) -> bool:
    """Return True if the commit changes a file of a module; what does not is coordination (locks, progress
    files).
    """
    return any(paths.covers(globs, path) for path in commit.paths)


def claim_times_ms(events: Iterable[LoggedEvent]) -> list[float]:
    """Return how long each claim took that was answered with a lease, until it was decided.

    The event says so, and cannot say how long its own sync took.
    """
    return [
        event.data["ms"]
        for event in events
        if event.kind == "tool_call"
        and event.data.get("tool") == "claim_task"
        and event.data.get("status") == "leased"
    ]


def push_times_ms(events: Iterable[LoggedEvent]) -> list[float]:
    """Return the times from submission to landing, queue and oracle included; one push may take several
    calls.
    """
    submitted: dict[Any, float] = {}
    took = []
    for event in events:
        number = event.data.get("submission")
        if event.kind == "submission":
            submitted.setdefault(number, event.ms)
        elif event.kind == "landed" and number in submitted:
            took.append(event.ms - submitted[number])
    return took


def red(judged: Sequence[Judged]) -> list[str]:
    """Return the commits that lose a case which passed on their parent, or whose run is broken."""
    found = []
    for index, one in enumerate(judged):
        before = judged[index - 1].verdicts if index else {}
        if any(_is_red(before.get(suite), verdict) for suite, verdict in one.verdicts.items()):
            found.append(one.commit)
    return found


def broken(judged: Sequence[Judged]) -> list[str]:
    """Return why verdicts are broken, each reason once."""
    verdicts = [verdict for one in judged for verdict in one.verdicts.values()]
    return list(dict.fromkeys(verdict.reason for verdict in verdicts if verdict.status == BROKEN))


def passing(verdicts: Mapping[str, Verdict]) -> int | None:
    """Return how many cases pass; None if a run broke, which says nothing of the cases."""
    if any(verdict.status == BROKEN for verdict in verdicts.values()):
        return None
    return sum(list(verdict.outcomes.values()).count("pass") for verdict in verdicts.values())


def cases(verdicts: Mapping[str, Verdict]) -> int | None:
    """Return how many cases there are; None if a run broke."""
    if any(verdict.status == BROKEN for verdict in verdicts.values()):
        return None
    return sum(verdict.counts.cases for verdict in verdicts.values())


def _is_red(before: Verdict | None, now: Verdict) -> bool:
    if now.status == BROKEN or not now.outcomes:
        return True
    if before is None:
        return False
    passed_before = [case for case, outcome in before.outcomes.items() if outcome == "pass"]
    return any(now.outcomes.get(case) != "pass" for case in passed_before)


def _middle(values: Sequence[float]) -> float | None:
    return round(median(values), 1) if values else None
