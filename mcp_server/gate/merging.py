"""Makes what may be tested: a change merged onto main in memory, held against its lease, and its commit.

Rule: a tree that left its lease or holds a hazard never becomes a candidate, whichever main it was merged
onto.
"""

import dataclasses
import logging
from collections.abc import Mapping, Sequence

from mcp_server import faults
from mcp_server.core.refusal import Refused
from mcp_server.gate import words
from mcp_server.gate.refusing import candidate_ref
from mcp_server.repos.merge import Conflict
from mcp_server.repos.process import GitFailed, GitOutputTooLarge
from mcp_server.store import leases as lease_rows
from mcp_server.store import tasks as task_rows
from mcp_server.store.submissions import Submission
from mcp_server.use_cases.landing import boundaries
from mcp_server.use_cases.oracle import baseline, case_sets
from mcp_server.use_cases.oracle import jobs as oracle_jobs
from mcp_server.world import World
from oracle.cases.files import BadCases

GATE = "gate"  # whose name a commit has that lands several
CHAIN = "A prefix of the train\n"
log = logging.getLogger(__name__)


def merged_tree(world: World, submission: Submission, onto: str) -> str | Refused:
    """Return the tree of `submission` merged onto the commit `onto`, or why there is none."""
    try:
        return _merged_tree(world, submission, onto)
    except GitOutputTooLarge as wrong:
        return words.too_large(str(wrong))
    except GitFailed as wrong:  # a commit that nobody can read must not stop the queue
        log.exception("git failed on submission %s", submission.id)
        return words.git_failed(str(wrong))


def _merged_tree(world: World, submission: Submission, onto: str) -> str | Refused:
    merged = world.repos[submission.repo].merging.merge(onto, submission.commit)
    if isinstance(merged, Conflict):
        return words.conflict(merged)
    faults.reached("gate.merged")
    return (
        _boundary(world, submission, onto, merged.tree)
        or _bad_cases(world, submission.repo, merged.tree)
        or merged.tree
    )


def _boundary(world: World, submission: Submission, onto: str, tree: str) -> Refused | None:
    repo = world.repos[submission.repo]
    changes = repo.objects.diff(onto, tree)
    if not changes:
        return words.nothing_to_land()
    with world.store.read() as tx:
        lease, task = lease_rows.get(tx, submission.fence), task_rows.get(tx, submission.task)
    assert lease is not None and task is not None
    return boundaries.refusal(world, repo.objects, lease, task, changes, tree)


def _bad_cases(world: World, repo: str, tree: str) -> Refused | None:
    """Return the refusal of a tree whose cases cannot be read. Cases are judged by those on main; were these
    to land, nothing would after them.
    """
    for name in world.suites_of(repo):
        try:
            case_sets.load(world, name, tree)
        except BadCases as bad:
            return words.bad_cases(case_sets.sentence(bad))
    return None


def unmeasured(world: World, repo: str, main: str) -> list[str]:
    """Return the suites whose outcomes on main are not known: nothing can be held against them."""
    with world.store.read() as tx:
        return baseline.unmeasured(world, tx, repo, main)


def touched(world: World, repo: str, base: str, tree: str) -> set[str]:
    """Return the suites that read something of `tree` which is otherwise on main, which is at `base`."""

    def reads_a_change(suite: str) -> bool:
        on_main = oracle_jobs.tree_key(world, suite, base, base)
        return oracle_jobs.tree_key(world, suite, tree, base) != on_main

    return {suite for suite in world.suites_of(repo) if reads_a_change(suite)}


def make_candidate(
    world: World, submission: Submission, base: str, tree: str, jobs: Mapping[str, int]
) -> Submission:
    """Return the submission with the commit that would land it by itself: one parent, and one commit for one
    task.
    """
    repo = world.repos[submission.repo]
    text = words.message([submission], jobs, world.audit.checkpoint(world.now_ms()))
    candidate = repo.commits.create(tree, [base], text, submission.agent, submission.submitted_ms // 1000)
    repo.refs.put(candidate_ref(submission.id), candidate)
    faults.reached("gate.held")
    return dataclasses.replace(submission, base=base, candidate=candidate, jobs=dict(jobs))


def make_shared_candidate(
    world: World, submissions: Sequence[Submission], base: str, tree: str, jobs: Mapping[str, int]
) -> list[Submission]:
    """Return these with the one commit that would land all of them: its parents are main and what each was
    good as by itself, in order.
    """
    if len(submissions) == 1:
        return [make_candidate(world, submissions[0], base, tree, jobs)]
    text = words.message(submissions, jobs, world.audit.checkpoint(world.now_ms()))
    candidate = commit_prefix(world, submissions, base, tree, text)
    world.repos[submissions[0].repo].refs.put(candidate_ref(submissions[-1].id), candidate)
    faults.reached("gate.coupled")
    return [dataclasses.replace(one, base=base, candidate=candidate, jobs=dict(jobs)) for one in submissions]


def commit_prefix(
    world: World, submissions: Sequence[Submission], base: str, tree: str, text: str = CHAIN
) -> str:
    """Return a new commit of `tree` that has all of these and `base` in its history: the next one is merged
    onto it as onto main.
    """
    own = [one.candidate for one in submissions if one.candidate is not None]
    assert len(own) == len(submissions), "each passed by itself"
    when_s = max(one.submitted_ms for one in submissions) // 1000
    return world.repos[submissions[0].repo].commits.create(tree, [base, *own], text, GATE, when_s)
