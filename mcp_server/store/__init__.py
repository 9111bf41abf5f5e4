"""The only SQL. One module per noun: functions take an open transaction and values, and return values."""

from mcp_server.store.database import Store, Tx
from mcp_server.store.group import CommitGroup
from mcp_server.store.unusable import Unsafe, Unwritable

__all__ = ["CommitGroup", "Store", "Tx", "Unsafe", "Unwritable"]
