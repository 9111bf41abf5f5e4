"""Single values by name: the fence counter and the schema's version."""

from sqlalchemy import select
from sqlalchemy.dialects.sqlite import insert

from mcp_server.store import Tx
from mcp_server.store.schema import meta


def get(tx: Tx, key: str) -> str | None:
    return tx.execute(select(meta.c.value).where(meta.c.key == key)).scalar()


def put(tx: Tx, key: str, value: str) -> None:
    tx.execute(insert(meta).values(key=key, value=value).on_conflict_do_update(index_elements=["key"], set_={"value": value}))
