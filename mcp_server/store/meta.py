"""Single values by name, such as the fence counter."""

from sqlalchemy import bindparam, select
from sqlalchemy.dialects.sqlite import insert

from mcp_server.store import Tx
from mcp_server.store.schema import meta
from mcp_server.store.statement import Statement

GET = Statement(select(meta.c.value).where(meta.c.key == bindparam("of")))
_NEW = insert(meta)
PUT = Statement(_NEW.on_conflict_do_update(index_elements=["key"], set_={"value": _NEW.excluded.value}))


def get(tx: Tx, key: str) -> str | None:
    row = tx.run(GET, {"of": key}).fetchone()
    return row[0] if row else None


def put(tx: Tx, key: str, value: str) -> None:
    tx.run(PUT, {"key": key, "value": value})
