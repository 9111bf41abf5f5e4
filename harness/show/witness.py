"""Owns the cross-check of history against log: each landed commit and each `landed` event tell the same
story; pure.

Rule: the log's own chain is the server's to verify; here the repository is the second witness.
"""

from collections.abc import Iterable, Mapping
from typing import Any

Json = Mapping[str, Any]

SHORT = 10


def disagreements(commits: Iterable[Json], events: Iterable[Json]) -> list[str]:
    """Every point on which main's commits and the log's `landed` events differ; empty when they agree.

    `commits` are first-parent main of every repository, `events` at least the `landed` ones and those that
    the checkpoints in the trailers name.
    """
    commits, events = list(commits), list(events)
    landed: dict[str, list[Json]] = {}
    for event in events:
        if event["kind"] == "landed":
            landed.setdefault(event["data"].get("commit"), []).append(event)
    hashes = {event["seq"]: event["hash"] for event in events}
    on_main = {commit["commit"] for commit in commits}
    problems = [
        f"the log says that {name[:SHORT]} landed, but main does not hold it"
        for name in landed
        if name not in on_main
    ]
    for commit in commits:
        problems += _of_commit(commit, landed.get(commit["commit"], []), hashes)
    return problems


def _of_commit(commit: Json, events: list[Json], hashes: Mapping[int, str]) -> list[str]:
    """One event for each change that the commit brought."""
    name, trailers = commit["commit"][:SHORT], commit.get("trailers") or {}
    if not events:
        if "Audit-Checkpoint" in trailers:
            return [
                f"commit {name} claims to have landed (Audit-Checkpoint), but the log knows nothing of it"
            ]
        return []  # the user's own history
    changes = {change.get("Task"): change for change in commit.get("changes") or [trailers]}
    problems = [
        problem
        for event in events
        for problem in _of_change(name, changes.get(event.get("task")) or trailers, event)
    ]
    problems += [
        f"commit {name}: its trailers tell of {task}, the log does not"
        for task in changes.keys() - {event.get("task") for event in events}
    ]
    return problems + _of_checkpoint(name, trailers.get("Audit-Checkpoint"), hashes)


def _of_change(name: str, said: Json, event: Json) -> list[str]:
    told = {"Task": event.get("task"), "Agent": event.get("agent"), "Fence": event.get("fence")}
    return [
        f"commit {name}: its trailer {key} is {said.get(key)!r}, the log says {str(value)!r}"
        for key, value in told.items()
        if said.get(key) != str(value)
    ]


def _of_checkpoint(name: str, text: str | None, hashes: Mapping[int, str]) -> list[str]:
    size, _, root = (text or "").partition(" ")
    if not size.isdigit() or not root:
        return [f"commit {name}: it landed, but its trailer Audit-Checkpoint is {text!r}"]
    if int(size) and hashes.get(int(size)) != root:
        return [
            f"commit {name}: its checkpoint says {root[:SHORT]} at event {size}, the log says {str(hashes.get(int(size)))[:SHORT]}"
        ]
    return []
