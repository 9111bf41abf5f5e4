"""The agents that a harness keeps, each as the harness described it last."""

from typing import Any

from sqlalchemy import delete, insert, select

from mcp_server.store import Tx
from mcp_server.store.schema import crew


def all(tx: Tx) -> dict[str, dict[str, Any]]:
    """Return what is kept of every agent, by its name."""
    return {row.agent: row.member for row in tx.execute(select(crew).order_by(crew.c.agent))}


def put_all(tx: Tx, members: dict[str, dict[str, Any]]) -> None:
    """Keep these agents, and no others."""
    tx.execute(delete(crew))
    if members:
        tx.execute(insert(crew), [{"agent": agent, "member": one} for agent, one in members.items()])
