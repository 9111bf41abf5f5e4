"""Care of the repositories: refs of finished work are folded into one, packs and refs are joined. Nothing
that ever was in one is dropped.

Repeatable at any moment, and broken off at any moment: what is taken away is safe elsewhere before. The gate
does not wait for it.
"""

import json
import logging
from dataclasses import asdict
from datetime import UTC, datetime

from mcp_server import faults
from mcp_server.core import upkeep as core
from mcp_server.core.upkeep import Folded, InUse
from mcp_server.repos.process import GitFailed
from mcp_server.store import leases as lease_rows
from mcp_server.store import meta, people
from mcp_server.store import submissions as submission_rows
from mcp_server.store import tasks as task_rows
from mcp_server.world import World

MS_PER_DAY = 24 * 60 * 60_000
LAST_FOLD = "names after the last fold of {}"
log = logging.getLogger(__name__)


def run(world: World) -> None:
    """Look at every repository once. What git cannot do now is logged, and tried again at the next look."""
    for name, repo in world.repos.items():
        try:
            with repo.upkeep.exclusive() as alone:
                if alone:
                    _fold_in_time(world, name)
                    repack(world, name)
        except GitFailed as failed:
            log.warning("the repository %s cannot be cared for now: %s", name, failed)


def _fold_in_time(world: World, name: str) -> None:
    """Fold if it is time to. What a round has left over is for the next look."""
    now = Folded(world.now_ms(), world.repos[name].upkeep.ref_count())
    if core.is_time_to_fold(_last_fold(world, name), now) and fold(world, name) < core.FOLDED_MAX:
        _record_fold(world, name)


def fold(world: World, name: str) -> int:
    """Give up refs of finished work: their commits become parents of a commit on refs/kept/<year and month>.
    Return how many there were.
    """
    repo, now_ms = world.repos[name], world.now_ms()
    keep_ms = int(world.config.run.keep_days * MS_PER_DAY)
    refs = repo.refs.with_age((core.AGENTS, core.SALVAGE, core.LANDED, core.CANDIDATES))
    in_use = _in_use(world)  # after the refs were read: what was made in between is not among them
    finished = core.to_fold(refs, in_use, now_ms, keep_ms)
    if not finished:
        return 0
    into = f"refs/kept/{datetime.fromtimestamp(now_ms / 1000, UTC):%Y%m}"
    folded = {ref.name: ref.commit for ref in finished}
    kept = repo.upkeep.hold(into, folded, now_ms // 1000)
    faults.reached("upkeep.held")
    with world.store.write() as tx:
        world.record(tx, "refs_kept", repo=name, refs=len(kept), into=into, commit=repo.refs.tip(into))
    faults.reached("upkeep.told")
    repo.refs.delete_unmoved(kept)
    return len(kept)


def _last_fold(world: World, name: str) -> Folded | None:
    with world.store.read() as tx:
        last = meta.get(tx, LAST_FOLD.format(name))
    return Folded(**json.loads(last)) if last is not None else None


def _record_fold(world: World, name: str) -> None:
    now = Folded(world.now_ms(), world.repos[name].upkeep.ref_count())
    with world.store.write() as tx:
        meta.put(tx, LAST_FOLD.format(name), json.dumps(asdict(now)))


def repack(world: World, name: str) -> bool:
    """Repack if enough has accumulated. Return True if it had."""
    repo = world.repos[name]
    before = repo.upkeep.counts()
    if not core.is_due(before):
        return False
    began_ms = world.now_ms()
    repo.refs.pack()  # first: it is quick, and what many refs cost everybody pays
    faults.reached("upkeep.packed")
    repo.upkeep.repack()
    faults.reached("upkeep.repacked")
    with world.store.write() as tx:
        world.record(
            tx,
            "repacked",
            repo=name,
            before=asdict(before),
            after=asdict(repo.upkeep.counts()),
            ms=world.now_ms() - began_ms,
        )
    return True


def _in_use(world: World) -> InUse:
    """Return what no fold may take away, whatever its age."""
    with world.store.read() as tx:
        leases = lease_rows.open_ones(tx)
        pending = submission_rows.pending(tx)
        salvages = [task.salvage for task in task_rows.salvaged(tx) if task.salvage is not None]
        sessions = people.open_sessions(tx)
    branches = [session.branch for session in sessions if session.branch]
    heads = [lease.head for lease in leases if lease.head]
    pushed = [submission.commit for submission in pending]
    return InUse(
        refs=frozenset([*branches, *(salvage.ref for salvage in salvages)]),
        commits=frozenset([*heads, *pushed, *(salvage.commit for salvage in salvages)]),
        submissions=frozenset(submission.id for submission in pending),
    )
