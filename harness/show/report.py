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

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Judged:
    """One commit of main with the verdict of every suite, run afresh."""

    commit: str
    verdicts: Mapping[str, Json]


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
class Spending:
    """What models have cost; a cost is a lower bound where `is_lower_bound` says so."""

    agents: tuple[Json, ...]
    models: tuple[Json, ...]
    landed: tuple[Json, ...]
    total: Json
    in_landings: Json  # what went into the landed changes: `total` less this was spent elsewhere

    @property
    def usd_per_landing(self) -> float | None:
        """All that was spent, by what came of it; None where nothing landed."""
        return self.total["cost_usd"] / len(self.landed) if self.landed else None

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"usd_per_landing": self.usd_per_landing}


def of_spending(told: Json) -> Spending:
    """From the server's /api/spending; most expensive first."""
    landed = [{**one, "commit": (one.get("commit") or "")[:12]} for one in told["landed"]]
    went_in = {name: sum(one[name] for one in landed) for name in ("requests", "tokens", "cost_usd")}
    by_cost = {
        name: tuple(sorted(told[name], key=lambda one: (-one["cost_usd"], -one["tokens"])))
        for name in ("agents", "models")
    }
    return Spending(by_cost["agents"], by_cost["models"], tuple(landed), told["total"], went_in)


def is_lower_bound(row: Json) -> bool:
    """Whether more was spent than is known: a model without a price, an answer without a count, a stream that
    broke off.
    """
    return bool(row.get("unpriced") or row.get("unknown") or row.get("partial"))


def of_log(
    events: Sequence[Json], history: Mapping[str, Sequence[Json]], modules: Iterable[Module]
) -> Figures:
    """What the log and each repository's main (first-parent, oldest first) alone say."""
    globs: dict[str, list[str]] = {}
    for module in modules:
        globs.setdefault(module.repo, []).extend(module.paths)
    made = [(repo, commit) for repo, commits in history.items() for commit in during_run(commits, events)]
    work = sum(1 for repo, commit in made if is_work(commit, globs.get(repo, [])))
    return Figures(
        tasks_done=tasks_done(events),
        landed=sum(1 for event in events if event["kind"] == "landed"),
        claims=sum(1 for event in events if event["kind"] == "lease_granted"),
        refused=refusals(events),
        coordination_commits=len(made) - work,
        work_commits=work,
        claim_ms_p50=_middle(claim_times_ms(events)),
        push_ms_p50=_middle(push_times_ms(events)),
        wall_s=round((events[-1]["ms"] - events[0]["ms"]) / 1000, 1) if events else 0.0,
    )


def tasks_done(events: Iterable[Json]) -> int:
    last: dict[str, str] = {}
    for event in events:
        if event["kind"] == "task_state":
            last[event["task"]] = event["data"].get("state", "")
    return sum(1 for state in last.values() if state == "done")


def refusals(events: Iterable[Json]) -> dict[str, int]:
    """How often each code was said."""
    counted = Counter(event["data"].get("code", "?") for event in events if event["kind"] == "refusal")
    return dict(sorted(counted.items()))


def during_run(commits: Sequence[Json], events: Iterable[Json]) -> list[Json]:
    """The commits of one repository's first-parent main that came after the one that the log began with."""
    imported = {event["data"].get("new") for event in events if event["kind"] == "main_imported"}
    first = next((index for index, commit in enumerate(commits) if commit["commit"] in imported), None)
    return list(commits) if first is None else list(commits[first + 1 :])


def is_work(commit: Json, globs: Sequence[str]) -> bool:
    """True when the commit changes a file of a module; what does not is coordination (locks, progress files)."""
    return any(paths.covers(globs, path) for path in commit["paths"])


def claim_times_ms(events: Iterable[Json]) -> list[float]:
    """Until each claim that was answered with a lease was decided. Its event says so, and cannot say how long
    its own sync took.
    """
    return [
        event["data"]["ms"]
        for event in events
        if event["kind"] == "tool_call"
        and event["data"].get("tool") == "claim_task"
        and event["data"].get("status") == "leased"
    ]


def push_times_ms(events: Iterable[Json]) -> list[float]:
    """From the submission to the landing, queue and oracle included; one push may take several calls."""
    submitted: dict[Any, float] = {}
    took = []
    for event in events:
        number = event["data"].get("submission")
        if event["kind"] == "submission":
            submitted.setdefault(number, event["ms"])
        elif event["kind"] == "landed" and number in submitted:
            took.append(event["ms"] - submitted[number])
    return took


def red(judged: Sequence[Judged]) -> list[str]:
    """The commits that lose a case which passed on their parent, or whose run is broken."""
    found = []
    for index, one in enumerate(judged):
        before = judged[index - 1].verdicts if index else {}
        if any(_is_red(before.get(suite), verdict) for suite, verdict in one.verdicts.items()):
            found.append(one.commit)
    return found


def broken(judged: Sequence[Judged]) -> list[str]:
    """Why verdicts are broken, each reason once."""
    verdicts = [verdict for one in judged for verdict in one.verdicts.values()]
    return list(
        dict.fromkeys(str(verdict.get("reason")) for verdict in verdicts if verdict["status"] == "broken")
    )


def passing(verdicts: Mapping[str, Json]) -> int | None:
    """How many cases pass; None when a run broke, which says nothing of the cases."""
    if any(verdict["status"] == "broken" for verdict in verdicts.values()):
        return None
    return sum(list(verdict.get("outcomes", {}).values()).count("pass") for verdict in verdicts.values())


def cases(verdicts: Mapping[str, Json]) -> int | None:
    if any(verdict["status"] == "broken" for verdict in verdicts.values()):
        return None
    return sum(verdict.get("counts", {}).get("cases", 0) for verdict in verdicts.values())


def _is_red(before: Json | None, now: Json) -> bool:
    outcomes = now.get("outcomes") or {}
    if now["status"] == "broken" or not outcomes:
        return True
    kept = (before or {}).get("outcomes") or {}
    return any(outcome == "pass" and outcomes.get(case) != "pass" for case, outcome in kept.items())


def _middle(values: Sequence[float]) -> float | None:
    return round(median(values), 1) if values else None
