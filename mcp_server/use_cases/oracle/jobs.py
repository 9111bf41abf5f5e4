"""Oracle jobs: asked for by the gate or an agent, run by a runner elsewhere.

Rule: a job belongs to nobody; who asks the same joins it. What a job shows was shown by one run of all its
cases: no outcome is taken over from another run.
"""

import dataclasses
import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mcp_server.core import landing, tree_size
from mcp_server.repos import case_files
from mcp_server.repos.process import GitOutputTooLarge
from mcp_server.repos.trees import HostileTree
from mcp_server.store import Tx, meta
from mcp_server.store import jobs as rows
from mcp_server.store.jobs import DONE, QUEUED, RUNNING, Job
from mcp_server.use_cases.oracle import case_sets, suite_images, verdicts
from mcp_server.wire.jobs import JobOrder, JobResult
from mcp_server.world import World
from oracle.cases.files import BadCases
from oracle.cases.spec import Case
from oracle.judging.answer import Answer
from oracle.judging.verdict import SKIP
from oracle.suites import kinds

# A box that breaks says nothing about the change, so it is tried again before anybody hears of it.
BROKEN_TRIES = 3
# What verdicts say. A run whose verdict says less stands for nothing that is asked now.
VERDICTS = "with contradictions"
# Kinds of job: judge a tree, or judge the suite itself with planted wrong engines.
RUN, TEETH = "run", "check"
# Spent on making failures small before an agent reads them; the gate's own runs are not read case by case.
SHRINK_S = 3.0
LOST_MS = 30_000  # a job that was not renewed for so long is lost
NAMED_MAX = 100  # held-out files in one event
# Priorities: a landing waits for nothing but landings, and first come the runs that several of them wait for.
TRAIN, GATE, CHECK, BASELINE, ASKED, AUDIT, TIP = 110, 100, 95, 90, 50, 10, 5


@dataclass(frozen=True)
class JobRequest:
    """A run that somebody wants. `case_ids` None means every case of the suite; `nonce` makes it run whatever
    is known.

    `since_ms`: it has waited since then, and goes before what was asked for later at the same priority. Who
    it is wanted `by` may withdraw it. Without `held_out`, no such case is among them.
    """

    suite: str
    commit: str
    priority: int
    kind: str = RUN
    case_ids: tuple[str, ...] | None = None
    nonce: str = ""
    since_ms: int | None = None
    by: str = ""
    held_out: bool = True


def request(world: World, request: JobRequest, *, again: bool = True) -> Job:
    """Return the job that shows what is wanted: a finished one, one under way, or a new one. A broken one is
    run `again`.

    If the cases on main cannot be read it is broken at once, and says where.
    """
    [job] = request_all(world, [request], again=again)
    return job


def request_all(world: World, requests: Sequence[JobRequest], *, again: bool = True) -> list[Job]:
    """Return the same for each of several, in their order. One transaction writes whatever is new; without
    any news nothing is written.
    """
    subjects = [(request, _subject(world, request)) for request in requests]

    def existing(tx: Tx, subject: _Subject) -> Job | None:
        job = rows.by_key(tx, _standing_key(world, tx, subject))
        return None if job is None or (again and is_broken(job)) else job

    with world.store.read() as tx:
        found = [(request, existing(tx, subject)) for request, subject in subjects]
        settled = [job for request, job in found if job is not None and _is_wanted(tx, job, request)]
    if len(settled) == len(subjects):
        return settled
    jobs, has_new = [], False
    with world.store.write() as tx:
        for request, subject in subjects:
            if (job := existing(tx, subject)) is not None:
                jobs.append(_want(tx, job, request))
            else:
                jobs.append(_enqueue(world, tx, request, subject))
                has_new = True
    if has_new:
        world.bell.ring()
    return jobs


def _enqueue(world: World, tx: Tx, request: JobRequest, subject: "_Subject") -> Job:
    """Queue a new run, or one that broke again, and return its job."""
    key = _standing_key(world, tx, subject)
    before = rows.by_key(tx, key)
    job = Job(
        id=before.id if before else rows.next_id(tx),
        key=key,
        kind=request.kind,
        suite=request.suite,
        repo=world.config.suites[request.suite].repo,
        commit=request.commit,
        tree_key=subject.tree_key,
        cases_commit=subject.main,
        todo=subject.chosen,
        priority=request.priority,
        state=QUEUED,
        queued_ms=request.since_ms or world.now_ms(),
    )
    (rows.put if before else rows.add)(tx, job)
    job = _want(tx, job, request)
    if subject.bad is not None:
        tried = dataclasses.replace(job, attempts=1)
        job = _conclude(world, tx, tried, verdicts.broken(case_sets.sentence(subject.bad)))
    return job


def finished(world: World, request: JobRequest) -> Job | None:
    """Return a finished run that shows what is wanted, without asking for one; None if there is none. A
    broken one shows nothing.
    """
    subject = _subject(world, request)
    with world.store.read() as tx:
        job = rows.by_key(tx, _standing_key(world, tx, subject))
    return job if job is not None and job.state == DONE and not is_broken(job) else None


@dataclass(frozen=True)
class _Subject:
    """What a run would be a run of: `base_key` names all of it but the images. `bad` are cases that cannot
    be read.

    `exempt` cases count for nothing. `is_afresh`: it is wanted whatever is known, so that it is held against
    no other run.
    """

    suite: str
    base_key: str
    cases_key: str
    tree_key: str
    main: str
    chosen: list[str]
    bad: BadCases | None
    exempt: frozenset[str]
    is_afresh: bool

    def key(self, world: World, *, once_more: bool = False) -> str:
        """Return what the run is known by in the images in force; in a write transaction those stay.

        `once_more`: the run that decides where an earlier one is contradicted.
        """
        base_key = f"{self.base_key} once more" if once_more else self.base_key
        return case_sets.with_image(world, self.suite, base_key)

    def suite_key(self, world: World) -> str:
        """Return what failures of the suite are remembered by, in the images in force."""
        return case_sets.with_image(world, self.suite, self.cases_key)


def _subject(world: World, request: JobRequest) -> _Subject:
    suite = world.config.suites[request.suite]
    main = world.main(suite.repo)
    try:
        cases, bad = case_sets.load(world, request.suite, main), None
    except BadCases as unreadable:
        cases, bad = [], unreadable
    all_ids = [case.id for case in cases if request.held_out or not case.hidden]
    named = set(all_ids if request.case_ids is None else request.case_ids)
    chosen = [id for id in all_ids if id in named]
    # Planted engines replace the candidate of a suite with cases, so its check does not depend on the tree.
    no_tree = request.kind == TEETH and kinds.of(suite).cases is not None
    visible = "" if no_tree else tree_key(world, request.suite, request.commit, main)
    cases_key = case_sets.key(world, request.suite, main)
    parts = [VERDICTS, request.kind, cases_key, visible, request.nonce, *sorted(chosen)]
    key = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    return _Subject(
        request.suite,
        key,
        cases_key,
        visible,
        main,
        chosen,
        bad,
        exempt=landing.exempt(suite.flaky, world.today()),
        is_afresh=request.kind != RUN or bool(request.nonce),
    )


def _standing_key(world: World, tx: Tx, subject: _Subject) -> str:
    """Return the key of the run that stands for this subject.

    A run that passes a case which another one saw fail on the same tree stands for nothing: the subject is
    run once more, and that run decides.
    """
    key = subject.key(world)
    if subject.is_afresh:
        return key
    failed = rows.failures_on(tx, subject.suite_key(world), subject.tree_key) - subject.exempt
    job = rows.by_key(tx, key) if failed else None
    if job is None or job.state != DONE or job.verdict is None:
        return key
    outcomes = job.verdict["outcomes"]
    is_contradicted = any(outcomes.get(case) == "pass" for case in failed)
    return subject.key(world, once_more=True) if is_contradicted else key


def tree_key(world: World, suite: str, treeish: str, main: str) -> str:
    """Return a name for what a run of the suite may read of a tree: everything, while the suite is red."""
    spec = world.config.suites[suite]
    repo = world.repos[spec.repo]
    visible = case_files.visible_key(repo, treeish, main, spec)
    if suite not in world.red:
        return visible
    return f"{visible} {repo.files.key(treeish, ('**',), ())}"


def forget(world: World, request: JobRequest) -> None:
    """Let nobody be shown again what earlier runs have shown of this."""
    subject = _subject(world, request)
    with world.store.write() as tx:
        rows.retire(tx, subject.key(world))
        rows.retire(tx, subject.key(world, once_more=True))


def is_broken(job: Job) -> bool:
    """Return True if a job has ended without saying anything about its tree."""
    return job.state == DONE and (job.verdict is None or job.verdict["status"] == "broken")


def is_outdated(world: World, job: Job) -> bool:
    """Return True if a job was run in images that are not in force any more."""
    return job.image != world.images.get(job.suite, "")


def _is_wanted(tx: Tx, job: Job, request: JobRequest) -> bool:
    """Return True if the wish for a job is written down already, or does not matter any more."""
    return job.state == DONE or rows.is_wanted(tx, job.id, request.by, request.priority)


def _want(tx: Tx, job: Job, request: JobRequest) -> Job:
    """Write down who wants a job, and return it at the priority that it then has."""
    if _is_wanted(tx, job, request):
        return job
    rows.want(tx, job.id, request.by, request.priority)
    return dataclasses.replace(job, priority=max(request.priority, job.priority))


def want_only(world: World, repo: str, by: str, ids: Collection[int]) -> None:
    """Withdraw the wish of `by` for all queued jobs but these: what nobody else wants is run by nobody until
    somebody wants it again.
    """
    with world.store.write() as tx:
        rows.want_only(tx, repo, by, ids)


def get(world: World, id: int) -> Job | None:
    """Return a job by its id."""
    with world.store.read() as tx:
        return rows.get(tx, id)


def claim(world: World, runner: str, runner_images: Mapping[str, str] | None = None) -> JobOrder | None:
    """Return the next job for a runner with these images, or None. A job whose cases are not to be had any
    more is broken.
    """
    runner_images = runner_images or {}
    suite_images.hear(world, runner, runner_images)
    while (job := _take(world, runner, but=suite_images.unfit(world, runner_images))) is not None:
        try:
            found = {case.id: case for case in case_sets.load(world, job.suite, job.cases_commit)}
        except BadCases as bad:
            _give_up(world, job, case_sets.sentence(bad))
            continue
        todo = set(job.todo)
        if todo <= set(found):
            beside = (
                set(kinds.together(world.config.suites[job.suite], list(found.values()), job.todo)) - todo
            )
            return _job_order(
                world,
                job,
                [case for id, case in found.items() if id in todo],
                [case for id, case in found.items() if id in beside],
            )
        _give_up(world, job, "the held-out cases have changed since this was asked for")
    return None


def _take(world: World, runner: str, *, but: Collection[str]) -> Job | None:
    """Give a runner the first job of the queue that is of no suite `but`, and return it; None if there is
    none.
    """
    with world.store.write() as tx:
        job = rows.first_queued(tx, but=but)
        if job is None:
            return None
        job = dataclasses.replace(job, state=RUNNING, runner=runner)
        rows.put(tx, job)
        world.renewed[job.id] = world.steady_ms()
        world.record(
            tx,
            "job_started",
            job=job.id,
            suite=job.suite,
            commit=job.commit,
            runner=runner,
            cases=len(job.todo),
        )
    return job


def _give_up(world: World, job: Job, reason: str) -> None:
    with world.store.write() as tx:
        _conclude(world, tx, dataclasses.replace(job, attempts=job.attempts + 1), verdicts.broken(reason))
    world.bell.ring()


def _job_order(world: World, job: Job, inputs: list[Case], beside: list[Case]) -> JobOrder:
    """Return what a runner is to do. `beside` are run with the job's own cases, since those mean something
    only together, and judged by nobody.
    """
    suite = world.config.suites[job.suite]
    keys = answer_keys(world, job, [*inputs, *beside])
    with world.store.read() as tx:
        answers = rows.answers(tx, list(keys.values()))
        # What main runs must run here too; of differential suites the cases say so.
        on_main = (
            rows.baseline(tx, case_sets.spec_key(world, job.suite), job.cases_commit)
            if kinds.of(suite).cases is None
            else None
        )
    modules = [module for module in world.config.modules.values() if module.repo == job.repo]
    return JobOrder(
        job=job.id,
        kind=job.kind,
        suite=suite,
        repo=job.repo,
        commit=job.commit,
        tree_key=job.tree_key,
        cases=tuple(inputs),
        beside=tuple(beside),
        known_reference={
            case: Answer.from_json(answers[key]) for case, key in keys.items() if key in answers
        },
        on_main=tuple(sorted(case for case, outcome in (on_main or {}).items() if outcome != SKIP)),
        reference_key=case_files.reference_key(world.repos[job.repo], job.cases_commit, suite),
        sources=tuple(glob for module in modules for glob in module.paths),
        shrink_s=SHRINK_S if job.priority == ASKED else 0,
        deadline_s=suite.run_timeout_s,
    )


def answer_keys(world: World, job: Job, inputs: Iterable[Case]) -> dict[str, str]:
    """Return, by case, a name for the reference's answer: of all it depends on, which is how the reference is
    run, its files and what it is given.
    """
    suite = world.config.suites[job.suite]
    files = case_files.reference_key(world.repos[job.repo], job.cases_commit, suite)
    run = (
        suite.reference,
        suite.reference_packages,
        suite.image,
        sorted(suite.env.items()),
        suite.separator,
        suite.null,
        suite.reference_exit,
        files,
        *([image] if (image := world.images.get(job.suite)) else ()),
    )
    return {
        id: hashlib.sha256(repr((run, given)).encode()).hexdigest()
        for id, given in kinds.answer_inputs(suite, inputs).items()
    }


def tree(world: World, id: int) -> bytes | None:
    """Return the tar that a candidate's sandbox gets; None for an unknown job, and for one whose files no box
    can be given. That one is given up, and says why.
    """
    job = get(world, id)
    if job is None:
        return None
    repo, suite = world.repos[job.repo], world.config.suites[job.suite]
    try:
        return case_files.visible_tar(repo, job.commit, job.cases_commit, suite)
    except GitOutputTooLarge:
        size = repo.objects.tree_bytes(job.commit, suite.reads) // tree_size.MIB
        reason = f"the tree has {size:,} MiB, and a box can be given {tree_size.TREE_MIB_MOST} MiB"
    except HostileTree as hostile:
        reason = f"the tree holds what no box can be given: {hostile}"
    if job.state == RUNNING:
        _give_up(world, job, reason)
    return None


def reference_files(world: World, id: int) -> bytes | None:
    """Return the tar with what the reference and the comparator of a job read, as main holds it; None for an
    unknown job.
    """
    job = get(world, id)
    return (
        case_files.reference_files(world.repos[job.repo], job.cases_commit, world.config.suites[job.suite])
        if job
        else None
    )


def renew(world: World, id: int, runner: str) -> bool:
    """Return True if the runner still has the job; if not, it stops."""
    job = get(world, id)
    if job is None or job.state != RUNNING or job.runner != runner:
        return False
    world.runners[runner] = world.renewed[id] = world.steady_ms()
    return True


def slots(world: World) -> int:
    """Return how many runners were heard of lately. Each does one job at a time."""
    return len(suite_images.live(world))


def finish(world: World, id: int, result: JobResult) -> bool:
    """Take a runner's result. Return False if the job is no longer that runner's: the result then counts for
    nothing.

    Raise verdicts.UnreadableVerdict.
    """
    reported, runner, reference = result.verdict, result.runner, result.reference
    verdicts.check(reported)
    job = get(world, id)
    if job is None or job.state != RUNNING or job.runner != runner:
        return False
    suite = world.config.suites[job.suite]
    cases_key = case_sets.key(world, job.suite, job.cases_commit)
    keys = answer_keys(world, job, case_sets.load(world, job.suite, job.cases_commit)) if reference else {}
    hidden = case_sets.hidden(world, job.suite, job.todo)
    with world.store.write() as tx:
        job = rows.get(tx, id)
        assert job is not None
        if job.state != RUNNING or job.runner != runner:
            return False
        if result.image and result.image != job.image:
            _put_back(world, tx, job, result.image)
            return True
        suite_key = case_sets.with_image(world, job.suite, cases_key)
        verdict = (
            verdicts.of_check(reported)
            if job.kind == TEETH
            else verdicts.of_run(job, reported, by_case=kinds.of(suite).cases is not None, hidden=hidden)
        )
        if verdict["status"] != "broken" and result.image != job.image:
            verdict = verdicts.broken("the runner does not say in which images it ran this")
        if verdict["status"] == "broken":
            _retry(world, tx, job, verdict)
        else:
            _conclude(world, tx, job, verdict)
            if job.kind == TEETH:
                _record_check(world, tx, job, verdict, suite_key)
            else:
                failed = {case for case, outcome in reported.outcomes.items() if outcome != "pass"}
                rows.remember_failures(tx, suite_key, job.tree_key, failed)
            rows.remember_answers(
                tx, {keys[case]: answer.to_json() for case, answer in reference.items() if case in keys}
            )
    world.bell.ring()
    return True


def _record_check(world: World, tx: Tx, job: Job, verdict: dict[str, Any], suite_key: str) -> None:
    world.record(
        tx, "oracle_checked", suite=job.suite, status=verdict["status"], planted=verdict.get("planted", [])
    )
    if verdict["status"] == "passed":
        meta.put(tx, checked_name(suite_key), str(job.id))


def checked_name(suite_key: str) -> str:
    """Return the name under which it is kept that a suite, with these cases, refused every planted engine."""
    return f"checked {suite_key}"


def reap(world: World) -> None:
    """Take jobs back from runners that have gone silent, by a clock that nobody sets."""
    now = world.steady_ms()
    with world.store.write() as tx:
        running = rows.running(tx)
        lost = [job for job in running if now - world.renewed.setdefault(job.id, now) > LOST_MS]
        for ended in world.renewed.keys() - {job.id for job in running}:
            del world.renewed[ended]
        for job in lost:
            _retry(world, tx, job, verdicts.broken(f"runner {job.runner} fell silent"))
    if lost:
        world.bell.ring()


def take_back(world: World) -> None:
    """Queue again, after a restart of the server, whatever ran: it may have ended unheard."""
    with world.store.write() as tx:
        for job in rows.running(tx):
            rows.put(tx, dataclasses.replace(job, state=QUEUED, runner=None))
            world.record(
                tx,
                "job_taken_back",
                job=job.id,
                suite=job.suite,
                runner=job.runner,
                reason="the server was restarted",
            )


def _put_back(world: World, tx: Tx, job: Job, image: str) -> None:
    """Queue a job again that was run in other images than it is a run of. That is no fault of the run, and
    counts as no try.
    """
    rows.put(tx, dataclasses.replace(job, state=QUEUED, runner=None))
    happened = f"it was run in {suite_images.short(image)}, and {suite_images.short(job.image)} is in force"
    world.record(tx, "job_taken_back", job=job.id, suite=job.suite, runner=job.runner, reason=happened)


def _retry(world: World, tx: Tx, job: Job, verdict: dict[str, Any]) -> None:
    """Queue a job whose run broke once more, or conclude it after the last try."""
    attempts = job.attempts + 1
    if attempts < BROKEN_TRIES:
        rows.put(tx, dataclasses.replace(job, state=QUEUED, runner=None, attempts=attempts))
        world.record(
            tx,
            "job_done",
            job=job.id,
            suite=job.suite,
            status="broken",
            reason=verdict["reason"],
            attempt=attempts,
            retried=True,
        )
    else:
        _conclude(world, tx, dataclasses.replace(job, attempts=attempts), verdict)


def _conclude(world: World, tx: Tx, job: Job, verdict: dict[str, Any]) -> Job:
    """Write a job as done with its verdict, and return it. Held-out cases that fail are named for people
    alone.
    """
    concluded = dataclasses.replace(job, state=DONE, verdict=verdict)
    rows.put(tx, concluded)
    failing = {id for id, outcome in verdict["outcomes"].items() if outcome != "pass"}
    hidden = case_sets.where(world, job.suite, case_sets.hidden(world, job.suite, failing))
    more: dict[str, Any] = {}
    if hidden:
        more["held_out_failing"] = [f"{case['file']}:{case['line']}" for case in hidden[:NAMED_MAX]]
    world.record(
        tx,
        "job_done",
        job=job.id,
        suite=job.suite,
        commit=job.commit,
        status=verdict["status"],
        reason=verdict["reason"],
        counts=verdict["counts"],
        attempt=job.attempts if verdict["status"] == "broken" else job.attempts + 1,
        **more,
    )
    return concluded
