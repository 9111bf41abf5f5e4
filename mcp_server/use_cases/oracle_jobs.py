"""Oracle jobs: asked for by the gate or an agent, run by a runner elsewhere. A job belongs to nobody: who asks the same joins it."""

import dataclasses
import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from fnmatch import fnmatchcase

from mcp_server import cases
from mcp_server.store import Tx, meta
from mcp_server.store import jobs as rows
from mcp_server.store.jobs import DONE, QUEUED, RUNNING, Job
from mcp_server.use_cases import verdicts
from mcp_server.world import World
from oracle.spec import Case

BROKEN_TRIES = 3  # a box that breaks says nothing about the change, so it is tried again before anybody hears of it
RUN, TEETH = "run", "check"  # kinds of job: judge a tree, or judge the suite itself with planted wrong engines
SHRINK_S = 3.0  # spent on making failures small before an agent reads them; the gate's own runs are not read case by case
LOST_MS = 30_000  # a runner that has not renewed for so long is gone
CHECK, GATE, BASELINE, ASKED, AUDIT = 95, 100, 90, 50, 10  # priorities: a landing waits for nothing but landings


@dataclass(frozen=True)
class Wanted:
    """A run that somebody wants: `case_ids` None means every case of the suite; `nonce` makes it run whatever is known."""

    suite: str
    commit: str
    priority: int
    kind: str = RUN
    case_ids: tuple[str, ...] | None = None
    nonce: str = ""


def request(world: World, wanted: Wanted, *, again: bool = True) -> Job:
    """The job that shows what is wanted: a finished one, one under way, or a new one. A broken one is run `again`."""
    suite = world.config.suites[wanted.suite]
    repo = world.repos[suite.repo]
    main = world.main(suite.repo)
    all_ids = [case.id for case in cases.load(repo, main, suite)]
    chosen = all_ids if wanted.case_ids is None else [id for id in all_ids if id in set(wanted.case_ids)]
    # Planted engines replace the candidate of a differential suite, so its check does not depend on the tree.
    no_tree = wanted.kind == TEETH and suite.kind == "differential"
    tree_key = "" if no_tree else repo.tree_key(wanted.commit, *cases.visible(suite))
    suite_key = cases.key(repo, main, suite)
    key = hashlib.sha256("\n".join([wanted.kind, suite_key, tree_key, wanted.nonce, *sorted(chosen)]).encode()).hexdigest()
    with world.store.write() as tx:
        before = rows.by_key(tx, key)
        if before is not None and not (again and is_broken(before)):
            return _hurried(tx, before, wanted.priority)
        known = set() if wanted.nonce or wanted.kind != RUN else rows.passes_on(tx, suite_key, tree_key) & set(chosen)
        job = Job(
            id=before.id if before else rows.next_id(tx),
            key=key,
            kind=wanted.kind,
            suite=wanted.suite,
            repo=suite.repo,
            commit=wanted.commit,
            tree_key=tree_key,
            cases_commit=main,
            todo=[id for id in chosen if id not in known],
            known=dict.fromkeys(sorted(known), "pass"),
            priority=wanted.priority,
            state=QUEUED,
            queued_ms=world.now_ms(),
        )
        if known and not job.todo:
            job = dataclasses.replace(job, state=DONE, verdict=verdicts.of_known(job))
        (rows.put if before else rows.add)(tx, job)
    world.bell.ring()
    return job


def is_broken(job: Job) -> bool:
    return job.state == DONE and (job.verdict is None or job.verdict["status"] == "broken")


def _hurried(tx: Tx, job: Job, priority: int) -> Job:
    if priority <= job.priority or job.state == DONE:
        return job
    job = dataclasses.replace(job, priority=priority)
    rows.put(tx, job)
    return job


def get(world: World, id: int) -> Job | None:
    with world.store.read() as tx:
        return rows.get(tx, id)


def claim(world: World, runner: str) -> dict | None:
    """The next job for a runner, as JSON, or None."""
    with world.store.write() as tx:
        job = rows.first_queued(tx)
        if job is None:
            return None
        job = dataclasses.replace(job, state=RUNNING, runner=runner, renewed_ms=world.now_ms())
        rows.put(tx, job)
        world.record(tx, "job_started", job=job.id, suite=job.suite, commit=job.commit, runner=runner, cases=len(job.todo))
    suite = world.config.suites[job.suite]
    todo = set(job.todo)
    inputs = [case for case in cases.load(world.repos[job.repo], job.cases_commit, suite) if case.id in todo]
    with world.store.read() as tx:
        answers = rows.answers(tx, [answer_key(world, job, case) for case in inputs])
    return {
        "job": job.id,
        "kind": job.kind,
        "suite": suite.to_json(),
        "repo": job.repo,
        "commit": job.commit,
        "tree_key": job.tree_key,
        "cases": [case.to_json() for case in inputs],
        "known_reference": {case.id: answers[found] for case in inputs if (found := answer_key(world, job, case)) in answers},
        "sources": [glob for module in world.config.modules.values() if module.repo == job.repo for glob in module.paths],
        "shrink_s": SHRINK_S if job.priority == ASKED else 0,
        "deadline_s": suite.run_timeout_s,
    }


def answer_key(world: World, job: Job, case: Case) -> str:
    """Names a reference answer by what it depends on: the reference's command and packages, and the input."""
    suite = world.config.suites[job.suite]
    return hashlib.sha256(repr((suite.reference, suite.reference_packages, suite.image, case.input)).encode()).hexdigest()


def tree(world: World, id: int) -> bytes | None:
    """The tar that a candidate's sandbox gets, or None for an unknown job."""
    job = get(world, id)
    return world.repos[job.repo].archive(job.commit, *cases.visible(world.config.suites[job.suite])) if job else None


def renew(world: World, id: int, runner: str) -> bool:
    """Whether the runner still has the job; if not, it stops."""
    with world.store.write() as tx:
        job = rows.get(tx, id)
        if job is None or job.state != RUNNING or job.runner != runner:
            return False
        rows.put(tx, dataclasses.replace(job, renewed_ms=world.now_ms()))
    return True


def finish(world: World, id: int, runner: str, verdict: dict, reference: dict[str, dict]) -> bool:
    """Takes a runner's verdict. False where the job is no longer that runner's: its word then counts for nothing.

    Raises verdicts.Unreadable.
    """
    told = verdicts.read(verdict)
    job = get(world, id)
    if job is None:
        return False
    suite = world.config.suites[job.suite]
    repo = world.repos[job.repo]
    suite_key = cases.key(repo, job.cases_commit, suite)
    inputs = {case.id: case for case in cases.load(repo, job.cases_commit, suite)} if reference else {}
    with world.store.write() as tx:
        job = rows.get(tx, id)
        assert job is not None
        if job.state != RUNNING or job.runner != runner:
            return False
        whole = verdicts.of_check(told) if job.kind == TEETH else verdicts.of_run(job, told, differential=suite.kind == "differential")
        if whole["status"] == "broken":
            _broke(world, tx, job, whole)
        else:
            _conclude(world, tx, job, whole)
            if job.kind == TEETH:
                _checked(world, tx, job, whole, suite_key)
            else:
                passed = {case for case, outcome in told.outcomes.items() if outcome == "pass"}
                rows.remember_passes(tx, suite_key, job.tree_key, passed)
                rows.forget_pass(tx, suite_key, job.tree_key, set(told.outcomes) - passed)
            rows.remember_answers(tx, {answer_key(world, job, inputs[case]): answer for case, answer in reference.items() if case in inputs})
    world.bell.ring()
    return True


def _checked(world: World, tx: Tx, job: Job, verdict: dict, suite_key: str) -> None:
    world.record(tx, "oracle_checked", suite=job.suite, status=verdict["status"], planted=verdict.get("planted", []))
    if verdict["status"] == "passed":
        meta.put(tx, checked_name(suite_key), str(job.id))


def checked_name(suite_key: str) -> str:
    """Where it is remembered that a suite, with these cases, refused every planted engine."""
    return f"checked {suite_key}"


def reap(world: World) -> None:
    """Takes jobs back from runners that have gone silent."""
    now = world.now_ms()
    with world.store.write() as tx:
        for job in rows.running(tx):
            if now - (job.renewed_ms or 0) > LOST_MS:
                _broke(world, tx, job, verdicts.broken(f"runner {job.runner} fell silent"))


def take_back(world: World) -> None:
    """After a restart of the server: whatever ran may have ended unheard, so it runs again."""
    with world.store.write() as tx:
        for job in rows.running(tx):
            rows.put(tx, dataclasses.replace(job, state=QUEUED, runner=None))


def _broke(world: World, tx: Tx, job: Job, verdict: dict) -> None:
    attempts = job.attempts + 1
    if attempts < BROKEN_TRIES:
        rows.put(tx, dataclasses.replace(job, state=QUEUED, runner=None, attempts=attempts))
        world.record(tx, "job_done", job=job.id, suite=job.suite, status="broken", reason=verdict["reason"], retried=True)
    else:
        _conclude(world, tx, dataclasses.replace(job, attempts=attempts), verdict)


def _conclude(world: World, tx: Tx, job: Job, verdict: dict) -> None:
    rows.put(tx, dataclasses.replace(job, state=DONE, verdict=verdict))
    world.record(tx, "job_done", job=job.id, suite=job.suite, commit=job.commit, status=verdict["status"], reason=verdict["reason"], counts=verdict["counts"])


def named(world: World, suite: str, globs: Collection[str]) -> tuple[str, ...]:
    """The ids of the cases that `globs` name on main."""
    found = cases.load(world.repos[world.config.suites[suite].repo], world.main(world.config.suites[suite].repo), world.config.suites[suite])
    return tuple(case.id for case in found if any(fnmatchcase(case.id, glob) for glob in globs))
