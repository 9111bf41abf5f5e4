"""Owns the cross-check of history against log: each landed commit and each `landed` event tell the same
story; pure.

Rule: the log's own chain is the server's to verify; here the repository is the second witness.
"""

from collections.abc import Iterable, Mapping

from mcp_server.wire.events import LoggedEvent, MainCommit

SHORT = 10  # digits of an id that a person reads
CHECKPOINT = "Audit-Checkpoint"


def disagreements(commits: Iterable[MainCommit], events: Iterable[LoggedEvent]) -> list[str]:
    """Return every point on which main's commits and the log's `landed` events differ.

    `commits` are first-parent main of every repository, `events` at least the `landed` ones and those that
    the checkpoints in the trailers name.
    """
    commits, events = list(commits), list(events)
    landed: dict[str, list[LoggedEvent]] = {}
    for event in events:
        if event.kind == "landed":
            landed.setdefault(str(event.data.get("commit")), []).append(event)
    hashes = {event.seq: event.hash for event in events}
    on_main = {commit.commit for commit in commits}
    problems = [
        f"the log says that {name[:SHORT]} landed, but main does not hold it"
        for name in landed
        if name not in on_main
    ]
    for commit in commits:
        problems += _of_commit(commit, landed.get(commit.commit, []), hashes)
    return problems


def _of_commit(commit: MainCommit, events: list[LoggedEvent], hashes: Mapping[int, str]) -> list[str]:
    """Return what is wrong with a commit, which needs one event for each change that it brought."""
    name, trailers = commit.commit[:SHORT], commit.trailers
    if not events:
        if CHECKPOINT in trailers:
            return [f"commit {name} claims to have landed ({CHECKPOINT}), but the log knows nothing of it"]
        return []  # the user's own history
    changes = {change.get("Task"): change for change in commit.changes or (trailers,)}
    problems = []
    for event in events:
        problems += _of_change(name, changes.get(event.task) or trailers, event)
    problems += [
        f"commit {name}: its trailers tell of {task}, the log does not"
        for task in changes.keys() - {event.task for event in events}
    ]
    return problems + _of_checkpoint(name, trailers.get(CHECKPOINT), hashes)


def _of_change(name: str, trailers: Mapping[str, str], event: LoggedEvent) -> list[str]:
    logged = {"Task": event.task, "Agent": event.agent, "Fence": event.fence}
    return [
        f"commit {name}: its trailer {key} is {trailers.get(key)!r}, the log says {str(value)!r}"
        for key, value in logged.items()
        if trailers.get(key) != str(value)
    ]


def _of_checkpoint(name: str, text: str | None, hashes: Mapping[int, str]) -> list[str]:
    size, _, root = (text or "").partition(" ")
    if not size.isdigit() or not root:
        return [f"commit {name}: it landed, but its trailer {CHECKPOINT} is {text!r}"]
    logged = hashes.get(int(size))
    if int(size) and logged != root:
        return [
            f"commit {name}: its checkpoint says {root[:SHORT]} at event {size}, "
            f"the log says {str(logged)[:SHORT]}"
        ]
    return []
