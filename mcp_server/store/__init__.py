"""The only SQL. One module per noun; each function takes an open transaction and values, and returns values."""

from mcp_server.store.database import Store, Tx, Unsafe, Unwritable
from mcp_server.store.group import CommitGroup

__all__ = ["CommitGroup", "Store", "Tx", "Unsafe", "Unwritable"]
