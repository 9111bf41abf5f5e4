"""The only SQL. One module per noun; each function takes an open transaction and values, and returns values."""

from mcp_server.store.database import Store, Tx, Unsafe, Unwritable

__all__ = ["Store", "Tx", "Unsafe", "Unwritable"]
