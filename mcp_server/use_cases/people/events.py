"""Questions to the audit log: what happened, what each landed commit rests on, and whether the log is whole."""

import itertools
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass

from mcp_server.audit import ORIGIN, Event
from mcp_server.core import landing, names
from mcp_server.core.chain import HASH_HEX, Checkpoint
from mcp_server.repos.trees import CommitInfo
from mcp_server.store import events as rows
from mcp_server.store import submissions
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


def query(world: World, wanted: EventFilter) -> list[Event]:
    """Events in order. `commit` finds those that name it, in full or by its beginning."""
    with world.store.read() as tx:
        if wanted.commit is None:
            found = rows.after(
                tx, wanted.after, limit=wanted.limit, kind=wanted.kind, agent=wanted.agent, task=wanted.task
            )
            return [Event.of(row) for row in found]
        matching = [
            event for row in rows.all(tx) if row.seq > wanted.after and _names(event := Event.of(row), wanted)
        ]
    return matching[: wanted.limit]


def _names(event: Event, wanted: EventFilter) -> bool:
    assert wanted.commit is not None
    values = [
        value
        for value in [*event.data.values(), *(event.data.get("args") or {}).values()]
        if isinstance(value, str)
    ]
    return (
        any(value.startswith(wanted.commit) for value in values)
        and wanted.kind in (None, event.kind)
        and wanted.agent in (None, event.agent)
        and wanted.task in (None, event.task)
    )


def commits(world: World, repo: str) -> list[dict]:
    """Main's first-parent history, oldest first, with each commit's changed paths, and the changes that
    landed with it.
    """
    found = list(reversed(world.repos[repo].commits.log(world.branch(repo))))
    return [
        asdict(one) | {"paths": _changed(world, repo, one), "changes": landing.changes(one.body)}
        for one in found
    ]


def _changed(world: World, repo: str, commit: CommitInfo) -> list[str]:
    if not commit.parents:
        return []
    return [
        names.printable(change.path)
        for change in world.repos[repo].objects.diff(commit.parents[0], commit.commit)
    ]


def accounts_for(world: World, repo: str, commit: str) -> bool:
    """Whether the log tells how `commit` came to be main."""
    return commit in {new for name, new in _imports(world) if name == repo} | _landed(world) | _landing_now(
        world
    )


def _imports(world: World) -> list[tuple[str, str]]:
    """Repository and newest commit of every import, in order."""
    return [
        (data["repo"], data["new"]) for data in _told(world, "main_imported") if {"repo", "new"} <= set(data)
    ]


def _landed(world: World) -> set[str]:
    return {data["commit"] for data in _told(world, "landed") if "commit" in data}


def _told(world: World, kind: str) -> Iterator[dict]:
    """The data of every event of a kind that can be read; of the others the log's own check tells."""
    with world.store.read() as tx:
        bodies = rows.bodies(tx, kind)
    for body in bodies:
        with suppress(ValueError, TypeError, KeyError):
            data = json.loads(body)["data"]
            if isinstance(data, dict):
                yield data


def _landing_now(world: World) -> set[str]:
    """Candidates that may be main already while their landing is not written yet."""
    with world.store.read() as tx:
        return {one.candidate for one in submissions.pending(tx) if one.candidate is not None}


def _since_import(world: World, repo: str, imports: list[tuple[str, str]]) -> list[CommitInfo]:
    """Main's commits after the one that this log began with: what came before is not ours to judge."""
    first = next((new for name, new in imports if name == repo), None)
    newest_first = world.repos[repo].commits.log(world.branch(repo))
    return list(itertools.takewhile(lambda one: one.commit != first, newest_first))


def verify(world: World) -> dict:
    """Chain, signatures, published checkpoints, and the two-way tie to history: trailers against the log,
    landings against main.
    """
    imports = _imports(world)
    history = {one.commit: one for name in world.repos for one in _since_import(world, name, imports)}
    on_the_way = _landing_now(world)  # in this order, a commit that lands meanwhile is in one of the two
    landed = _landed(world)
    witnesses, problems = [], []
    for commit, one in history.items():
        size, _, root = one.trailers.get(TRAILER, "").partition(" ")
        if commit in landed and not (size.isdigit() and HASH_HEX.fullmatch(root)):
            problems.append(f"commit {commit[:12]} landed without a readable {TRAILER} trailer")
        elif size.isdigit() and HASH_HEX.fullmatch(root):
            witnesses.append(Checkpoint(ORIGIN, int(size), root))
            if commit not in landed | on_the_way:
                problems.append(
                    f"commit {commit[:12]} carries a {TRAILER} trailer but the log has no landing of it"
                )
        elif not any(
            world.repos[name].commits.is_ancestor(commit, tip)
            for name, tip in imports
            if world.repos[name].commits.resolve(commit)
        ):
            problems.append(
                f"commit {commit[:12]} is on main, and the log has neither a landing nor an import of it"
            )
    for commit in landed - set(history):
        if not any(
            repo.commits.resolve(commit) and repo.commits.is_ancestor(commit, world.main(name))
            for name, repo in world.repos.items()
        ):
            problems.append(f"the log has a landing of {commit[:12]}, which is not on main")
    found = world.audit.verify(witnesses)
    problems = found["problems"] + problems
    return found | {"ok": not problems, "problems": problems, "witnessed_by_commits": len(witnesses)}
