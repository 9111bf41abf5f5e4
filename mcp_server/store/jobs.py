"""Oracle jobs, and what earlier runs have shown: passes by tree, outcomes by commit, the reference's answers."""

from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass

from sqlalchemy import Text, cast, delete, func, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.engine import Row

from mcp_server.store import Tx
from mcp_server.store.schema import baselines, job_wants, jobs, passes, reference_answers

QUEUED, RUNNING, DONE = "queued", "running", "done"


@dataclass(frozen=True)
class Job:
    """One run of one suite on one tree. `key` names what it shows, so that whoever asks the same joins it.

    `cases_commit` is the commit of main that the cases are read from: a candidate never brings its own.
    """

    id: int
    key: str
    kind: str
    suite: str
    repo: str
    commit: str
    tree_key: str
    cases_commit: str
    todo: list[str]
    passed_before: dict[str, str]
    priority: int
    state: str
    queued_ms: int
    attempts: int = 0
    runner: str | None = None
    verdict: dict | None = None


def next_id(tx: Tx) -> int:
    return (tx.execute(select(func.max(jobs.c.id))).scalar() or 0) + 1


def add(tx: Tx, job: Job) -> None:
    tx.execute(insert(jobs).values(**asdict(job)))


def put(tx: Tx, job: Job) -> None:
    tx.execute(update(jobs).where(jobs.c.id == job.id).values(**asdict(job)))


def get(tx: Tx, id: int) -> Job | None:
    return _job(tx.execute(select(jobs).where(jobs.c.id == id)).first())


def states(tx: Tx, ids: Iterable[int]) -> dict[int, str]:
    """The states alone: a verdict can be long, and whoever waits asks again and again."""
    return {
        row.id: row.state
        for row in tx.execute(select(jobs.c.id, jobs.c.state).where(jobs.c.id.in_(list(ids))))
    }


def by_key(tx: Tx, key: str) -> Job | None:
    return _job(tx.execute(select(jobs).where(jobs.c.key == key)).first())


def retire(tx: Tx, key: str) -> None:
    """Nobody joins that job any more; it stays for those who name it by its id."""
    tx.execute(update(jobs).where(jobs.c.key == key).values(key=jobs.c.key + " " + cast(jobs.c.id, Text)))


def first_queued(tx: Tx) -> Job | None:
    """The queued job of the highest priority, the longest waiting first; none that nobody wants any more."""
    return _job(
        tx.execute(
            select(jobs)
            .where((jobs.c.state == QUEUED) & (jobs.c.priority > 0))
            .order_by(jobs.c.priority.desc(), jobs.c.queued_ms, jobs.c.id)
        ).first()
    )


def want(tx: Tx, id: int, by: str, priority: int) -> None:
    """Somebody wants it at that priority, or at a higher one than before: it has the highest at which it is
    wanted.
    """
    row = upsert(job_wants).values(job=id, by=by, priority=priority)
    tx.execute(
        row.on_conflict_do_update(
            index_elements=["job", "by"], set_={"priority": func.max(job_wants.c.priority, priority)}
        )
    )
    tx.execute(update(jobs).where((jobs.c.id == id) & (jobs.c.priority < priority)).values(priority=priority))


def is_wanted(tx: Tx, id: int, by: str, priority: int) -> bool:
    """Whether he wants it at that priority already, or at a higher one."""
    wanted = (job_wants.c.job == id) & (job_wants.c.by == by) & (job_wants.c.priority >= priority)
    return tx.execute(select(job_wants.c.job).where(wanted)).first() is not None


def want_only(tx: Tx, repo: str, by: str, ids: Collection[int]) -> None:
    """Of the queued jobs of a repository only these are still wanted by him."""
    mine = select(jobs.c.id).join(job_wants, job_wants.c.job == jobs.c.id)
    found = tx.execute(mine.where((jobs.c.repo == repo) & (jobs.c.state == QUEUED) & (job_wants.c.by == by)))
    for id in [row.id for row in found if row.id not in ids]:
        tx.execute(delete(job_wants).where((job_wants.c.job == id) & (job_wants.c.by == by)))
        left = tx.execute(select(func.max(job_wants.c.priority)).where(job_wants.c.job == id)).scalar()
        tx.execute(update(jobs).where(jobs.c.id == id).values(priority=left or 0))


def running(tx: Tx) -> list[Job]:
    return [job for row in tx.execute(select(jobs).where(jobs.c.state == RUNNING)) if (job := _job(row))]


def passes_on(tx: Tx, suite_key: str, tree_key: str) -> set[str]:
    row = tx.execute(
        select(passes.c.cases).where((passes.c.suite_key == suite_key) & (passes.c.tree_key == tree_key))
    ).first()
    return set(row.cases) if row else set()


def remember_passes(tx: Tx, suite_key: str, tree_key: str, cases: set[str]) -> None:
    both = sorted(passes_on(tx, suite_key, tree_key) | cases)
    row = upsert(passes).values(suite_key=suite_key, tree_key=tree_key, cases=both)
    tx.execute(row.on_conflict_do_update(index_elements=["suite_key", "tree_key"], set_={"cases": both}))


def forget_pass(tx: Tx, suite_key: str, tree_key: str, cases: set[str]) -> None:
    """A case that failed where it passed before is not known to pass."""
    left = sorted(passes_on(tx, suite_key, tree_key) - cases)
    wanted = (passes.c.suite_key == suite_key) & (passes.c.tree_key == tree_key)
    tx.execute(update(passes).where(wanted).values(cases=left) if left else delete(passes).where(wanted))


def baseline(tx: Tx, suite_key: str, commit: str) -> dict[str, str] | None:
    row = tx.execute(
        select(baselines.c.outcomes).where(
            (baselines.c.suite_key == suite_key) & (baselines.c.commit == commit)
        )
    ).first()
    return row.outcomes if row else None


def with_baseline(tx: Tx, commit: str) -> set[str]:
    """The keys of the suites that were measured there; the outcomes themselves may be many."""
    return {
        row.suite_key for row in tx.execute(select(baselines.c.suite_key).where(baselines.c.commit == commit))
    }


def put_baseline(tx: Tx, suite_key: str, commit: str, outcomes: dict[str, str]) -> None:
    row = upsert(baselines).values(suite_key=suite_key, commit=commit, outcomes=outcomes)
    tx.execute(row.on_conflict_do_update(index_elements=["suite_key", "commit"], set_={"outcomes": outcomes}))


def answers(tx: Tx, keys: list[str]) -> dict[str, dict]:
    """Known answers of the reference by key, as {"output", "exit"}."""
    wanted, found = set(keys), {}
    for row in tx.execute(select(reference_answers).where(reference_answers.c.key.in_(sorted(wanted)))):
        found[row.key] = {"output": row.output, "exit": row.exit}
    return found


def remember_answers(tx: Tx, found: dict[str, dict]) -> None:
    rows = [{"key": key, "output": answer["output"], "exit": answer["exit"]} for key, answer in found.items()]
    if rows:
        tx.execute(upsert(reference_answers).on_conflict_do_nothing(), rows)


def _job(row: Row | None) -> Job | None:
    return Job(**row._mapping) if row else None
