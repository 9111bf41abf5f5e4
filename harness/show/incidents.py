"""Owns how the event log's dramatic moments are recognised: races, refusals, repairs, deaths and resumptions;
pure.

Rule: only what the log says counts; each incident is told once for each time it happened.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from harness.show.lines import clipped
from mcp_server.wire.events import LoggedEvent

HAPPENED_MAX = 110  # characters of a refusal


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
    """What has been seen so far."""

    # By task: who holds it, or held it last.
    holder: dict[str, str] = field(default_factory=dict)
    # By task: who was refused by the oracle and has not yet landed.
    failed: dict[str, str] = field(default_factory=dict)
    # By task: whose session died with it.
    orphaned: dict[str, str] = field(default_factory=dict)

    def feed(self, event: LoggedEvent) -> list[Incident]:
        """Return the incidents that the event completes."""
        step = _STEPS.get(event.kind)
        incident = step(self, event) if step is not None else None
        return [incident] if incident is not None else []


def _granted(watch: IncidentWatch, event: LoggedEvent) -> Incident | None:
    task, agent = str(event.task), str(event.agent)
    watch.holder[task] = agent
    died = watch.orphaned.pop(task, None)
    if died in (None, agent):
        return None  # an agent that comes back to its own task shows less than one that takes over
    return Incident(
        IncidentKind.RESUMED,
        f"{agent} resumes {task}, which {died} held when its session died; its commits are handed on",
    )


def _lease_ended(watch: IncidentWatch, event: LoggedEvent) -> None:
    if event.data.get("reason") == "session_ended" and event.data.get("salvage"):
        watch.orphaned[str(event.task)] = str(event.agent)


def _landed(watch: IncidentWatch, event: LoggedEvent) -> Incident | None:
    if watch.failed.pop(str(event.task), None) is None:
        return None
    return Incident(
        IncidentKind.FIXED,
        f"{event.agent} mended {event.task} after the oracle's no, and it landed",
    )


def _refused(watch: IncidentWatch, event: LoggedEvent) -> Incident | None:
    agent, task = event.agent, event.task
    happened = clipped(event.data.get("happened", ""), HAPPENED_MAX)
    match event.data.get("code"):
        case "held":
            winner = watch.holder.get(str(task), "another")
            return Incident(IncidentKind.RACE, f"{agent} wanted {task}, {winner} has it: one winner")
        case "overlap":
            return Incident(IncidentKind.OVERLAP, f"{agent} is refused {task}: {happened}")
        case "outside_module":
            return Incident(IncidentKind.OUTSIDE, f"{agent}: {happened}")
        case "oracle_failed":
            watch.failed[str(task)] = str(agent)
        case "regression":
            return Incident(
                IncidentKind.REGRESSION,
                f"{agent}'s {task} passes alone and breaks main together: {happened}",
            )
        case "stale_fence":
            return Incident(IncidentKind.STALE, f"{agent} comes late: {happened}")
        case "protected_ref":
            return Incident(
                IncidentKind.DIRECT,
                f"{agent} tried `git push` to main, past the gate, and was refused",
            )
    return None


_STEPS: dict[str, Callable[[IncidentWatch, LoggedEvent], Incident | None]] = {
    "lease_granted": _granted,
    "lease_ended": _lease_ended,
    "landed": _landed,
    "refusal": _refused,
}
