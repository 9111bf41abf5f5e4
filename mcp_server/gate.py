"""The landing gate: takes queued submissions to `landed` or `refused`. Only this module moves main.

A submission advances by steps, each of which reads its row, does one thing and writes the row. All state is in the
database and in the ref, so that after a crash the same steps simply go on. Each step looks at one submission only;
`ADMITTED` says how many may be between merge and landing at once.
"""

import asyncio
import dataclasses
import logging

from mcp_server import faults
from mcp_server.core import case_globs, landing
from mcp_server.core import lease as leases
from mcp_server.core.landing import Submission as State
from mcp_server.core.refusal import Code, Refused
from mcp_server.core.task import Event
from mcp_server.git import Conflict, GitFailed, TooLarge
from mcp_server.store import Tx
from mcp_server.store import jobs as job_rows
from mcp_server.store import leases as lease_rows
from mcp_server.store import submissions as rows
from mcp_server.store import tasks as task_rows
from mcp_server.store.jobs import Job
from mcp_server.store.submissions import Submission
from mcp_server.use_cases import baseline, boundaries, case_sets, export, leasing, oracle_jobs
from mcp_server.world import World
from oracle.cases import BadCases

ADMITTED = 1  # one at a time: each candidate is built on the main that it will land on
RACES_MAX = 10  # how often a lost race for main is run again before the submission is given back
IDLE_S = 1.0  # the gate looks again at least so often; it is rung for every change
log = logging.getLogger(__name__)


class Gate:
    def __init__(self, world: World):
        self._world = world

    async def run(self) -> None:
        """Advances whatever can advance, until cancelled."""
        while True:
            ring = self._world.bell.listen()
            if not await asyncio.to_thread(self.advance):
                await self._world.bell.heard(ring, IDLE_S)

    def advance(self) -> bool:
        """One round over the submissions at the head of the queue. Whether anything moved."""
        with self._world.store.read() as tx:
            admitted = rows.pending(tx)[:ADMITTED]
        moved = [self.step(submission) for submission in admitted]
        if any(moved):
            self._world.bell.ring()
        return any(moved)

    def step(self, submission: Submission) -> bool:
        """One step of one submission. What git cannot do with it refuses it: a commit nobody can read must not stop the queue."""
        try:
            return self._step(submission)
        except TooLarge as wrong:
            big = Refused(Code.TOO_LARGE, f"the change or its tree is too large: {wrong}", "main is unchanged", "push a smaller change")
            return self._refuse(submission, big)
        except GitFailed as wrong:
            if submission.state is State.LANDING:  # decided already: it is settled once git works again
                raise
            log.exception("git failed on submission %s", submission.id)
            failed = Refused(Code.ORACLE_BROKEN, f"git failed on the server: {wrong}", "main is unchanged; your lease goes on", "push again; release as blocked if it goes on")
            return self._refuse(submission, failed)

    def _step(self, submission: Submission) -> bool:
        match submission.state:
            case State.QUEUED:
                return self._build(submission)
            case State.TESTING:
                return self._judge(submission)
            case State.LANDING:
                return self._settle(submission)
        return False

    # -- queued: merge in memory, check the boundary, make the commit that will be tested

    def _build(self, submission: Submission) -> bool:
        world, repo = self._world, self._world.repos[submission.repo]
        suites = world.suites_of(submission.repo)
        if not suites:
            return self._refuse(submission, _no_suite(submission.repo))
        base = world.main(submission.repo)
        for name in suites:
            if baseline.known(world, name, base) is None:
                return self._measure(submission, name, base)
        merged = repo.merge(base, submission.commit)
        if isinstance(merged, Conflict):
            return self._refuse(submission, _conflict(merged))
        faults.reached("gate.merged")
        if refused := self._boundary(submission, base, merged.tree) or self._bad_cases(suites, merged.tree):
            return self._refuse(submission, refused)
        # The runs are asked for by tree, so that the commit, which has that tree, can name them before it exists.
        jobs = {name: oracle_jobs.request(world, oracle_jobs.Wanted(name, merged.tree, oracle_jobs.GATE)).id for name in suites}
        # One task lands as one commit; the agent's own commits stay reachable by refs/landed.
        candidate = repo.commit(merged.tree, [base], self._message(submission, jobs), submission.agent, submission.submitted_ms // 1000)
        repo.set_ref(f"refs/landed/{submission.task}/{submission.fence}/{submission.id}", submission.commit)
        repo.set_ref(candidate_ref(submission.id), candidate)
        faults.reached("gate.held")
        with world.store.write() as tx:
            rows.put(tx, dataclasses.replace(submission, state=State.TESTING, base=base, candidate=candidate, jobs=jobs))
            self._event(tx, submission, State.TESTING, base=base, candidate=candidate, tree=merged.tree, jobs=jobs)
        faults.reached("gate.testing")
        return True

    def _measure(self, submission: Submission, suite: str, main: str) -> bool:
        """The ratchet needs main's own outcomes. Where they are missing a run is asked for, and the gate waits.

        A run that broke since the submission came in refuses it: main cannot be measured, and its agent is told.
        """
        job = baseline.measure(self._world, suite, main, again_before_ms=submission.submitted_ms)
        return self._refuse(submission, self._broken(suite, job)) if oracle_jobs.is_broken(job) else job.state == job_rows.DONE

    def _boundary(self, submission: Submission, base: str, tree: str) -> Refused | None:
        repo = self._world.repos[submission.repo]
        changes = repo.diff(base, tree)
        if not changes:
            return Refused(Code.NOTHING_TO_LAND, "your commit changes nothing on main", "main has this content already", "commit a change, or release_task as blocked or abandoned")
        with self._world.store.read() as tx:
            lease, task = lease_rows.get(tx, submission.fence), task_rows.get(tx, submission.task)
        assert lease is not None and task is not None
        return boundaries.refusal(self._world, repo, lease, task, changes, tree)

    def _bad_cases(self, suites: list[str], tree: str) -> Refused | None:
        """Cases are judged by those on main; those that this change would put there must be readable, or nothing lands after it."""
        for name in suites:
            try:
                case_sets.load(self._world, name, tree)
            except BadCases as bad:
                return Refused(Code.BAD_CASES, case_sets.told(bad), "main is unchanged; your lease goes on", "mend those files, commit and push the new commit")
        return None

    def _message(self, submission: Submission, jobs: dict[str, int]) -> str:
        checkpoint = self._world.audit.checkpoint(self._world.now_ms())
        trailers = {
            "Task": submission.task,
            "Agent": submission.agent,
            "Fence": submission.fence,
            "Submission": submission.id,
            "Oracle-Verdict": " ".join(f"{name}={job}" for name, job in jobs.items()),
            "Audit-Checkpoint": f"{checkpoint.size} {checkpoint.root}",
        }
        return submission.summary + "\n\n" + "\n".join(f"{name}: {value}" for name, value in trailers.items()) + "\n"

    # -- testing: wait for the verdicts on exactly that commit, then decide

    def _judge(self, submission: Submission) -> bool:
        with self._world.store.read() as tx:
            jobs = {name: job_rows.get(tx, id) for name, id in submission.jobs.items()}
        finished: dict[str, Job] = {name: job for name, job in jobs.items() if job is not None and job.state == job_rows.DONE}
        if len(finished) < len(jobs):
            return False
        for name, job in finished.items():
            if oracle_jobs.is_broken(job):
                return self._refuse(submission, self._broken(name, job))
        suites = [self._measured(submission, name, job) for name, job in finished.items()]
        if refused := landing.ratchet(suites):
            return self._refuse(submission, refused)
        return self._intend(submission)

    def _measured(self, submission: Submission, name: str, job: Job) -> landing.Suite:
        assert submission.base is not None and job.verdict is not None
        with self._world.store.read() as tx:
            task = task_rows.get(tx, submission.task)
            on_main = baseline.in_tx(self._world, tx, name, submission.base)
        assert task is not None and on_main is not None
        flaky = landing.exempt(self._world.config.suites[name].flaky, self._world.today())
        hidden = case_sets.hidden(self._world, name, on_main.keys() | job.verdict["outcomes"].keys())
        return landing.Suite(name, on_main, job.verdict["outcomes"], case_globs.of_suite(task.cases, name, task.suite), flaky, hidden)

    def _intend(self, submission: Submission) -> bool:
        """The fence is checked in the transaction that records the intent to land."""
        faults.reached("gate.judged")
        with self._world.store.write() as tx:
            lease = lease_rows.get(tx, submission.fence)
            assert lease is not None
            if not leases.is_live(lease, self._world.now_ms()):
                stale = Refused(Code.STALE_FENCE, f"the lease with fence {submission.fence} ended: {lease.end_reason}", "main is unchanged", "claim_task() for a new lease")
                self._write_refusal(tx, submission, stale)
                return True
            rows.put(tx, dataclasses.replace(submission, state=State.LANDING))
            self._event(tx, submission, State.LANDING, base=submission.base, candidate=submission.candidate)
        faults.reached("gate.intended")
        return True

    # -- landing: the ref is the truth, before and after a crash

    def _settle(self, submission: Submission) -> bool:
        world, repo = self._world, self._world.repos[submission.repo]
        assert submission.candidate is not None and submission.base is not None
        landed = repo.is_ancestor(submission.candidate, world.main(submission.repo)) or repo.compare_and_swap(
            world.main_ref(submission.repo), submission.candidate, submission.base
        )
        if not landed:
            return self._lost_race(submission)
        faults.reached("gate.swapped")
        with world.store.write() as tx:
            task = task_rows.get(tx, submission.task)
            lease = lease_rows.get(tx, submission.fence)
            assert task is not None and lease is not None
            for name, id in submission.jobs.items():
                job = job_rows.get(tx, id)
                assert job is not None and job.verdict is not None
                gone = set(job.verdict.get("missing", ()))  # tests that main ran and the landed tree does not
                outcomes = {case: outcome for case, outcome in job.verdict["outcomes"].items() if case not in gone}
                baseline.put(world, tx, name, submission.candidate, outcomes)
            rows.put(tx, dataclasses.replace(submission, state=State.LANDED, ended_ms=world.now_ms()))
            self._event(tx, submission, State.LANDED, kind="landed", commit=submission.candidate, base=submission.base, jobs=submission.jobs, head=submission.commit)
            leasing.end(world, tx, lease, "landed", Event.LAND)
            faults.reached("gate.writing")
        faults.reached("gate.landed")
        repo.delete_ref(candidate_ref(submission.id))
        faults.reached("gate.cleared")
        export.show_main(world, submission.repo)
        return True

    def _lost_race(self, submission: Submission) -> bool:
        if submission.tries >= RACES_MAX:
            lost = Refused(Code.ORACLE_BROKEN, f"main moved {RACES_MAX} times while this was tested", "main is unchanged by you", "push again with the same arguments")
            return self._refuse(submission, lost)
        with self._world.store.write() as tx:
            rows.put(tx, dataclasses.replace(submission, state=State.QUEUED, tries=submission.tries + 1, jobs={}))
            self._event(tx, submission, State.QUEUED, reason="main moved")
        return True

    # -- refusing

    def _broken(self, suite: str, job: Job) -> Refused:
        reason = case_sets.reason(self._world, suite, job.verdict["reason"]) if job.verdict else "no verdict"
        return Refused(
            Code.ORACLE_BROKEN,
            f"the oracle {suite} broke {job.attempts} times: {reason}",
            "this says nothing about your change; main is unchanged; your lease goes on",
            "push again with the same arguments to have it tested again; release as blocked if it goes on",
        )

    def _refuse(self, submission: Submission, refused: Refused) -> bool:
        with self._world.store.write() as tx:
            self._write_refusal(tx, submission, refused)
        self._world.repos[submission.repo].delete_ref(candidate_ref(submission.id))
        leasing.keep_salvage(self._world)
        return True

    def _write_refusal(self, tx: Tx, submission: Submission, refused: Refused) -> None:
        rows.put(tx, dataclasses.replace(submission, state=State.REFUSED, ended_ms=self._world.now_ms(), refusal=refused.to_json()))
        by = {"agent": submission.agent, "task": submission.task, "fence": submission.fence}
        self._world.record(tx, "refusal", tool="push", code=str(refused.code), happened=refused.happened, submission=submission.id, commit=submission.commit, **by)
        self._unpin(tx, submission)

    def _unpin(self, tx: Tx, submission: Submission) -> None:
        """The holder gets a whole lease to mend the change; a holder whose session has died gets none."""
        lease = lease_rows.get(tx, submission.fence)
        if lease is None or lease.ended_ms is not None:
            return
        unpinned = dataclasses.replace(lease, pinned=False, expires_ms=max(lease.expires_ms, self._world.now_ms() + self._world.lease_ms))
        lease_rows.put(tx, unpinned)
        if leasing.holder_is_gone(tx, lease):
            leasing.end(self._world, tx, unpinned, "session_ended", Event.LEASE_LOST)

    def _event(self, tx: Tx, submission: Submission, state: State, *, kind: str = "submission", **data) -> None:
        by = {"agent": submission.agent, "task": submission.task, "fence": submission.fence}
        self._world.record(tx, kind, submission=submission.id, state=str(state), **by, **data)


def candidate_ref(submission: int) -> str:
    """Holds a candidate while it is tested, so that no repack takes it away."""
    return f"refs/candidates/{submission}"


def _conflict(conflict: Conflict) -> Refused:
    if not conflict.paths:
        step = "start from a fresh clone or `git fetch origin`, put your change on top of main, and push that commit"
        return Refused(Code.CONFLICT, "your commit has no history in common with main", "main is unchanged; your lease goes on", step)
    return Refused(
        Code.CONFLICT,
        f"your commit conflicts with main in {landing.some(conflict.paths)}",
        "main is unchanged; your lease goes on",
        "git fetch origin, merge or rebase onto the newest main, resolve, commit, and push the new commit",
    )


def _no_suite(repo: str) -> Refused:
    return Refused(Code.ORACLE_BROKEN, f"no oracle suite covers the repository {repo}", "nothing lands untested", "release the task as blocked: a person has to add [oracle.*] to harness.toml")
