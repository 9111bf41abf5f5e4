"""What the gate says: its refusals, and the messages of the commits that it makes. Pure."""

from collections.abc import Mapping, Sequence

from mcp_server.core import landing
from mcp_server.core.chain import Checkpoint
from mcp_server.core.refusal import Code, Refused
from mcp_server.repos.merge import Conflict
from mcp_server.store.submissions import Submission


def message(submissions: Sequence[Submission], jobs: Mapping[str, int], checkpoint: Checkpoint) -> str:
    """Of the commit that brings these to main: trailers for each, and what they rest on together."""
    rests_on = {
        "Oracle-Verdict": " ".join(f"{name}={job}" for name, job in jobs.items()),
        "Audit-Checkpoint": f"{checkpoint.size} {checkpoint.root}",
    }
    trailers = [
        line
        for one in submissions
        for line in _lines(dict(zip(landing.CHANGE, (one.task, one.agent, one.fence, one.id), strict=True)))
    ]
    return _summary(submissions) + "\n\n" + "\n".join([*trailers, *_lines(rests_on)]) + "\n"


def _summary(submissions: Sequence[Submission]) -> str:
    if len(submissions) == 1:
        return submissions[0].summary
    subjects = [f"{one.task} ({one.agent}): {one.summary.partition(chr(10))[0]}" for one in submissions]
    return f"{landing.some([one.task for one in submissions])} land together\n\n" + "\n".join(
        f"- {subject}" for subject in subjects
    )


def _lines(trailers: Mapping[str, object]) -> list[str]:
    return [f"{name}: {value}" for name, value in trailers.items()]


def conflict(found: Conflict) -> Refused:
    if not found.paths:
        step = "start from a fresh clone or `git fetch origin`, put your change on top of main, and push that commit"
        return Refused(
            Code.CONFLICT,
            "your commit has no history in common with main",
            "main is unchanged; your lease goes on",
            step,
        )
    return Refused(
        Code.CONFLICT,
        f"your commit conflicts with main in {landing.some(found.paths)}",
        "main is unchanged; your lease goes on",
        "git fetch origin, merge or rebase onto the newest main, resolve, commit, and push the new commit",
    )


def nothing_to_land() -> Refused:
    return Refused(
        Code.NOTHING_TO_LAND,
        "your commit changes nothing on main",
        "main has this content already",
        "commit a change, or release_task as blocked or abandoned",
    )


def no_suite(repo: str) -> Refused:
    return Refused(
        Code.ORACLE_BROKEN,
        f"no oracle suite covers the repository {repo}",
        "nothing lands untested",
        "release the task as blocked: a person has to add [oracle.*] to harness.toml",
    )


def too_large(why: str) -> Refused:
    return Refused(
        Code.TOO_LARGE,
        f"the change or its tree is too large: {why}",
        "main is unchanged",
        "push a smaller change",
    )


def git_failed(why: str) -> Refused:
    return Refused(
        Code.ORACLE_BROKEN,
        f"git failed on the server: {why}",
        "main is unchanged; your lease goes on",
        "push again; release as blocked if it goes on",
    )


def bad_cases(told: str) -> Refused:
    return Refused(
        Code.BAD_CASES,
        told,
        "main is unchanged; your lease goes on",
        "mend those files, commit and push the new commit",
    )


def stale(fence: int, end_reason: str | None) -> Refused:
    return Refused(
        Code.STALE_FENCE,
        f"the lease with fence {fence} ended: {end_reason}",
        "main is unchanged",
        "claim_task() for a new lease",
    )


def broken(suite: str, attempts: int, reason: str) -> Refused:
    return Refused(
        Code.ORACLE_BROKEN,
        f"the oracle {suite} broke {attempts} times: {reason}",
        "this says nothing about your change; main is unchanged; your lease goes on",
        "push again with the same arguments to have it tested again; release as blocked if it goes on",
    )
