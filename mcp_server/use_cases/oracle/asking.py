"""`run_oracle`: starts or joins the runs that show how a commit does, and tells the result briefly."""

from dataclasses import dataclass, replace

from mcp_server.core import case_globs, landing
from mcp_server.core.principal import Principal
from mcp_server.core.refusal import Code, Refused
from mcp_server.repos import case_files
from mcp_server.repos.process import GitOutputTooLarge
from mcp_server.store import jobs as job_rows
from mcp_server.store import leases as lease_rows
from mcp_server.store import tasks as task_rows
from mcp_server.use_cases import leasing
from mcp_server.use_cases.oracle import baseline, case_sets, scopes
from mcp_server.use_cases.oracle import jobs as oracle_jobs
from mcp_server.world import World
from oracle.judging import report
from oracle.judging.verdict import Verdict

ANSWER_CHARS_MAX = 4_000  # of a whole answer as JSON, whatever the number of suites
MORE = "run_oracle(cases=['ID']) shows one case with more of its outputs, run_oracle(cases=['GROUP/*']) a group; read_progress lists the failing groups"
FLAKY_CHARS_MAX = 400
GLOBS_MAX = 200  # of one call: each is held against every case
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
    jobs: dict[str, int]
    commit: str


def start(world: World, who: Principal, request: OracleRequest) -> Started | Refused:
    """Asks for one run per suite concerned."""
    with world.store.write() as tx:
        mine = [lease for lease in leasing.live(world, tx) if lease.agent == who.name]
        lease = next((lease for lease in mine if request.fence in (None, lease.fence)), None)
        earlier = lease_rows.get(tx, request.fence) if request.fence is not None else None
        task = task_rows.get(tx, lease.task) if lease else None
    if request.fence is not None and lease is None:
        code = Code.STALE_FENCE if earlier is not None and earlier.agent == who.name else Code.NOT_LEASED
        return Refused(
            code,
            f"fence {request.fence} is not a live lease of yours",
            "nothing was run",
            "claim_task() first, or leave fence out and give commit",
        )
    repo = lease.repo if lease else next(iter(world.repos))
    commit = request.commit or (lease.head if lease else None)
    if commit is None:
        return Refused(
            Code.COMMIT_UNKNOWN,
            "you have uploaded no commit under this lease",
            "nothing was run",
            "commit, or name a commit that the server has",
        )
    if world.repos[repo].commits.resolve(commit) != commit or not world.repos[repo].commits.agent_has(
        who.name, commit
    ):
        step = f"git push origin HEAD:refs/agents/{who.name}/work, then call again with the full id"
        return Refused(
            Code.COMMIT_UNKNOWN,
            f"the server has no commit {commit[:40]} of yours",
            "nothing was run",
            step,
        )
    if problem := _wrong_globs(request.cases, world.suites_of(repo)):
        return Refused(
            Code.BAD_REQUEST,
            problem,
            "nothing was run",
            "call again with case globs, or SUITE:GLOB for one suite",
        )
    try:
        if refused := _no_files(world, repo, commit):
            return refused
    except GitOutputTooLarge as wrong:
        return Refused(
            Code.TOO_LARGE,
            f"the tree of that commit is too large: {wrong}",
            "nothing was run",
            "run a smaller one",
        )
    chosen = scopes.chosen(world, who.name, repo, task, scope=request.scope, entries=request.cases)
    if not chosen:
        return Refused(
            Code.BAD_REQUEST,
            "no oracle case matches",
            "nothing was run",
            "use scope='full', or case globs such as 'group/*'",
        )
    jobs = oracle_jobs.request_all(
        world,
        [
            oracle_jobs.JobRequest(name, commit, oracle_jobs.ASKED, case_ids=ids)
            for name, ids in chosen.items()
        ],
    )
    return Started({name: job.id for name, job in zip(chosen, jobs, strict=True)}, commit)


def _no_files(world: World, repo: str, commit: str) -> Refused | None:
    """A sandbox gets files: what is none stops the run here, where its agent can be told."""
    main, suites = world.main(repo), world.suites_of(repo)
    found = [
        hazard
        for name in suites
        for hazard in world.repos[repo].files.unpackable(
            case_files.visible(world.repos[repo], commit, main, world.config.suites[name])
        )
    ]
    if not found:
        return None
    named = landing.some(dict.fromkeys(f"{hazard.path} ({hazard.kind})" for hazard in found))
    return Refused(
        Code.PROTECTED_PATH,
        f"that commit holds what cannot be handed out as files: {named}",
        "nothing was run",
        "take it out of your commits and run again",
    )


def _wrong_globs(entries: tuple[str, ...], suites: list[str]) -> str | None:
    if len(entries) > GLOBS_MAX:
        return f"{len(entries)} globs are more than the {GLOBS_MAX} that one call may have"
    unknown = [name for name in case_globs.suites_in(entries) if name not in suites]
    return (
        f"there is no suite {unknown[0]!r} for this repository; there are {', '.join(suites)}"
        if unknown
        else None
    )


def answer(world: World, started: Started) -> dict:
    """Counts first, then what changed against main, then the smallest failing cases."""
    with world.store.read() as tx:
        jobs = {name: job_rows.get(tx, id) for name, id in started.jobs.items()}
    known = {name: job for name, job in jobs.items() if job is not None}
    if any(job.state != job_rows.DONE for job in known.values()):
        return {
            "status": "running",
            "jobs": started.jobs,
            "next": "call run_oracle again with the same arguments to wait",
        }
    whole = {name: Verdict.from_json(job.verdict) for name, job in known.items() if job.verdict is not None}
    verdicts = {name: _shown(world, name, verdict) for name, verdict in whole.items()}
    free = {name: _flaky(world, name, verdict) for name, verdict in whole.items()}
    statuses = {_counted(verdict, free[name]) for name, verdict in whole.items()}
    status = next(word for word in ("broken", "failed", "passed") if word in statuses)
    told = {"status": status, "commit": started.commit, "suites": {}, "next": NEXT[status]} | (
        {"more": MORE} if status == "failed" else {}
    )
    if named := [
        f"{name}:{case}"
        for name, cases in free.items()
        for case in sorted(cases & verdicts[name].outcomes.keys())
    ]:
        told["flaky"] = (
            f"{len(named)} failing cases are known to be flaky and count for nothing: {landing.some(named)}"[
                :FLAKY_CHARS_MAX
            ]
        )
    on_main = {name: baseline.of_main(world, name) for name in verdicts}
    told["suites"] = report.suites(
        verdicts, on_main=on_main, chars=ANSWER_CHARS_MAX - len(report.encode(told))
    )
    return told


def _shown(world: World, suite: str, verdict: Verdict) -> Verdict:
    """A verdict without what only people may see."""
    hidden = case_sets.hidden(world, suite, verdict.outcomes)
    outcomes = {case: outcome for case, outcome in verdict.outcomes.items() if case not in hidden}
    return replace(verdict, outcomes=outcomes, reason=case_sets.reason(world, suite, verdict.reason))


def _flaky(world: World, suite: str, verdict: Verdict) -> set[str]:
    """The cases that fail and count for nothing today."""
    exempt = landing.exempt(world.config.suites[suite].flaky, world.today())
    return {case for case in exempt & verdict.outcomes.keys() if verdict.outcomes[case] != "pass"}


def _counted(verdict: Verdict, free: set[str]) -> str:
    """The status that the gate would go by."""
    return (
        "passed" if verdict.status == "failed" and 0 < len(free) == verdict.counts.failed else verdict.status
    )
