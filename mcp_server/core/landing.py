"""What may land: the boundary check on the merged diff and the ratchet on the oracle's outcomes. Pure decisions."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase

from mcp_server.core import paths
from mcp_server.core.refusal import Code, Refused

NAMED_MAX = 6  # how many paths or cases a refusal names; the rest is counted


class Submission(StrEnum):
    """The life of one `push`. LANDING means that the intent is recorded and only the ref knows whether it landed."""

    QUEUED = "queued"
    TESTING = "testing"
    LANDING = "landing"
    LANDED = "landed"
    REFUSED = "refused"


FINAL = frozenset({Submission.LANDED, Submission.REFUSED})


@dataclass(frozen=True)
class Suite:
    """One suite's part in a landing: outcomes on main, on the candidate, and the globs that the task names."""

    name: str
    on_main: Mapping[str, str]
    on_candidate: Mapping[str, str]
    named: tuple[str, ...] = ()


def boundary(changed: Iterable[str], allowed: tuple[str, ...], protected: tuple[str, ...], module: str) -> Refused | None:
    """Every path of the merged diff lies inside the lease and none is protected."""
    changed = sorted(set(changed))
    if touched := [path for path in changed if paths.covers(protected, path)]:
        return Refused(
            Code.PROTECTED_PATH,
            f"the change touches protected paths: {some(touched)}",
            f"protected are {some(protected)}; no agent may change them",
            "take those files out of your commits (git checkout origin/HEAD -- PATH) and push again",
        )
    if outside := [path for path in changed if not paths.covers(allowed, path)]:
        return Refused(
            Code.OUTSIDE_MODULE,
            f"the change leaves its lease: {some(outside)}",
            f"your lease in module {module} covers {some(allowed)}",
            "take those files out and push again; for work elsewhere use create_task with the module that owns them",
        )
    return None


def ratchet(suites: Iterable[Suite]) -> Refused | None:
    """No case that passes on main fails afterwards, and the cases that the task names pass.

    A case that passed on main and has no outcome on the candidate counts as failing: a run that skips it proves nothing.
    """
    for suite in suites:
        lost = sorted(case for case, outcome in suite.on_main.items() if outcome == "pass" and suite.on_candidate.get(case) != "pass")
        if lost:
            return Refused(
                Code.REGRESSION,
                f"{len(lost)} cases of {suite.name} pass on main and fail on the merged commit: {some(lost)}",
                "your change was merged onto the newest main before it was tested; main is unchanged",
                "fetch and merge origin, run_oracle with these cases, fix, commit and push again",
            )
        missing = sorted(unmet(suite))
        if missing:
            return Refused(
                Code.ORACLE_FAILED,
                f"{len(missing)} cases that the task names do not pass: {some(missing)}",
                "nothing that passes on main is lost; main is unchanged",
                "run_oracle shows the smallest failing ones; fix, commit and push again",
            )
    return None


def unmet(suite: Suite) -> set[str]:
    """Named cases without a pass; a glob that names nothing at all is itself unmet."""
    failing = set()
    for glob in suite.named:
        hits = {case for case in suite.on_candidate if fnmatchcase(case, glob)}
        failing |= {case for case in hits if suite.on_candidate[case] != "pass"} if hits else {glob}
    return failing


def some(names: Iterable[str]) -> str:
    """The first few names and a count of the rest."""
    names = list(names)
    shown = ", ".join(names[:NAMED_MAX])
    return shown if len(names) <= NAMED_MAX else f"{shown} and {len(names) - NAMED_MAX} more"
