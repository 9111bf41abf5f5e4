"""Owns how the log of what happened, and the history that rests on it, are told to people.

Rule: what an event says beyond who, what and when is open: each kind has its own, older ones may lack some.
"""

from collections.abc import Mapping
from typing import Any

from mcp_server.wire.base import WireAnswer


class LoggedEvent(WireAnswer):
    """One thing that happened."""

    seq: int
    """Its number; every event has the next one."""
    ms: int
    """When it happened, in milliseconds since 1970."""
    kind: str
    """What happened, such as `landed`."""
    agent: str | None
    """Who did it, or whom it befell."""
    session: str | None
    """The session of that agent."""
    task: str | None
    """The task that it concerns."""
    fence: int | None
    """The lease under which it was done."""
    data: Mapping[str, Any]
    """What else this kind of event tells, with secrets hidden."""
    hash: str
    """The hash of the log up to it, as hex digits."""


class EventPage(WireAnswer):
    """Some events in their order."""

    events: tuple[LoggedEvent, ...]
    """Oldest first."""


class MainCommit(WireAnswer):
    """A commit of main."""

    commit: str
    """Its id, as 40 hex digits."""
    tree: str
    """The id of its tree."""
    parents: tuple[str, ...]
    """The ids of its parents."""
    author: str
    """Who wrote it."""
    subject: str
    """The first line of its message."""
    body: str
    """The rest of its message."""
    trailers: Mapping[str, str]
    """By name, the last lines of its message, such as `Task` and `Audit-Checkpoint`."""
    when_s: int
    """When it was made, in seconds since 1970."""
    paths: tuple[str, ...]
    """The paths that it changed."""
    changes: tuple[Mapping[str, str], ...]
    """The trailers of each change that landed with it."""


class MainHistory(WireAnswer):
    """The first-parent history of a repository's main."""

    commits: tuple[MainCommit, ...]
    """Oldest first."""


class AuditCheck(WireAnswer):
    """Whether the log is whole, and history tells the same."""

    ok: bool
    """Nothing is wrong."""
    events: int
    """How many events there are."""
    checkpoints: int
    """How many signed checkpoints there are."""
    problems: tuple[str, ...]
    """What is wrong, a sentence each."""
    witnessed_by_commits: int
    """How many commits of main hold a checkpoint."""
