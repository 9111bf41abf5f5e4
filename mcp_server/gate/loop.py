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
from mcp_server.gate import judging, landings, merging, refusing, words
from mcp_server.gate.judging import Broken
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
    def __init__(self, world: World):
        self._world = world
        self._trains = {repo: Train(world, repo) for repo in world.repos}
        self._unshown: set[str] = set()  # repositories whose main the user has not been shown

    async def run(self) -> None:
        """Advances whatever can advance, until cancelled. No repository waits for another one's git."""
        async with asyncio.TaskGroup() as group:
            for repo in self._world.repos:
                group.create_task(self._serve(repo))

    async def _serve(self, repo: str) -> None:
        while True:
            ring = self._world.bell.listen()
            if not await asyncio.to_thread(self._advance, repo):
                await self._world.bell.heard(ring, IDLE_S)

    def advance(self) -> bool:
        """One round in every repository. Whether anything moved."""
        return any([self._advance(repo) for repo in self._world.repos])

    def _advance(self, repo: str) -> bool:
        with self._world.store.read() as tx:
            pending = [one for one in rows.pending(tx) if one.repo == repo]
            states = job_rows.states(
                tx, (job for one in pending if one.state is State.TESTING for job in one.jobs.values())
            )
        ready = [
            one
            for one in pending
            if one.state is not State.TESTING
            or all(states.get(job) == job_rows.DONE for job in one.jobs.values())
        ]
        runs = sum(one.state in (State.QUEUED, State.TESTING) for one in pending)
        moved = self._round(repo, ready, oracle_jobs.slots(self._world) - runs)
        if moved:
            self._world.bell.ring()
        elif repo in self._unshown:
            self._unshown.discard(repo)
            export.show_main(self._world, repo)
        return moved

    def _round(self, repo: str, ready: list[Submission], slots: int) -> bool:
        """Until something moved: what is next may be decided on another main. Merges come last, since they
        take longest.

        `slots` runners have nothing to do for those who are tested alone: the train may use these, and at
        least one.
        """
        of = {state: [one for one in ready if one.state is state] for state in State}
        if of[State.LANDING]:
            return self._settle(repo, of[State.LANDING])
        return self._trains[repo].advance(of[State.PASSED], slots) or any(
            self.step(one) for one in (*of[State.TESTING], *of[State.QUEUED])
        )

    def step(self, submission: Submission) -> bool:
        """One step of one submission. Whether it moved."""
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
        tree = merging.tree(world, submission, base)
        if isinstance(tree, Refused):
            return self._refuse(submission, tree)
        # The runs are asked for by tree, so that the commit, which has that tree, can name them before it
        # exists.
        asked = oracle_jobs.request_all(
            world, [oracle_jobs.JobRequest(name, tree, oracle_jobs.GATE) for name in suites]
        )
        jobs = {name: job.id for name, job in zip(suites, asked, strict=True)}
        # One task lands as one commit; the agent's own stay reachable.
        world.repos[submission.repo].refs.put(
            f"refs/landed/{submission.task}/{submission.fence}/{submission.id}", submission.commit
        )
        testing = dataclasses.replace(merging.alone(world, submission, base, tree, jobs), state=State.TESTING)
        with world.store.write() as tx:
            rows.put(tx, testing)
            landings.note(world, tx, testing, base=base, candidate=testing.candidate, tree=tree, jobs=jobs)
        faults.reached("gate.testing")
        return True

    def _measure(self, submission: Submission, suite: str, main: str) -> bool:
        """The ratchet needs main's own outcomes. Where they are missing a run is asked for, and the gate
        waits.

        A run that broke since the submission came in refuses it: main cannot be measured, and its agent is
        told.
        """
        job = baseline.measure(self._world, suite, main, again_before_ms=submission.submitted_ms)
        return (
            self._refuse(submission, judging.of_broken(self._world, suite, job))
            if oracle_jobs.is_broken(job)
            else job.state == job_rows.DONE
        )

    # -- testing: wait for the verdicts on exactly that commit, then decide

    def _judge(self, submission: Submission) -> bool:
        assert submission.base is not None
        match judging.judge(self._world, [submission], submission.base, submission.jobs):
            case False:
                return False
            case Broken(told) | (Refused() as told):
                return self._refuse(submission, told)
        return self._land_alone(submission)

    def _land_alone(self, submission: Submission) -> bool:
        """At once where main is still what it was tested on, or differs in nothing that a suite reads of it;
        else by train.
        """
        assert submission.candidate is not None
        if submission.base == self._world.main(submission.repo):
            if self._trains[submission.repo].meets(submission.candidate):
                landings.passed(self._world, submission)
            else:
                landings.intend(self._world, [submission])
            return True
        renewed = self._on_newest_main(submission)
        if isinstance(renewed, Refused):
            return self._refuse(submission, renewed)
        if renewed is None:
            landings.passed(self._world, submission)
        else:
            landings.intend(self._world, [renewed], reason="main moved")
        return True

    def _on_newest_main(self, submission: Submission) -> Submission | Refused | None:
        """As it would land there now; None where main, or what was merged onto it, has to be tested first."""
        world, base = self._world, self._world.main(submission.repo)
        suites = world.suites_of(submission.repo)
        tree = merging.tree(world, submission, base)
        if isinstance(tree, Refused):
            return tree
        if self._trains[submission.repo].meets(tree) or merging.unmeasured(world, submission.repo, base):
            return None
        shown = {
            name: oracle_jobs.shown(world, oracle_jobs.JobRequest(name, tree, oracle_jobs.GATE))
            for name in suites
        }
        jobs = {name: job.id for name, job in shown.items() if job is not None}
        if len(jobs) < len(suites) or judging.judge(world, [submission], base, jobs) is not True:
            return None
        return merging.alone(world, submission, base, tree, jobs)

    # -- landing

    def _settle(self, repo: str, landing: list[Submission]) -> bool:
        for candidate in dict.fromkeys(one.candidate for one in landing):
            together = [one for one in landing if one.candidate == candidate]
            if candidate is not None and landings.settle(self._world, together):
                self._trains[repo].landed(candidate, [one.id for one in together])
                self._unshown.add(repo)
        return True

    def _refuse(self, submission: Submission, refused: Refused) -> bool:
        refusing.refuse(self._world, submission, refused)
        return True
