"""Reports: the results of tasks that change no code, one under each lease at most."""

from dataclasses import asdict, dataclass

from sqlalchemy import insert, select

from mcp_server.store import Tx
from mcp_server.store.schema import reports


@dataclass(frozen=True)
class Report:
    fence: int
    task: str
    agent: str
    text: str
    written_ms: int


def add(tx: Tx, report: Report) -> None:
    tx.execute(insert(reports).values(**asdict(report)))


def get(tx: Tx, fence: int) -> Report | None:
    row = tx.execute(select(reports).where(reports.c.fence == fence)).first()
    return Report(**row._mapping) if row else None


def of_task(tx: Tx, task: str) -> Report | None:
    """Return the task's newest report: a task that was opened again may have several."""
    newest_first = select(reports).where(reports.c.task == task).order_by(reports.c.fence.desc())
    row = tx.execute(newest_first.limit(1)).first()
    return Report(**row._mapping) if row else None


def newest(tx: Tx, *, limit: int) -> list[Report]:
    """Return the `limit` newest reports, the newest first."""
    newest_first = select(reports).order_by(reports.c.fence.desc())
    return [Report(**row._mapping) for row in tx.execute(newest_first.limit(limit))]
