"""When a repository needs care, and which of its refs have served their time. Pure decisions.

Rule: a ref is given up by time and by what still names it, never because of what it holds; its commits are
kept otherwise.
"""

from collections.abc import Iterable
from dataclasses import dataclass

# A landing leaves some five loose objects, a pack and three refs behind: a repack joins the work of about
# fifty.
LOOSE_MAX = 2_000
PACKS_MAX = 50  # each is searched for every object that is not in the ones before it
LOOSE_REFS_MAX = 500

FOLD_EVERY_MS = (
    60 * 60_000
)  # by age: reading that of twenty thousand refs takes half a second of processor time
# of finished work, however young: every landing pays for each name that git reads past, some 6 ms for so many
NAMES_MAX = 1_000
GATHERED_MAX = 500  # names more than a fold has left, and it is time for another
FOLDED_MAX = 1_000  # refs in one round, so that none takes long

AGENTS, SALVAGE, LANDED, CANDIDATES = "refs/agents/", "refs/salvage/", "refs/landed/", "refs/candidates/"


@dataclass(frozen=True)
class ObjectCounts:
    loose: int  # objects
    packs: int
    refs: int  # with a file of their own


@dataclass(frozen=True)
class Ref:
    name: str
    commit: str
    moved_ms: int


@dataclass(frozen=True)
class Folded:
    """When there was nothing more to fold, and how many names there were then."""

    ms: int
    names: int


@dataclass(frozen=True)
class InUse:
    """What live leases, open sessions, open submissions and unfinished tasks still name."""

    refs: frozenset[str] = frozenset()
    commits: frozenset[str] = frozenset()
    submissions: frozenset[int] = frozenset()


def is_due(counts: ObjectCounts) -> bool:
    return counts.loose > LOOSE_MAX or counts.packs > PACKS_MAX or counts.refs > LOOSE_REFS_MAX


def is_time_to_fold(last: Folded | None, now: Folded) -> bool:
    return last is None or not 0 <= now.ms - last.ms < FOLD_EVERY_MS or now.names - last.names > GATHERED_MAX


def to_fold(refs: Iterable[Ref], in_use: InUse, now_ms: int, keep_ms: int) -> list[Ref]:
    """The refs that may go now: a candidate's once its submission is settled; of those of agents, salvage and
    landings that nothing names, whichever have not moved for `keep_ms`, and the oldest where there are more
    than NAMES_MAX of them.
    """
    refs = list(refs)
    settled = [ref for ref in refs if _is_settled(ref, in_use)]
    finished = sorted(
        (ref for ref in refs if _is_finished(ref, in_use)), key=lambda ref: (ref.moved_ms, ref.name)
    )
    too_many = len(finished) - NAMES_MAX
    gone = [
        ref for number, ref in enumerate(finished) if number < too_many or ref.moved_ms + keep_ms < now_ms
    ]
    return [*settled, *gone][:FOLDED_MAX]


def _is_settled(ref: Ref, in_use: InUse) -> bool:
    number = ref.name.removeprefix(CANDIDATES)
    return number != ref.name and (not number.isdigit() or int(number) not in in_use.submissions)


def _is_finished(ref: Ref, in_use: InUse) -> bool:
    return (
        ref.name.startswith((AGENTS, SALVAGE, LANDED))
        and ref.name not in in_use.refs
        and ref.commit not in in_use.commits
    )
