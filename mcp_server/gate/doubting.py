"""Doubts main before a change is blamed: what it loses runs on main again, as main is now.

Rule: a change is refused for a case only if main passed that case after the change had failed it.
"""

import dataclasses
from collections.abc import Mapping, Sequence

from mcp_server.core.refusal import Refused
from mcp_server.gate import judging, words
from mcp_server.gate.judging import Broken
from mcp_server.store import jobs as job_rows
from mcp_server.store.jobs import Job
from mcp_server.store.submissions import Submission
from mcp_server.use_cases.oracle import doubts, red
from mcp_server.use_cases.oracle import jobs as oracle_jobs
from mcp_server.world import World


def blame(
    world: World, submissions: Sequence[Submission], base: str, jobs: Mapping[str, int], refusal: Refused
) -> Refused | Broken | bool:
    """Return the refusal once main has shown that it passes what these lose, False while main runs, and True
    if main fails too: its record is corrected then, and the change is to be judged anew.
    """
    lost = judging.lost(world, submissions, base, jobs)
    if not lost:
        return refusal
    since_ms = min(submission.submitted_ms for submission in submissions)
    asked = {job.suite: doubts.ask(world, job, base, cases, since_ms=since_ms) for job, cases in lost}
    if any(doubt.state != job_rows.DONE for doubt in asked.values()):
        return False
    for suite, doubt in asked.items():
        if oracle_jobs.is_broken(doubt):
            return Broken(judging.refusal_of_broken(world, suite, doubt))
    failing = [_see(world, base, job, cases, asked[job.suite]) for job, cases in lost]
    if any(failing):
        return True
    return dataclasses.replace(refusal, holds=f"{words.MAIN_PASSES}; {refusal.holds}")


def _see(world: World, base: str, job: Job, cases: set[str], doubt: Job) -> bool:
    """Write down which of the cases main fails itself. Return True if it fails any."""
    assert doubt.verdict is not None
    outcomes = {case: doubt.verdict["outcomes"].get(case, "fail") for case in cases}
    failing = {case: outcome for case, outcome in outcomes.items() if outcome != "pass"}
    if failing:
        red.see(world, job.suite, base, failing, doubt.id)
    return bool(failing)
