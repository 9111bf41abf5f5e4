"""Owns the questions to the audit log: what happened, what each landed commit rests on, and whether the log
is whole.
"""

import itertools
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from mcp_server.audit import ORIGIN, Event
from mcp_server.core import landing, names
from mcp_server.core.chain import HASH_HEX, Checkpoint
from mcp_server.repos.trees import CommitInfo
from mcp_server.store import events as rows
from mcp_server.store import submissions
from mcp_server.wire.events import AuditCheck, MainCommit
from mcp_server.world import World

# Valid inside a ref wherever it stands: no two dots together, none at the end, no `.lock`.
AGENT_NAME = re.compile(r"(?!.*\.\.)(?!.*\.lock$)[A-Za-z0-9]([A-Za-z0-9._-]{0,58}[A-Za-z0-9_-])?")
TRAILER = "Audit-Checkpoint"


@dataclass(frozen=True)
class EventFilter:
    after: int
    limit: int
    kind: str | None = None
    agent: str | None = None
    task: str | None = None
    commit: str | None = None


def query(world: World, event_filter: EventFilter) -> list[Event]:
    """Return the events that match, in order. `commit` finds those that name it, in full or by its
    beginning.
    """
    with world.store.read() as tx:
        if event_filter.commit is None:
            found = rows.after(
                tx,
                event_filter.after,
                limit=event_filter.limit,
                kind=event_filter.kind,
                agent=event_filter.agent,
                task=event_filter.task,
            )
            return [Event.of(row) for row in found]
        matching = [
            event
            for row in rows.all(tx)
            if row.seq > event_filter.after and _names(event := Event.of(row), event_filter)
        ]
    return matching[: event_filter.limit]


def _names(event: Event, event_filter: EventFilter) -> bool:
    assert event_filter.commit is not None
    values = [
        value
        for value in [*event.data.values(), *(event.data.get("args") or {}).values()]
        if isinstance(value, str)
    ]
    return (
        any(value.startswith(event_filter.commit) for value in values)
        and event_filter.kind in (None, event.kind)
        and event_filter.agent in (None, event.agent)
        and event_filter.task in (None, event.task)
    )


def commits(world: World, repo: str) -> list[MainCommit]:
    """Return main's first-parent history, oldest first."""
    newest_first = world.repos[repo].commits.log(world.branch(repo))
    return [_main_commit(world, repo, commit) for commit in reversed(newest_first)]


def _main_commit(world: World, repo: str, commit: CommitInfo) -> MainCommit:
    return MainCommit(
        commit=commit.commit,
        tree=commit.tree,
        parents=commit.parents,
        author=commit.author,
        subject=commit.subject,
        body=commit.body,
        trailers=dict(commit.trailers),
        when_s=commit.when_s,
        paths=tuple(_changed(world, repo, commit)),
        changes=tuple(landing.changes(commit.body)),
    )


def _changed(world: World, repo: str, commit: CommitInfo) -> list[str]:
    if not commit.parents:
        return []
    return [
        names.printable(change.path)
        for change in world.repos[repo].objects.diff(commit.parents[0], commit.commit)
    ]


def accounts_for(world: World, repo: str, commit: str) -> bool:
    """Return True if the log tells how `commit` came to be main."""
    return commit in {new for name, new in _imports(world) if name == repo} | _landed(world) | _landing_now(
        world
    )


def _imports(world: World) -> list[tuple[str, str]]:
    """Return repository and newest commit of every import, in order."""
    return [
        (data["repo"], data["new"])
        for data in _data_of(world, "main_imported")
        if {"repo", "new"} <= set(data)
    ]


def _landed(world: World) -> set[str]:
    return {data["commit"] for data in _data_of(world, "landed") if "commit" in data}


def _data_of(world: World, kind: str) -> Iterator[dict[str, Any]]:
    """Yield the data of every event of a kind that can be read; of the others the log's own check tells."""
    with world.store.read() as tx:
        bodies = rows.bodies(tx, kind)
    for body in bodies:
        with suppress(ValueError, TypeError, KeyError):
            data = json.loads(body)["data"]
            if isinstance(data, dict):
                yield data


def _landing_now(world: World) -> set[str]:
    """Return the candidates that may be main already while their landing is not written yet."""
    with world.store.read() as tx:
        return {one.candidate for one in submissions.pending(tx) if one.candidate is not None}


def _since_import(world: World, repo: str, imports: list[tuple[str, str]]) -> list[CommitInfo]:
    """Return main's commits after the one that this log began with: what came before is not ours to judge."""
    first = next((new for name, new in imports if name == repo), None)
    newest_first = world.repos[repo].commits.log(world.branch(repo))
    return list(itertools.takewhile(lambda one: one.commit != first, newest_first))


def verify(world: World) -> AuditCheck:
    """Check chain, signatures and published checkpoints, and the two-way tie to history: trailers against the
    log, landings against main.
    """
    imports = _imports(world)
    history = {
        commit.commit: commit for name in world.repos for commit in _since_import(world, name, imports)
    }
    on_the_way = _landing_now(world)  # in this order, a commit that lands meanwhile is in one of the two
    landed = _landed(world)
    witnesses = [_checkpoint(commit) for commit in history.values()]
    problems = []
    for name, commit in history.items():
        problem = _trailer_problem(commit, is_landed=name in landed, is_landing=name in on_the_way)
        if problem is None and _checkpoint(commit) is None and not _is_imported(world, name, imports):
            problem = f"commit {name[:12]} is on main, and the log has neither a landing nor an import of it"
        if problem is not None:
            problems.append(problem)
    problems += [
        f"the log has a landing of {name[:12]}, which is not on main"
        for name in landed - set(history)
        if not _is_on_main(world, name)
    ]
    check = world.audit.verify([checkpoint for checkpoint in witnesses if checkpoint is not None])
    all_problems = (*check["problems"], *problems)
    return AuditCheck(
        ok=not all_problems,
        events=check["events"],
        checkpoints=check["checkpoints"],
        problems=all_problems,
        witnessed_by_commits=sum(checkpoint is not None for checkpoint in witnesses),
    )


def _checkpoint(commit: CommitInfo) -> Checkpoint | None:
    """Return the checkpoint that a commit's trailer holds, if it can be read."""
    size, _, root = commit.trailers.get(TRAILER, "").partition(" ")
    if not size.isdigit() or not HASH_HEX.fullmatch(root):
        return None
    return Checkpoint(ORIGIN, int(size), root)


def _trailer_problem(commit: CommitInfo, *, is_landed: bool, is_landing: bool) -> str | None:
    checkpoint = _checkpoint(commit)
    if is_landed and checkpoint is None:
        return f"commit {commit.commit[:12]} landed without a readable {TRAILER} trailer"
    if checkpoint is not None and not is_landed and not is_landing:
        return f"commit {commit.commit[:12]} carries a {TRAILER} trailer but the log has no landing of it"
    return None


def _is_imported(world: World, commit: str, imports: list[tuple[str, str]]) -> bool:
    return any(
        world.repos[name].commits.is_ancestor(commit, tip)
        for name, tip in imports
        if world.repos[name].commits.resolve(commit)
    )


def _is_on_main(world: World, commit: str) -> bool:
    return any(
        repo.commits.resolve(commit) and repo.commits.is_ancestor(commit, world.main(name))
        for name, repo in world.repos.items()
    )
