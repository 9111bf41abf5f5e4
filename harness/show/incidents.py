"""Owns how the event log's dramatic moments are recognised: races, refusals, repairs, deaths and resumptions;
pure.

Rule: only what the log says counts; each incident is told once for each time it happened.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from harness.show.lines import clipped

Event = Mapping[str, Any]


class IncidentKind(StrEnum):
    RACE = "claim race"
    OVERLAP = "overlap"
    OUTSIDE = "outside module"
    FIXED = "oracle failed, then fixed"
    REGRESSION = "regression on the merged commit"
    RESUMED = "killed and resumed"
    STALE = "stale fence"
    DIRECT = "direct push to main"


@dataclass(frozen=True)
class Incident:
    kind: IncidentKind
    headline: str


@dataclass
class IncidentWatch:
    """What has been seen so far; `feed` answers with the incidents that an event completes."""

    holder: dict[str, str] = field(default_factory=dict)  # task -> who holds or last held it
    failed: dict[str, str] = field(
        default_factory=dict
    )  # task -> who was refused by the oracle and has not yet landed
    orphaned: dict[str, str] = field(default_factory=dict)  # task -> whose session died with it

    def feed(self, event: Event) -> list[Incident]:
        step = _STEPS.get(event.get("kind", ""))
        found = step(self, event, event.get("data") or {}) if step else None
        return [found] if found else []


def _granted(watch: IncidentWatch, event: Event, data: Event) -> Incident | None:
    task, agent = event["task"], event["agent"]
    watch.holder[task] = agent
    died = watch.orphaned.pop(task, None)
    if died in (None, agent):
        return None  # an agent that comes back to its own task shows less than one that takes over
    return Incident(
        IncidentKind.RESUMED,
        f"{agent} resumes {task}, which {died} held when its session died; its commits are handed on",
    )


def _lease_ended(watch: IncidentWatch, event: Event, data: Event) -> None:
    if data.get("reason") == "session_ended" and data.get("salvage"):
        watch.orphaned[event["task"]] = event["agent"]


def _landed(watch: IncidentWatch, event: Event, data: Event) -> Incident | None:
    task = event["task"]
    if watch.failed.pop(task, None) is None:
        return None
    return Incident(
        IncidentKind.FIXED, f"{event['agent']} mended {task} after the oracle's no, and it landed"
    )


def _refused(watch: IncidentWatch, event: Event, data: Event) -> Incident | None:
    agent, task, said = event.get("agent"), event.get("task"), clipped(data.get("happened", ""), 110)
    match data.get("code"):
        case "held":
            winner = watch.holder.get(task or "", "another")
            return Incident(IncidentKind.RACE, f"{agent} wanted {task}, {winner} has it: one winner")
        case "overlap":
            return Incident(IncidentKind.OVERLAP, f"{agent} is refused {task}: {said}")
        case "outside_module":
            return Incident(IncidentKind.OUTSIDE, f"{agent}: {said}")
        case "oracle_failed":
            watch.failed[task or ""] = str(agent)
            return None
        case "regression":
            return Incident(
                IncidentKind.REGRESSION, f"{agent}'s {task} passes alone and breaks main together: {said}"
            )
        case "stale_fence":
            return Incident(IncidentKind.STALE, f"{agent} comes late: {said}")
        case "protected_ref":
            return Incident(
                IncidentKind.DIRECT, f"{agent} tried `git push` to main, past the gate, and was refused"
            )
    return None


_STEPS: dict[str, Callable[[IncidentWatch, Event, Event], Incident | None]] = {
    "lease_granted": _granted,
    "lease_ended": _lease_ended,
    "landed": _landed,
    "refusal": _refused,
}
