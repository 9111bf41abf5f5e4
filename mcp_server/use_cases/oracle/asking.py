"""`run_oracle`: starts or joins the runs that show how a commit does, and tells their result briefly."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from mcp_server.core import case_globs, landing, tree_size
from mcp_server.core.lease import Lease
from mcp_server.core.principal import Principal
from mcp_server.core.refusal import Code, Refused
from mcp_server.core.task import Task
from mcp_server.repos import case_files
from mcp_server.repos.process import GitOutputTooLarge
from mcp_server.store import Tx
from mcp_server.store import jobs as job_rows
from mcp_server.store import leases as lease_rows
from mcp_server.store import tasks as task_rows
from mcp_server.store.jobs import Job
from mcp_server.use_cases import leasing
from mcp_server.use_cases.oracle import against_main, baseline, case_sets, pace, red, scopes
from mcp_server.use_cases.oracle import jobs as oracle_jobs
from mcp_server.use_cases.oracle.against_main import AskedRun
from mcp_server.world import World
from oracle.judging import report
from oracle.judging.verdict import Verdict

ANSWER_CHARS_MAX = 4_000  # of a whole answer as JSON, whatever the number of suites
MORE = (
    "run_oracle(cases=['ID']) shows one case with more of its outputs, "
    "run_oracle(cases=['GROUP/*']) a group; read_progress lists the failing groups"
)
FLAKY_CHARS_MAX = 400
RED_CHARS_MAX = 400
SLOWER_CHARS_MAX = 300
GLOBS_MAX = 200  # of one call: each is held against every case
FREE_CHARS_MAX = 400
REFUSED_CHARS_MAX = 600
NEXT = {
    "passed": "push it",
    "failed": "fix the failures shown (run_oracle(cases=[...]) runs single ones), commit, run again",
    "broken": "this says nothing about your change: call again; if it goes on, release the task as blocked",
}


@dataclass(frozen=True)
class OracleRequest:
    """What a caller asked for; `cases` are globs over case ids and win over `scope`."""

    fence: int | None
    commit: str | None
    scope: str
    cases: tuple[str, ...]


@dataclass(frozen=True)
class Started:
    """The runs that a call asked for or joined: job ids by suite, the commit that they are of, and the task
    that names cases.
    """

    jobs: dict[str, int]
    commit: str
    task: Task | None = None


def start(world: World, who: Principal, request: OracleRequest) -> Started | Refused:
    """Ask for one run per suite concerned, and return their jobs."""
    with world.store.write() as tx:
        lease = _lease(world, tx, who, request.fence)
        if isinstance(lease, Refused):
            return lease
        task = task_rows.get(tx, lease.task) if lease else None
    repo = lease.repo if lease else next(iter(world.repos))
    commit = request.commit or (lease.head if lease else None)
    if commit is None:
        return Refused(
            Code.COMMIT_UNKNOWN,
            "you have uploaded no commit under this lease",
            "nothing was run",
            "commit, or name a commit that the server has",
        )
    if refusal := _unfit(world, who, repo, commit, request.cases):
        return refusal
    chosen = scopes.chosen(world, who.name, repo, task, scope=request.scope, entries=request.cases)
    if not chosen:
        return Refused(
            Code.BAD_REQUEST,
            "no oracle case matches",
            "nothing was run",
            "use scope='full', or case globs such as 'group/*'",
        )
    requests = [
        oracle_jobs.JobRequest(name, commit, oracle_jobs.ASKED, case_ids=ids, held_out=False)
        for name, ids in chosen.items()
    ]
    jobs = oracle_jobs.request_all(world, requests)
    return Started({name: job.id for name, job in zip(chosen, jobs, strict=True)}, commit, task)


def _lease(world: World, tx: Tx, who: Principal, fence: int | None) -> Lease | Refused | None:
    """Return the caller's live lease with that fence, or any without one; None if it holds none."""
    own = [lease for lease in leasing.live(world, tx) if lease.agent == who.name]
    lease = next((lease for lease in own if fence in (None, lease.fence)), None)
    if fence is None or lease is not None:
        return lease
    earlier = lease_rows.get(tx, fence)
    was_own = earlier is not None and earlier.agent == who.name
    return Refused(
        Code.STALE_FENCE if was_own else Code.NOT_LEASED,
        f"fence {fence} is not a live lease of yours",
        "nothing was run",
        "claim_task() first, or leave fence out and give commit",
    )


def _unfit(world: World, who: Principal, repo: str, commit: str, entries: tuple[str, ...]) -> Refused | None:
    """Return why nothing of that commit can be run; None if it can."""
    commits = world.repos[repo].commits
    if commits.resolve(commit) != commit or not commits.agent_has(who.name, commit):
        return Refused(
            Code.COMMIT_UNKNOWN,
            f"the server has no commit {commit[:40]} of yours",
            "nothing was run",
            f"git push origin HEAD:refs/agents/{who.name}/work, then call again with the full id",
        )
    if problem := _wrong_globs(entries, world.suites_of(repo)):
        return Refused(
            Code.BAD_REQUEST,
            problem,
            "nothing was run",
            "call again with case globs, or SUITE:GLOB for one suite",
        )
    try:
        return _too_large(world, repo, commit) or _no_files(world, repo, commit)
    except GitOutputTooLarge as wrong:
        return Refused(
            Code.TOO_LARGE,
            f"the tree of that commit is too large: {wrong}",
            "nothing was run",
            "run a smaller one",
        )


def _too_large(world: World, repo: str, commit: str) -> Refused | None:
    """Return the refusal of a commit that could not land since it would make main too large."""
    objects, main = world.repos[repo].objects, world.main(repo)
    limits, grown = world.config.repos[repo].size_limits, objects.grown(objects.diff(main, commit))
    size = objects.tree_bytes(commit, scopes.read_by_any(world, repo))
    return tree_size.refusal(limits, size, grown)


def _no_files(world: World, repo: str, commit: str) -> Refused | None:
    """Return the refusal of a tree that holds what is no file. A sandbox gets nothing but files, and here the
    agent can be told.
    """
    main, suites = world.main(repo), world.suites_of(repo)
    hazards = [
        hazard
        for name in suites
        for hazard in case_files.unpackable(world.repos[repo], commit, main, world.config.suites[name])
    ]
    if not hazards:
        return None
    named = landing.some(dict.fromkeys(f"{hazard.path} ({hazard.kind})" for hazard in hazards))
    return Refused(
        Code.PROTECTED_PATH,
        f"that commit holds what cannot be handed out as files: {named}",
        "nothing was run",
        "take it out of your commits and run again",
    )


def _wrong_globs(entries: tuple[str, ...], suites: list[str]) -> str | None:
    """Return what is wrong with the cases that a call names, as a sentence; None if nothing is."""
    if len(entries) > GLOBS_MAX:
        return f"{len(entries)} globs are more than the {GLOBS_MAX} that one call may have"
    unknown = [name for name in case_globs.suites_in(entries) if name not in suites]
    if not unknown:
        return None
    return f"there is no suite {unknown[0]!r} for this repository; there are {', '.join(suites)}"


def answer(world: World, started: Started) -> dict[str, Any]:
    """Return counts first, then what changed against main, then the smallest failing cases."""
    with world.store.read() as tx:
        jobs = {name: job_rows.get(tx, id) for name, id in started.jobs.items()}
    existing = {name: job for name, job in jobs.items() if job is not None}
    if any(job.state != job_rows.DONE for job in existing.values()):
        return {
            "status": "running",
            "jobs": started.jobs,
            "next": "call run_oracle again with the same arguments to wait",
        }
    verdicts = {
        name: Verdict.from_json(job.verdict) for name, job in existing.items() if job.verdict is not None
    }
    exempt = {name: _failing_and_exempt(world, name, verdict) for name, verdict in verdicts.items()}
    decided = _decided(world, started, existing)
    statuses = {name: _status(verdict, decided.get(name)) for name, verdict in verdicts.items()}
    status = next(word for word in ("broken", "failed", "passed") if word in statuses.values())
    answered: dict[str, Any] = {
        "status": status,
        "commit": started.commit,
        "suites": {},
        "next": NEXT[status],
    }
    if status == "failed":
        answered["more"] = MORE
    answered |= _about_push(decided.values())
    if reds := [words for name in existing if (words := red.sentence(world, name))]:
        answered["main_red"] = "; ".join(reds)[:RED_CHARS_MAX]
    if slower := _slower(world, existing.values()):
        answered["slower"] = slower[:SLOWER_CHARS_MAX]
    visible = {
        name: replace(_visible(world, name, verdict), status=statuses[name])
        for name, verdict in verdicts.items()
    }
    if flaky := _flaky(visible, exempt):
        answered["flaky"] = flaky
    on_main = {name: baseline.of_main(world, name) for name in visible}
    chars = ANSWER_CHARS_MAX - len(report.encode(answered))
    answered["suites"] = report.suites(visible, on_main=on_main, chars=chars)
    return answered


def _slower(world: World, jobs: Iterable[Job]) -> str:
    """Return in words which whole runs take much longer than main's; "" if none does."""
    with world.store.read() as tx:
        return "; ".join(words for job in jobs if (words := pace.slower(world, tx, job)))


def _visible(world: World, suite: str, verdict: Verdict) -> Verdict:
    """Return a verdict without what only people may see."""
    hidden = case_sets.hidden(world, suite, verdict.outcomes)
    outcomes = {case: outcome for case, outcome in verdict.outcomes.items() if case not in hidden}
    return replace(verdict, outcomes=outcomes, reason=case_sets.reason(world, suite, verdict.reason))


def _failing_and_exempt(world: World, suite: str, verdict: Verdict) -> set[str]:
    """Return the cases that fail and count for nothing today."""
    return verdict.failing() & landing.exempt(world.config.suites[suite].flaky, world.today())


def _flaky(visible: Mapping[str, Verdict], exempt: Mapping[str, set[str]]) -> str | None:
    """Return a sentence about failing cases that count for nothing; None if there are none to be seen."""
    named = []
    for name, verdict in visible.items():
        named += [f"{name}:{case}" for case in sorted(exempt[name] & verdict.outcomes.keys())]
    if not named:
        return None
    sentence = (
        f"{len(named)} failing cases are known to be flaky and count for nothing: {landing.some(named)}"
    )
    return sentence[:FLAKY_CHARS_MAX]


def _decided(world: World, started: Started, jobs: Mapping[str, Job]) -> dict[str, AskedRun]:
    """Return what the gate would decide by of each run, but for broken ones and those of suites that main has
    not been measured by.
    """
    decided = {}
    with world.store.read() as tx:
        for name, job in jobs.items():
            on_main = against_main.record(world, tx, name, world.main(job.repo))
            if on_main is not None and not oracle_jobs.is_broken(job):
                tasks = [started.task] if started.task else []
                decided[name] = against_main.of_asked_run(world, job, on_main, tasks)
    return decided


def _status(verdict: Verdict, decided: AskedRun | None) -> str:
    """Return the status that the gate would go by."""
    if decided is None:
        return verdict.status
    return "failed" if landing.ratchet([decided.suite]) else "passed"


def _about_push(runs: Collection[AskedRun]) -> dict[str, str]:
    """Return what the gate would say of such a run, in sentences: why it would refuse it, what holds nothing
    up though it fails, and that there are more cases than these.
    """
    sentences = {}
    if refusal := landing.ratchet(run.suite for run in runs):
        sentences["refused"] = f"{refusal.code}: {refusal.happened}"[:REFUSED_CHARS_MAX]
    free = [
        f"{run.suite.name}:{case}" for run in runs for case in sorted(landing.failing_and_free(run.suite))
    ]
    if free:
        sentence = (
            f"{len(free)} cases fail and hold nothing up, as main does not pass them: {landing.some(free)}"
        )
        sentences["not_lost"] = sentence[:FREE_CHARS_MAX]
    if not all(run.is_whole for run in runs):
        sentences["of_some_cases"] = "this run was of some cases; push runs all of them"
    return sentences
