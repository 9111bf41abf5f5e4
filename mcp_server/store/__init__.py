"""The only SQL. One module per noun: each function takes an open transaction and values, and returns values."""

from mcp_server.store.database import Store, Tx
from mcp_server.store.group import CommitGroup
from mcp_server.store.unusable import Unsafe, Unwritable

__all__ = ["CommitGroup", "Store", "Tx", "Unsafe", "Unwritable"]
