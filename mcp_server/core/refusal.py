"""The named no: every reason for which the server declines a call, with its stable code.

Rule: a refusal is a value, is returned and never raised, and always tells what happened, what holds now and
what to do next.
"""

from dataclasses import dataclass
from enum import StrEnum


class Code(StrEnum):
    """Stable for clients and for the audit log: a code may be added, never renamed."""

    HELD = "held"  # the task is leased to somebody else
    OVERLAP = "overlap"  # its paths meet the paths of a live lease
    NO_TASK = "no_task"  # nothing can be claimed at present
    UNKNOWN_TASK = "unknown_task"  # no task has that id
    NOT_LEASED = "not_leased"  # the caller holds no lease
    STALE_FENCE = "stale_fence"  # the caller held this lease once; it has ended
    OUTSIDE_MODULE = "outside_module"  # the merged change leaves the lease's paths
    PROTECTED_PATH = "protected_path"  # the merged change touches what no agent may write
    CONFLICT = "conflict"  # the change does not merge onto main
    ORACLE_FAILED = "oracle_failed"  # a case that the task must pass fails
    REGRESSION = "regression"  # a case that passes on main would fail
    TOO_SLOW = "too_slow"  # a suite takes many times as long as on main, or does not end in its time
    CONTRADICTED = "contradicted"  # its run says something against itself that main's own run does not
    BAD_CASES = "bad_cases"  # the change holds oracle cases that cannot be read
    ORACLE_BROKEN = "oracle_broken"  # no verdict could be had; it says nothing about the change
    NOTHING_TO_LAND = "nothing_to_land"  # the merged tree is main's tree
    COMMIT_UNKNOWN = "commit_unknown"  # the server does not have that commit
    TOO_LARGE = "too_large"  # a change, a file or an argument is over its limit
    BUDGET = "budget"  # the agent or the run has used up what it may
    ROLE = "role"  # the caller's role does not include it: planners and reviewers hold no lease
    UNAVAILABLE = "unavailable"  # the server cannot write its state now, so that nothing can be promised
    BAD_REQUEST = "bad_request"  # the arguments make no sense, whatever the state


# The same call, unchanged, may succeed later without anybody doing anything else.
RETRYABLE = frozenset({Code.ORACLE_BROKEN, Code.UNAVAILABLE})


@dataclass(frozen=True)
class Refused:
    """What the caller reads: `happened` (past), `holds` (now), `next` (one concrete step)."""

    code: Code
    happened: str
    holds: str
    next: str

    @property
    def retryable(self) -> bool:
        return self.code in RETRYABLE

    def to_json(self) -> dict[str, str]:
        """The answer of an MCP tool, as a JSON value."""
        return {
            "status": "refused",
            "code": self.code.value,
            "happened": self.happened,
            "holds": self.holds,
            "next": self.next,
        }
