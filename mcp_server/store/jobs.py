"""Oracle jobs, and what runs showed: failures by tree, outcomes by commit, the reference's answers."""

from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Text, cast, delete, func, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.engine import Row

from mcp_server.store import Tx
from mcp_server.store.schema import baselines, failures, job_wants, jobs, reference_answers

QUEUED, RUNNING, DONE = "queued", "running", "done"
# In a key: before the images of a run, and before the number of one that nobody joins any more.
IMAGE, RETIRED = "@", "#"


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
    priority: int
    state: str
    queued_ms: int
    attempts: int = 0
    runner: str | None = None
    verdict: dict[str, Any] | None = None

    @property
    def image(self) -> str:
        """The ids of the images that it is a run in; "" if no runner had told of any."""
        return self.key.partition(IMAGE)[2].partition(RETIRED)[0]


def with_image(key: str, image: str) -> str:
    """Return the key of the same run in other images."""
    joined, retired, id = key.partition(RETIRED)
    base = joined.partition(IMAGE)[0]
    joined = f"{base}{IMAGE}{image}" if image else base
    return joined + retired + id


def next_id(tx: Tx) -> int:
    return (tx.execute(select(func.max(jobs.c.id))).scalar() or 0) + 1


def add(tx: Tx, job: Job) -> None:
    tx.execute(insert(jobs).values(**asdict(job)))


def put(tx: Tx, job: Job) -> None:
    tx.execute(update(jobs).where(jobs.c.id == job.id).values(**asdict(job)))


def get(tx: Tx, id: int) -> Job | None:
    return _job(tx.execute(select(jobs).where(jobs.c.id == id)).first())


def states(tx: Tx, ids: Iterable[int]) -> dict[int, str]:
    """Return the states of these jobs by id, without the verdicts: one can be long, and whoever waits asks
    again and again.
    """
    return {
        row.id: row.state
        for row in tx.execute(select(jobs.c.id, jobs.c.state).where(jobs.c.id.in_(list(ids))))
    }


def by_key(tx: Tx, key: str) -> Job | None:
    return _job(tx.execute(select(jobs).where(jobs.c.key == key)).first())


def retire(tx: Tx, key: str) -> None:
    """Change the job's key, so that nobody joins it any more; it stays for those who name it by its id."""
    tx.execute(update(jobs).where(jobs.c.key == key).values(key=jobs.c.key + RETIRED + cast(jobs.c.id, Text)))


def first_queued(tx: Tx, *, but: Collection[str] = ()) -> Job | None:
    """Return the queued job of the highest priority, and of these the longest waiting; none that nobody
    wants, and none of the suites `but`.
    """
    may_run = (jobs.c.state == QUEUED) & (jobs.c.priority > 0) & jobs.c.suite.not_in(list(but))
    in_turn = (jobs.c.priority.desc(), jobs.c.queued_ms, jobs.c.id)
    return _job(tx.execute(select(jobs).where(may_run).order_by(*in_turn)).first())


def want(tx: Tx, id: int, by: str, priority: int) -> None:
    """Note that `by` wants the job at `priority`, unless it wants it at a higher one already. A job has the
    highest priority at which it is wanted.
    """
    row = upsert(job_wants).values(job=id, by=by, priority=priority)
    tx.execute(
        row.on_conflict_do_update(
            index_elements=["job", "by"], set_={"priority": func.max(job_wants.c.priority, priority)}
        )
    )
    tx.execute(update(jobs).where((jobs.c.id == id) & (jobs.c.priority < priority)).values(priority=priority))


def is_wanted(tx: Tx, id: int, by: str, priority: int) -> bool:
    """Return True if `by` already wants this job at `priority` or higher."""
    so_much = (job_wants.c.job == id) & (job_wants.c.by == by) & (job_wants.c.priority >= priority)
    return tx.execute(select(job_wants.c.job).where(so_much)).first() is not None


def want_only(tx: Tx, repo: str, by: str, ids: Collection[int]) -> None:
    """Withdraw the wish of `by` for every queued job of the repository that is not among `ids`."""
    its_own = (
        select(jobs.c.id)
        .join(job_wants, job_wants.c.job == jobs.c.id)
        .where((jobs.c.repo == repo) & (jobs.c.state == QUEUED) & (job_wants.c.by == by))
    )
    for id in set(tx.execute(its_own).scalars()) - set(ids):
        _withdraw(tx, id, by)


def _withdraw(tx: Tx, id: int, by: str) -> None:
    tx.execute(delete(job_wants).where((job_wants.c.job == id) & (job_wants.c.by == by)))
    highest = tx.execute(select(func.max(job_wants.c.priority)).where(job_wants.c.job == id)).scalar()
    tx.execute(update(jobs).where(jobs.c.id == id).values(priority=highest or 0))


def running(tx: Tx) -> list[Job]:
    """Return the jobs that a runner has."""
    return [Job(**row._mapping) for row in tx.execute(select(jobs).where(jobs.c.state == RUNNING))]


def unfinished(tx: Tx, suite: str) -> list[Job]:
    """Return the jobs of a suite that are queued or that a runner has."""
    under_way = (jobs.c.suite == suite) & jobs.c.state.in_((QUEUED, RUNNING))
    return [Job(**row._mapping) for row in tx.execute(select(jobs).where(under_way))]


def failures_on(tx: Tx, suite_key: str, tree_key: str) -> set[str]:
    """Return the cases of the suite that have ever failed on that tree, whoever asked."""
    there = (failures.c.suite_key == suite_key) & (failures.c.tree_key == tree_key)
    row = tx.execute(select(failures.c.cases).where(there)).first()
    return set(row.cases) if row else set()


def remember_failures(tx: Tx, suite_key: str, tree_key: str, cases: set[str]) -> None:
    """Keep it that `cases` failed on that tree; what has passed there since takes nothing away."""
    both = sorted(failures_on(tx, suite_key, tree_key) | cases)
    if both:
        row = upsert(failures).values(suite_key=suite_key, tree_key=tree_key, cases=both)
        tx.execute(row.on_conflict_do_update(index_elements=["suite_key", "tree_key"], set_={"cases": both}))


def baseline(tx: Tx, suite_key: str, commit: str) -> dict[str, str] | None:
    """Return every case's outcome on the commit, or None if the suite was not measured there."""
    there = (baselines.c.suite_key == suite_key) & (baselines.c.commit == commit)
    row = tx.execute(select(baselines.c.outcomes).where(there)).first()
    return row.outcomes if row else None


def baseline_contradictions(tx: Tx, suite_key: str, commit: str) -> list[str]:
    """Return the kinds of what the suite's run on the commit said against itself."""
    there = (baselines.c.suite_key == suite_key) & (baselines.c.commit == commit)
    row = tx.execute(select(baselines.c.contradictions).where(there)).first()
    return list(row.contradictions or ()) if row else []


def with_baseline(tx: Tx, commit: str) -> set[str]:
    """Return the keys of the suites that were measured there, without the outcomes, which may be many."""
    measured = (baselines.c.commit == commit) & baselines.c.contradictions.is_not(None)
    return set(tx.execute(select(baselines.c.suite_key).where(measured)).scalars())


def put_baseline(tx: Tx, suite_key: str, commit: str, values: dict[str, Any]) -> None:
    """Write these columns of the suite's row for the commit."""
    row = upsert(baselines).values(suite_key=suite_key, commit=commit, **values)
    tx.execute(row.on_conflict_do_update(index_elements=["suite_key", "commit"], set_=values))


def answers(tx: Tx, keys: list[str]) -> dict[str, dict[str, Any]]:
    """Return the reference's answers of which there are any, by key, as {"output", "exit"}."""
    cached = select(reference_answers).where(reference_answers.c.key.in_(sorted(set(keys))))
    return {row.key: {"output": row.output, "exit": row.exit} for row in tx.execute(cached)}


def remember_answers(tx: Tx, new: dict[str, dict[str, Any]]) -> None:
    """Keep the reference's answers by key; one that is kept already stays as it is."""
    rows = [{"key": key, "output": answer["output"], "exit": answer["exit"]} for key, answer in new.items()]
    if rows:
        tx.execute(upsert(reference_answers).on_conflict_do_nothing(), rows)


def _job(row: Row[Any] | None) -> Job | None:
    return Job(**row._mapping) if row else None
