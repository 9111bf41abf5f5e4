"""The gate's rounds: each reads what is in the gate of one repository and takes every submission as far as it
can go.

A step reads rows, does one thing and writes rows. All state is in the database and in the refs, so that after
a crash the same steps simply go on. One intent to land is open at a time in a repository: what is decided
next is decided on the new main.
"""

import asyncio
import dataclasses

from mcp_server import faults
from mcp_server.core.landing import SubmissionState as State
from mcp_server.core.refusal import Refused
from mcp_server.gate import doubting, judging, landings, merging, pacing, refusing, words
from mcp_server.gate.judging import Broken, Outdated
from mcp_server.gate.trains import Train
from mcp_server.store import jobs as job_rows
from mcp_server.store import submissions as rows
from mcp_server.store.submissions import Submission
from mcp_server.use_cases.landing import export
from mcp_server.use_cases.oracle import baseline
from mcp_server.use_cases.oracle import jobs as oracle_jobs
from mcp_server.world import World

IDLE_S = 1.0  # the gate looks again at least so often; it is rung for every change


class Gate:
    """The gate of all repositories of one world."""

    def __init__(self, world: World):
        self._world = world
        self._trains = {repo: Train(world, repo) for repo in world.repos}
        self._unshown: set[str] = set()  # repositories whose main the user has not been shown

    async def run(self) -> None:
        """Advance whatever can advance, until cancelled. No repository waits for another one's git."""
        async with asyncio.TaskGroup() as group:
            for repo in self._world.repos:
                group.create_task(self._serve(repo))

    async def _serve(self, repo: str) -> None:
        while True:
            ring = self._world.bell.listen()
            if not await asyncio.to_thread(self._advance, repo):
                await self._world.bell.wait_for(ring, IDLE_S)

    def advance(self) -> bool:
        """Take one round in every repository. Return True if anything moved."""
        return any([self._advance(repo) for repo in self._world.repos])

    def _advance(self, repo: str) -> bool:
        with self._world.store.read() as tx:
            pending = [submission for submission in rows.pending(tx) if submission.repo == repo]
            testing = [submission for submission in pending if submission.state is State.TESTING]
            states = job_rows.states(tx, (job for submission in testing for job in submission.jobs.values()))
        under_way = [
            submission.id
            for submission in testing
            if any(states.get(job) != job_rows.DONE for job in submission.jobs.values())
        ]
        ready = [submission for submission in pending if submission.id not in under_way]
        tested_alone = sum(submission.state in (State.QUEUED, State.TESTING) for submission in pending)
        moved = self._round(repo, ready, oracle_jobs.slots(self._world) - tested_alone)
        if moved:
            self._world.bell.ring()
        elif repo in self._unshown:
            self._unshown.discard(repo)
            export.show_main(self._world, repo)
        return moved

    def _round(self, repo: str, ready: list[Submission], slots: int) -> bool:
        """Take steps until something moves: what is next may be decided on another main. Merges come last,
        since they take longest. Return True if anything moved.

        `slots` runners have nothing to do for those who are tested alone: the train may use these, and at
        least one.
        """
        of = {state: [submission for submission in ready if submission.state is state] for state in State}
        if of[State.LANDING]:
            return self._settle(repo, of[State.LANDING])
        if self._trains[repo].advance(of[State.PASSED], slots):
            return True
        return any(self.step(submission) for submission in (*of[State.TESTING], *of[State.QUEUED]))

    def step(self, submission: Submission) -> bool:
        """Take one step of one submission. Return True if it moved."""
        match submission.state:
            case State.QUEUED:
                return self._build(submission)
            case State.TESTING:
                return self._judge(submission)
            case State.LANDING:
                return self._settle(submission.repo, [submission])
        return False

    # -- queued: merged onto main by itself, and tested so

    def _build(self, submission: Submission) -> bool:
        world = self._world
        suites = world.suites_of(submission.repo)
        if not suites:
            return self._refuse(submission, words.no_suite(submission.repo))
        base = world.main(submission.repo)
        if unmeasured := merging.unmeasured(world, submission.repo, base):
            return self._measure(submission, unmeasured[0], base)
        tree = merging.merged_tree(world, submission, base)
        if isinstance(tree, Refused):
            return self._refuse(submission, tree)
        # The runs are asked for by tree, so that the commit, which has that tree, can name them before it
        # exists.
        requests = [oracle_jobs.JobRequest(name, tree, oracle_jobs.GATE) for name in suites]
        requested = oracle_jobs.request_all(world, requests)
        jobs = {name: job.id for name, job in zip(suites, requested, strict=True)}
        # One task lands as one commit; the agent's own stay reachable.
        world.repos[submission.repo].refs.put(
            f"refs/landed/{submission.task}/{submission.fence}/{submission.id}", submission.commit
        )
        candidate = merging.make_candidate(world, submission, base, tree, jobs)
        testing = dataclasses.replace(candidate, state=State.TESTING)
        with world.store.write() as tx:
            rows.put(tx, testing)
            landings.record(world, tx, testing, base=base, candidate=testing.candidate, tree=tree, jobs=jobs)
        faults.reached("gate.testing")
        return True

    def _measure(self, submission: Submission, suite: str, main: str) -> bool:
        """Ask for main's own outcomes, which the ratchet needs. Return True if anything moved.

        A run that broke since the submission came in refuses it: main cannot be measured, and its agent is
        told.
        """
        job = baseline.measure(self._world, suite, main, again_before_ms=submission.submitted_ms)
        if oracle_jobs.is_broken(job):
            return self._refuse(submission, judging.refusal_of_broken(self._world, suite, job))
        return job.state == job_rows.DONE

    # -- testing: wait for the verdicts on exactly that commit, then decide

    def _judge(self, submission: Submission) -> bool:
        assert submission.base is not None
        match judging.judge(self._world, [submission], submission.base, submission.jobs):
            case False:
                return False
            case Outdated():
                landings.requeue(self._world, submission, reason="a suite's image was changed")
                return True
            case Broken(refusal):
                return self._refuse(submission, refusal)
            case Refused() as refusal:
                return self._blame(submission, refusal)
        match pacing.check(self._world, submission.jobs.values(), submission.base):
            case False:
                return False
            case Broken(refusal) | (Refused() as refusal):
                return self._refuse(submission, refusal)
        return self._land_alone(submission)

    def _blame(self, submission: Submission, refusal: Refused) -> bool:
        """Refuse a submission once main has been doubted. Return True if anything moved."""
        assert submission.base is not None
        match doubting.blame(self._world, [submission], submission.base, submission.jobs, refusal):
            case bool(is_corrected):
                return is_corrected
            case Broken(refusal) | (Refused() as refusal):
                return self._refuse(submission, refusal)

    def _land_alone(self, submission: Submission) -> bool:
        """Intend to land a submission at once if main is still what it was tested on, or differs in nothing
        that a suite reads of it; else let it wait for the train.
        """
        assert submission.candidate is not None
        if submission.base == self._world.main(submission.repo):
            if self._trains[submission.repo].meets(submission.candidate):
                landings.join_train(self._world, submission)
            else:
                landings.intend(self._world, [submission])
            return True
        renewed = self._on_newest_main(submission)
        if isinstance(renewed, Refused):
            return self._refuse(submission, renewed)
        if renewed is None:
            landings.join_train(self._world, submission)
        else:
            landings.intend(self._world, [renewed], reason="main moved")
        return True

    def _on_newest_main(self, submission: Submission) -> Submission | Refused | None:
        """Return it as it would land now; None if main, or what is merged onto it, has to be tested first."""
        world, base = self._world, self._world.main(submission.repo)
        suites = world.suites_of(submission.repo)
        tree = merging.merged_tree(world, submission, base)
        if isinstance(tree, Refused):
            return tree
        if self._trains[submission.repo].meets(tree) or merging.unmeasured(world, submission.repo, base):
            return None
        requests = [oracle_jobs.JobRequest(name, tree, oracle_jobs.GATE) for name in suites]
        finished = [oracle_jobs.finished(world, request) for request in requests]
        jobs = {job.suite: job.id for job in finished if job is not None}
        if len(jobs) < len(suites) or judging.judge(world, [submission], base, jobs) is not True:
            return None
        return merging.make_candidate(world, submission, base, tree, jobs)

    # -- landing

    def _settle(self, repo: str, landing: list[Submission]) -> bool:
        for candidate in dict.fromkeys(submission.candidate for submission in landing):
            together = [submission for submission in landing if submission.candidate == candidate]
            if candidate is not None and landings.settle(self._world, together):
                self._trains[repo].follow(candidate, [submission.id for submission in together])
                self._unshown.add(repo)
        return True

    def _refuse(self, submission: Submission, refused: Refused) -> bool:
        refusing.refuse(self._world, submission, refused)
        return True
