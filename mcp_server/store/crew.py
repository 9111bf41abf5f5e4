"""The agents that a harness keeps, each as it was told of last."""

from sqlalchemy import delete, insert, select

from mcp_server.store import Tx
from mcp_server.store.schema import crew


def all(tx: Tx) -> dict[str, dict]:
    """By agent."""
    return {row.agent: row.told for row in tx.execute(select(crew).order_by(crew.c.agent))}


def put_all(tx: Tx, told: dict[str, dict]) -> None:
    """These, and no others."""
    tx.execute(delete(crew))
    if told:
        tx.execute(insert(crew), [{"agent": agent, "told": one} for agent, one in told.items()])
