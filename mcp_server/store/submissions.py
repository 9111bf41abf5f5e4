"""Submissions: one row per (fence, commit) that was ever pushed, so that a repeated call finds its answer."""

from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import ColumnElement, bindparam, func, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.engine import Row

from mcp_server.core.landing import FINAL
from mcp_server.core.landing import SubmissionState as State
from mcp_server.store import Tx
from mcp_server.store.schema import alone, submissions

# Built once: SQLAlchemy takes longer to build a statement than SQLite to run it.
OF_FENCE = select(submissions).where(submissions.c.fence == bindparam("of")).order_by(submissions.c.id)
_IN_GATE = submissions.c.state.in_([str(state) for state in State if state not in FINAL])
PENDING = select(submissions).where(_IN_GATE).order_by(submissions.c.id)


@dataclass(frozen=True)
class Submission:
    """One push of one commit. `candidate` is the merged commit that is tested or was good, on `base` and by
    `jobs`; in the end main moved to it.

    `tries` counts how often it lost its place; `refusal` is the JSON of a core.refusal.Refused.
    """

    id: int
    fence: int
    task: str
    agent: str
    repo: str
    commit: str
    summary: str
    state: State
    submitted_ms: int
    jobs: dict[str, int]
    tries: int = 0
    ended_ms: int | None = None
    base: str | None = None
    candidate: str | None = None
    refusal: dict[str, Any] | None = None

    @property
    def is_final(self) -> bool:
        return self.state in FINAL


@dataclass(frozen=True)
class Alone:
    """What a submission showed by itself: `commit` on `base` was good, by `jobs`."""

    submission: int
    base: str
    commit: str
    jobs: dict[str, int]


def put_alone(tx: Tx, outcome: Alone) -> None:
    row = upsert(alone).values(**asdict(outcome))
    tx.execute(row.on_conflict_do_update(index_elements=["submission"], set_=asdict(outcome)))


def get_alone(tx: Tx, submission: int) -> Alone | None:
    row = tx.execute(select(alone).where(alone.c.submission == submission)).first()
    return Alone(**row._mapping) if row else None


def add(
    tx: Tx, *, fence: int, task: str, agent: str, repo: str, commit: str, summary: str, now_ms: int
) -> Submission:
    id = (tx.execute(select(func.max(submissions.c.id))).scalar() or 0) + 1
    submission = Submission(id, fence, task, agent, repo, commit, summary, State.QUEUED, now_ms, {})
    tx.execute(insert(submissions).values(**_values(submission)))
    return submission


def put(tx: Tx, submission: Submission) -> None:
    tx.execute(update(submissions).where(submissions.c.id == submission.id).values(**_values(submission)))


def get(tx: Tx, id: int) -> Submission | None:
    row = tx.execute(select(submissions).where(submissions.c.id == id)).first()
    return _submission(row) if row else None


def find(tx: Tx, fence: int, commit: str) -> Submission | None:
    same = (submissions.c.fence == fence) & (submissions.c.commit == commit)
    row = tx.execute(select(submissions).where(same)).first()
    return _submission(row) if row else None


def pending(tx: Tx) -> list[Submission]:
    """Return the submissions without a final answer, oldest first: the order in which the gate takes them."""
    return [_submission(row) for row in tx.execute(PENDING)]


def landed_as(tx: Tx, commit: str) -> Submission | None:
    """Return one of the submissions with which main moved to this commit, or None."""
    at_it = (submissions.c.candidate == commit) & (submissions.c.state == str(State.LANDED))
    row = tx.execute(select(submissions).where(at_it)).first()
    return _submission(row) if row else None


def position(tx: Tx, submission: Submission) -> int:
    """Return how many submissions in the gate are as old as this one or older: 1 for the oldest."""
    not_younger = _IN_GATE & (submissions.c.id <= submission.id)
    return _count(tx, not_younger)


def passed_before(tx: Tx, submission: Submission) -> int:
    """Return how many submissions that passed alone, in the same repository, are older than this one."""
    older = (
        (submissions.c.repo == submission.repo)
        & (submissions.c.id < submission.id)
        & (submissions.c.state == str(State.PASSED))
    )
    return _count(tx, older)


def _count(tx: Tx, condition: ColumnElement[bool]) -> int:
    count: int = tx.execute(select(func.count()).where(condition)).scalar_one()
    return count


def of_fence(tx: Tx, fence: int) -> list[Submission]:
    return [_submission(row) for row in tx.execute(OF_FENCE, {"of": fence})]


def landed(tx: Tx) -> list[Submission]:
    """Return every landed submission, in the order of landing."""
    every = (
        select(submissions).where(submissions.c.state == str(State.LANDED)).order_by(submissions.c.ended_ms)
    )
    return [_submission(row) for row in tx.execute(every)]


def newest_landed(tx: Tx, *, limit: int) -> list[Submission]:
    """Return the `limit` newest landed submissions, in the order of landing."""
    newest = (
        select(submissions)
        .where(submissions.c.state == str(State.LANDED))
        .order_by(submissions.c.ended_ms.desc(), submissions.c.id.desc())
        .limit(limit)
    )
    return [_submission(row) for row in tx.execute(newest)][::-1]


def _values(submission: Submission) -> dict[str, Any]:
    return asdict(submission) | {"state": str(submission.state)}


def _submission(row: Row[Any]) -> Submission:
    return Submission(**dict(row._mapping) | {"state": State(row.state)})
