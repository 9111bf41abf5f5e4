"""When a repository needs care, and which of its refs have served their time. Pure decisions.

Rule: a ref is given up by time and by what still names it, never because of what it holds; its commits are kept otherwise.
"""

from collections.abc import Iterable
from dataclasses import dataclass

# A landing leaves some five loose objects, a pack and three refs behind: a repack joins the work of about fifty.
LOOSE_MAX = 2_000
PACKS_MAX = 50  # each is searched for every object that is not in the ones before it
LOOSE_REFS_MAX = 500

AGENTS, SALVAGE, LANDED, CANDIDATES = "refs/agents/", "refs/salvage/", "refs/landed/", "refs/candidates/"


@dataclass(frozen=True)
class Counts:
    loose: int  # objects
    packs: int
    refs: int  # with a file of their own


@dataclass(frozen=True)
class Ref:
    name: str
    commit: str
    moved_ms: int


@dataclass(frozen=True)
class InUse:
    """What live leases, open sessions, open submissions and unfinished tasks still name."""

    refs: frozenset[str] = frozenset()
    commits: frozenset[str] = frozenset()
    submissions: frozenset[int] = frozenset()


def is_due(counts: Counts) -> bool:
    return counts.loose > LOOSE_MAX or counts.packs > PACKS_MAX or counts.refs > LOOSE_REFS_MAX


def finished(refs: Iterable[Ref], in_use: InUse, now_ms: int, keep_ms: int) -> list[Ref]:
    """The refs that may go: those of agents, salvage and landings once they have not moved for `keep_ms` and nothing names them;
    a candidate's once its submission is settled."""
    return [ref for ref in refs if _is_finished(ref, in_use, now_ms, keep_ms)]


def _is_finished(ref: Ref, in_use: InUse, now_ms: int, keep_ms: int) -> bool:
    if ref.name.startswith(CANDIDATES):
        number = ref.name.removeprefix(CANDIDATES)
        return not number.isdigit() or int(number) not in in_use.submissions
    if not ref.name.startswith((AGENTS, SALVAGE, LANDED)):
        return False
    return ref.moved_ms + keep_ms < now_ms and ref.name not in in_use.refs and ref.commit not in in_use.commits
