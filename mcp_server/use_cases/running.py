"""`run_oracle`: starts or joins the runs that show how a commit does, and tells the result briefly."""

from dataclasses import dataclass

from mcp_server.auth import Principal
from mcp_server.core.refusal import Code, Refused
from mcp_server.core.task import Task
from mcp_server.store import jobs as job_rows
from mcp_server.store import leases as lease_rows
from mcp_server.store import tasks as task_rows
from mcp_server.store.jobs import Job
from mcp_server.use_cases import baseline, leasing, oracle_jobs
from mcp_server.world import World
from oracle import report
from oracle.verdict import Verdict

FAILURES_SHOWN = 3
NAMED_MAX = 10  # case ids in one list
NEXT = {
    "passed": "push it",
    "failed": "fix the failures shown (run_oracle(cases=[...]) runs single ones), commit, run again",
    "broken": "this says nothing about your change: call again; if it goes on, release the task as blocked",
}


@dataclass(frozen=True)
class Asked:
    """What a caller asked for; `cases` are globs over case ids and win over `scope`."""

    fence: int | None
    commit: str | None
    scope: str
    cases: tuple[str, ...]


@dataclass(frozen=True)
class Started:
    jobs: dict[str, int]
    commit: str


def start(world: World, who: Principal, asked: Asked) -> Started | Refused:
    """Asks for one run per suite concerned."""
    with world.store.write() as tx:
        mine = [lease for lease in leasing.live(world, tx) if lease.agent == who.name]
        lease = next((lease for lease in mine if asked.fence in (None, lease.fence)), None)
        earlier = lease_rows.get(tx, asked.fence) if asked.fence is not None else None
        task = task_rows.get(tx, lease.task) if lease else None
    if asked.fence is not None and lease is None:
        code = Code.STALE_FENCE if earlier is not None and earlier.agent == who.name else Code.NOT_LEASED
        return _refused(world, who, Refused(code, f"fence {asked.fence} is not a live lease of yours", "nothing was run", "claim_task() first, or leave fence out and give commit"))
    repo = lease.repo if lease else next(iter(world.repos))
    commit = asked.commit or (lease.head if lease else None)
    if commit is None:
        return _refused(world, who, Refused(Code.COMMIT_UNKNOWN, "you have uploaded no commit under this lease", "nothing was run", "commit, or name a commit that the server has"))
    if world.repos[repo].resolve(commit) != commit or not world.repos[repo].agent_has(who.name, commit):
        step = f"git push origin HEAD:refs/agents/{who.name}/work, then call again with the full id"
        return _refused(world, who, Refused(Code.COMMIT_UNKNOWN, f"the server has no commit {commit[:40]} of yours", "nothing was run", step))
    jobs = {}
    for name, ids in _chosen(world, repo, task, asked).items():
        jobs[name] = oracle_jobs.request(world, oracle_jobs.Wanted(name, commit, oracle_jobs.ASKED, case_ids=ids)).id
    if not jobs:
        return _refused(world, who, Refused(Code.BAD_REQUEST, "no oracle case matches", "nothing was run", "use scope='full', or case globs such as 'group/*'"))
    return Started(jobs, commit)


def _refused(world: World, who: Principal, refused: Refused) -> Refused:
    with world.store.write() as tx:
        world.record(tx, "refusal", who, tool="run_oracle", code=str(refused.code), happened=refused.happened)
    return refused


def _chosen(world: World, repo: str, task: Task | None, asked: Asked) -> dict[str, tuple[str, ...] | None]:
    """Suites and the case ids of each; None means all of a suite's cases."""
    suites = world.suites_of(repo)
    if asked.cases:
        found = {name: oracle_jobs.named(world, name, asked.cases) for name in suites}
        return {name: ids for name, ids in found.items() if ids}
    if asked.scope == "task" and task is not None and task.suite is not None and task.cases:
        if world.config.suites[task.suite].kind == "command":
            return {task.suite: None}
        return {task.suite: oracle_jobs.named(world, task.suite, task.cases)}
    return dict.fromkeys(suites)


def answer(world: World, started: Started) -> dict:
    """Counts first, then what changed against main, then the smallest failing cases."""
    with world.store.read() as tx:
        jobs = {name: job_rows.get(tx, id) for name, id in started.jobs.items()}
    known = {name: job for name, job in jobs.items() if job is not None}
    if any(job.state != job_rows.DONE for job in known.values()):
        return {"status": "running", "jobs": started.jobs, "next": "call run_oracle again with the same arguments to wait"}
    verdicts = {name: Verdict.from_json(job.verdict) for name, job in known.items() if job.verdict is not None}
    statuses = {verdict.status for verdict in verdicts.values()}
    status = next(word for word in ("broken", "failed", "passed") if word in statuses)
    shown = max(1, FAILURES_SHOWN // len(verdicts))
    return {
        "status": status,
        "commit": started.commit,
        "suites": {name: report.brief(verdict, failures=shown) | _against_main(world, name, known[name]) for name, verdict in verdicts.items()},
        "next": NEXT[status],
    }


def _against_main(world: World, suite: str, job: Job) -> dict:
    on_main = baseline.of_main(world, suite)
    outcomes = job.verdict["outcomes"] if job.verdict else {}
    lost = sorted(case for case, outcome in outcomes.items() if outcome != "pass" and on_main.get(case) == "pass")
    gained = sum(outcome == "pass" and on_main.get(case) != "pass" for case, outcome in outcomes.items())
    return {"against_main": {"newly_passing": gained, "newly_failing": len(lost), "newly_failing_cases": lost[:NAMED_MAX]}}
