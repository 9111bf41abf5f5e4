"""Oracle jobs: asked for by the gate or an agent, run by a runner elsewhere. A job belongs to nobody: who
asks the same joins it.
"""

import dataclasses
import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from mcp_server.repos import case_files
from mcp_server.store import Tx, meta
from mcp_server.store import jobs as rows
from mcp_server.store.jobs import DONE, QUEUED, RUNNING, Job
from mcp_server.use_cases.oracle import case_sets, verdicts
from mcp_server.world import World
from oracle.cases.files import BadCases
from oracle.cases.spec import Case
from oracle.suites import kinds

BROKEN_TRIES = (
    3  # a box that breaks says nothing about the change, so it is tried again before anybody hears of it
)
RUN, TEETH = (
    "run",
    "check",
)  # kinds of job: judge a tree, or judge the suite itself with planted wrong engines
# spent on making failures small before an agent reads them; the gate's own runs are not read case by case
SHRINK_S = 3.0
LOST_MS = 30_000  # a runner that has not renewed for so long is gone
NAMED_MAX = 100  # held-out files in one event
# Priorities: a landing waits for nothing but landings, and first come the runs that several of them wait for.
TRAIN, GATE, CHECK, BASELINE, ASKED, AUDIT, TIP = 110, 100, 95, 90, 50, 10, 5


@dataclass(frozen=True)
class JobRequest:
    """A run that somebody wants: `case_ids` None means every case of the suite; `nonce` makes it run whatever
    is known.

    `since_ms`: it has waited since then, and goes before what was asked for later at the same priority. `by`
    may withdraw.
    """

    suite: str
    commit: str
    priority: int
    kind: str = RUN
    case_ids: tuple[str, ...] | None = None
    nonce: str = ""
    since_ms: int | None = None
    by: str = ""


def request(world: World, wanted: JobRequest, *, again: bool = True) -> Job:
    """The job that shows what is wanted: a finished one, one under way, or a new one. A broken one is run
    `again`.

    Where the cases on main cannot be read it is broken at once, and says where.
    """
    [job] = request_all(world, [wanted], again=again)
    return job


def request_all(world: World, all_wanted: Sequence[JobRequest], *, again: bool = True) -> list[Job]:
    """The same for each of several, in their order: in one transaction, which writes only where something is
    new.
    """
    asked = [(wanted, _subject(world, wanted)) for wanted in all_wanted]

    def there(tx: Tx, subject: _Subject) -> Job | None:
        job = rows.by_key(tx, subject.key)
        return None if job is None or (again and is_broken(job)) else job

    with world.store.read() as tx:
        found = [(there(tx, subject), wanted) for wanted, subject in asked]
        known = [job for job, wanted in found if job is not None and _is_wanted(tx, job, wanted)]
    if len(known) == len(asked):
        return known
    jobs, begun = [], False
    with world.store.write() as tx:
        for wanted, subject in asked:
            if (job := there(tx, subject)) is not None:
                jobs.append(_wanted(tx, job, wanted))
            else:
                jobs.append(_begun(world, tx, wanted, subject))
                begun = True
    if begun:
        world.bell.ring()
    return jobs


def _begun(world: World, tx: Tx, wanted: JobRequest, subject: "_Subject") -> Job:
    """A new run, or one that broke again."""
    before = rows.by_key(tx, subject.key)
    known = _known(tx, wanted, subject)
    job = Job(
        id=before.id if before else rows.next_id(tx),
        key=subject.key,
        kind=wanted.kind,
        suite=wanted.suite,
        repo=world.config.suites[wanted.suite].repo,
        commit=wanted.commit,
        tree_key=subject.tree_key,
        cases_commit=subject.main,
        todo=[id for id in subject.chosen if id not in known],
        passed_before=dict.fromkeys(sorted(known), "pass"),
        priority=wanted.priority,
        state=QUEUED,
        queued_ms=wanted.since_ms or world.now_ms(),
    )
    if known and not job.todo:
        job = dataclasses.replace(
            job, state=DONE, verdict=verdicts.of_known(job, case_sets.hidden(world, job.suite, known))
        )
    (rows.put if before else rows.add)(tx, job)
    job = _wanted(tx, job, wanted)
    if subject.bad is not None:
        job = _conclude(
            world, tx, dataclasses.replace(job, attempts=1), verdicts.broken(case_sets.sentence(subject.bad))
        )
    return job


def finished(world: World, wanted: JobRequest) -> Job | None:
    """A finished run that shows what is wanted, without asking for one. A broken one shows nothing."""
    subject = _subject(world, wanted)
    with world.store.read() as tx:
        job = rows.by_key(tx, subject.key)
        follows = job is None and subject.chosen and _known(tx, wanted, subject) >= set(subject.chosen)
    if follows:
        return request(world, wanted)  # each of its cases passed before: it is done at once
    return job if job is not None and job.state == DONE and not is_broken(job) else None


@dataclass(frozen=True)
class _Subject:
    """What a run would be a run of: `key` names all of it."""

    key: str
    suite_key: str
    tree_key: str
    main: str
    chosen: list[str]
    bad: BadCases | None


def _subject(world: World, wanted: JobRequest) -> _Subject:
    suite = world.config.suites[wanted.suite]
    main = world.main(suite.repo)
    try:
        all_ids, bad = [case.id for case in case_sets.load(world, wanted.suite, main)], None
    except BadCases as unreadable:
        all_ids, bad = [], unreadable
    asked = set(all_ids if wanted.case_ids is None else wanted.case_ids)
    chosen = [id for id in all_ids if id in asked]
    # Planted engines replace the candidate of a suite with cases, so its check does not depend on the tree.
    no_tree = wanted.kind == TEETH and kinds.of(suite).cases is not None
    seen = "" if no_tree else tree_key(world, wanted.suite, wanted.commit, main)
    suite_key = case_sets.key(world, wanted.suite, main)
    key = hashlib.sha256(
        "\n".join([wanted.kind, suite_key, seen, wanted.nonce, *sorted(chosen)]).encode()
    ).hexdigest()
    return _Subject(key, suite_key, seen, main, chosen, bad)


def tree_key(world: World, suite: str, treeish: str, main: str) -> str:
    """Names what a run of the suite may read of a tree: everything, while the suite is red."""
    spec = world.config.suites[suite]
    seen = case_files.visible_key(world.repos[spec.repo], treeish, main, spec)
    return f"{seen} {world.repos[spec.repo].files.key(treeish, ('**',), ())}" if suite in world.red else seen


def forget(world: World, wanted: JobRequest, failing: set[str]) -> None:
    """What showed that these cases pass is not shown again to anybody."""
    subject = _subject(world, wanted)
    with world.store.write() as tx:
        rows.forget_pass(tx, subject.suite_key, subject.tree_key, failing)
        rows.retire(tx, subject.key)


def _known(tx: Tx, wanted: JobRequest, subject: _Subject) -> set[str]:
    """Of its cases those that passed on the same tree before."""
    return (
        set()
        if wanted.nonce or wanted.kind != RUN
        else rows.passes_on(tx, subject.suite_key, subject.tree_key) & set(subject.chosen)
    )


def is_broken(job: Job) -> bool:
    return job.state == DONE and (job.verdict is None or job.verdict["status"] == "broken")


def _is_wanted(tx: Tx, job: Job, wanted: JobRequest) -> bool:
    """Whether it is known already, where that matters."""
    return job.state == DONE or rows.is_wanted(tx, job.id, wanted.by, wanted.priority)


def _wanted(tx: Tx, job: Job, wanted: JobRequest) -> Job:
    if _is_wanted(tx, job, wanted):
        return job
    rows.want(tx, job.id, wanted.by, wanted.priority)
    return dataclasses.replace(job, priority=max(wanted.priority, job.priority))


def want_only(world: World, repo: str, by: str, ids: Collection[int]) -> None:
    """Queued jobs that only he wanted, and that are not among these, are run by nobody until somebody wants
    them again.
    """
    with world.store.write() as tx:
        rows.want_only(tx, repo, by, ids)


def get(world: World, id: int) -> Job | None:
    with world.store.read() as tx:
        return rows.get(tx, id)


def claim(world: World, runner: str) -> dict | None:
    """The next job for a runner, as JSON, or None. A job whose cases are not to be had any more is broken."""
    while (job := _taken(world, runner)) is not None:
        try:
            found = {case.id: case for case in case_sets.load(world, job.suite, job.cases_commit)}
        except BadCases as bad:
            _give_up(world, job, case_sets.sentence(bad))
            continue
        if set(job.todo) <= set(found):
            beside = set(
                kinds.together(world.config.suites[job.suite], list(found.values()), job.todo)
            ) - set(job.todo)
            return _told(
                world,
                job,
                [found[id] for id in job.todo],
                [case for id, case in found.items() if id in beside],
            )
        _give_up(world, job, "the held-out cases have changed since this was asked for")
    return None


def _taken(world: World, runner: str) -> Job | None:
    world.runners[runner] = world.steady_ms()
    with world.store.write() as tx:
        job = rows.first_queued(tx)
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


def _told(world: World, job: Job, inputs: list[Case], beside: list[Case]) -> dict:
    """`beside` are run with the job's own cases, since those mean something only together, and judged by
    nobody.
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
    return {
        "job": job.id,
        "kind": job.kind,
        "suite": suite.to_json(),
        "repo": job.repo,
        "commit": job.commit,
        "tree_key": job.tree_key,
        "cases": [case.to_json() for case in inputs],
        "beside": [case.to_json() for case in beside],
        "known_reference": {case: answers[key] for case, key in keys.items() if key in answers},
        "on_main": sorted(on_main or ()),
        "reference_key": case_files.reference_key(world.repos[job.repo], job.cases_commit, suite),
        "sources": [
            glob
            for module in world.config.modules.values()
            if module.repo == job.repo
            for glob in module.paths
        ],
        "shrink_s": SHRINK_S if job.priority == ASKED else 0,
        "deadline_s": suite.run_timeout_s,
    }


def answer_keys(world: World, job: Job, inputs: Iterable[Case]) -> dict[str, str]:
    """By case, a name for the reference's answer: of all it depends on, which is how the reference is run,
    its files and what it is given.
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
        files,
    )
    return {
        id: hashlib.sha256(repr((run, given)).encode()).hexdigest()
        for id, given in kinds.answer_inputs(suite, inputs).items()
    }


def tree(world: World, id: int) -> bytes | None:
    """The tar that a candidate's sandbox gets, or None for an unknown job."""
    job = get(world, id)
    if job is None:
        return None
    repo = world.repos[job.repo]
    return repo.files.pack(
        case_files.visible(repo, job.commit, job.cases_commit, world.config.suites[job.suite])
    )


def reference_files(world: World, id: int) -> bytes | None:
    """The tar with what the reference and the comparator of a job read, as main holds it; None for an unknown
    job.
    """
    job = get(world, id)
    return (
        case_files.reference_files(world.repos[job.repo], job.cases_commit, world.config.suites[job.suite])
        if job
        else None
    )


def renew(world: World, id: int, runner: str) -> bool:
    """Whether the runner still has the job; if not, it stops."""
    job = get(world, id)
    if job is None or job.state != RUNNING or job.runner != runner:
        return False
    world.runners[runner] = world.renewed[id] = world.steady_ms()
    return True


def slots(world: World) -> int:
    """How many runners there are: those that were heard of lately, each of which does one job at a time."""
    now_ms = world.steady_ms()
    for runner in [name for name, seen_ms in world.runners.copy().items() if now_ms - seen_ms > LOST_MS]:
        world.runners.pop(runner, None)
    return len(world.runners)


def finish(world: World, id: int, runner: str, verdict: dict, reference: dict[str, dict]) -> bool:
    """Takes a runner's verdict. False where the job is no longer that runner's: its word then counts for
    nothing.

    Raises verdicts.Unreadable.
    """
    told = verdicts.read(verdict)
    job = get(world, id)
    if job is None or job.state != RUNNING or job.runner != runner:
        return False
    suite = world.config.suites[job.suite]
    suite_key = case_sets.key(world, job.suite, job.cases_commit)
    keys = answer_keys(world, job, case_sets.load(world, job.suite, job.cases_commit)) if reference else {}
    hidden = case_sets.hidden(world, job.suite, [*job.todo, *job.passed_before])
    with world.store.write() as tx:
        job = rows.get(tx, id)
        assert job is not None
        if job.state != RUNNING or job.runner != runner:
            return False
        whole = (
            verdicts.of_check(told)
            if job.kind == TEETH
            else verdicts.of_run(job, told, by_case=kinds.of(suite).cases is not None, hidden=hidden)
        )
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
            rows.remember_answers(
                tx, {keys[case]: answer for case, answer in reference.items() if case in keys}
            )
    world.bell.ring()
    return True


def _checked(world: World, tx: Tx, job: Job, verdict: dict, suite_key: str) -> None:
    world.record(
        tx, "oracle_checked", suite=job.suite, status=verdict["status"], planted=verdict.get("planted", [])
    )
    if verdict["status"] == "passed":
        meta.put(tx, checked_name(suite_key), str(job.id))


def checked_name(suite_key: str) -> str:
    """Where it is remembered that a suite, with these cases, refused every planted engine."""
    return f"checked {suite_key}"


def reap(world: World) -> None:
    """Takes jobs back from runners that have gone silent, by a clock that nobody sets."""
    now = world.steady_ms()
    with world.store.write() as tx:
        running = rows.running(tx)
        lost = [job for job in running if now - world.renewed.setdefault(job.id, now) > LOST_MS]
        for ended in world.renewed.keys() - {job.id for job in running}:
            del world.renewed[ended]
        for job in lost:
            _broke(world, tx, job, verdicts.broken(f"runner {job.runner} fell silent"))
    if lost:
        world.bell.ring()


def take_back(world: World) -> None:
    """After a restart of the server: whatever ran may have ended unheard, so it runs again."""
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


def _broke(world: World, tx: Tx, job: Job, verdict: dict) -> None:
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


def _conclude(world: World, tx: Tx, job: Job, verdict: dict) -> Job:
    done = dataclasses.replace(job, state=DONE, verdict=verdict)
    rows.put(tx, done)
    failing = {id for id, outcome in verdict["outcomes"].items() if outcome != "pass"}
    hidden = case_sets.where(world, job.suite, case_sets.hidden(world, job.suite, failing))
    held_out = (
        {"held_out_failing": [f"{case['file']}:{case['line']}" for case in hidden[:NAMED_MAX]]}
        if hidden
        else {}
    )
    attempt = job.attempts if verdict["status"] == "broken" else job.attempts + 1
    told = {
        "status": verdict["status"],
        "reason": verdict["reason"],
        "counts": verdict["counts"],
        "attempt": attempt,
    } | held_out
    world.record(tx, "job_done", job=job.id, suite=job.suite, commit=job.commit, **told)
    return done
