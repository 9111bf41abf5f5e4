"""What the gate says: its refusals, and the messages of the commits that it makes. Rule: nothing is decided
here, and nothing is read.
"""

from collections.abc import Mapping, Sequence

from mcp_server.core import landing
from mcp_server.core.chain import Checkpoint
from mcp_server.core.refusal import Code, Refused
from mcp_server.repos.merge import Conflict
from mcp_server.store.submissions import Submission

MAIN_PASSES = "main was run again after your change and passes them"


def message(submissions: Sequence[Submission], jobs: Mapping[str, int], checkpoint: Checkpoint) -> str:
    """Return the message of the commit that brings these to main: trailers for each, and what they rest on
    together.
    """
    rests_on = {
        "Oracle-Verdict": " ".join(f"{name}={job}" for name, job in jobs.items()),
        "Audit-Checkpoint": f"{checkpoint.size} {checkpoint.root}",
    }
    trailers: list[str] = []
    for submission in submissions:
        of_change = (submission.task, submission.agent, submission.fence, submission.id)
        trailers += _lines(dict(zip(landing.CHANGE, of_change, strict=True)))
    trailers += _lines(rests_on)
    return _summary(submissions) + "\n\n" + "\n".join(trailers) + "\n"


def _summary(submissions: Sequence[Submission]) -> str:
    if len(submissions) == 1:
        return submissions[0].summary
    tasks = landing.some([submission.task for submission in submissions])
    lines = [f"{tasks} land together", ""]
    for submission in submissions:
        subject = submission.summary.partition("\n")[0]
        lines.append(f"- {submission.task} ({submission.agent}): {subject}")
    return "\n".join(lines)


def _lines(trailers: Mapping[str, object]) -> list[str]:
    return [f"{name}: {value}" for name, value in trailers.items()]


def conflict(clash: Conflict) -> Refused:
    if not clash.paths:
        return Refused(
            Code.CONFLICT,
            "your commit has no history in common with main",
            "main is unchanged; your lease goes on",
            "start from a fresh clone or `git fetch origin`, put your change on top of main, "
            "and push that commit",
        )
    return Refused(
        Code.CONFLICT,
        f"your commit conflicts with main in {landing.some(clash.paths)}",
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


def bad_cases(problems: str) -> Refused:
    return Refused(
        Code.BAD_CASES,
        problems,
        "main is unchanged; your lease goes on",
        "mend those files, commit and push the new commit",
    )


def too_slow(sentence: str) -> Refused:
    return Refused(
        Code.TOO_SLOW,
        f"your change makes a suite slower: {sentence}",
        "both were run twice, side by side the second time; main is unchanged; your lease goes on",
        "make it faster, commit and push again; release as blocked if it has to take so long",
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
