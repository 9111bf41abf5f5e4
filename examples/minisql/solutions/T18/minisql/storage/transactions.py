"""BEGIN, COMMIT, ROLLBACK: the state of every table is kept when a transaction begins."""
from minisql import SqlError


def begin(database):
    if database.saved is not None:
        raise SqlError("cannot start a transaction within a transaction")
    database.saved = {name: (table, table.contents()) for name, table in database.tables.items()}


def commit(database):
    if database.saved is None:
        raise SqlError("cannot commit - no transaction is active")
    database.saved = None


def rollback(database):
    if database.saved is None:
        raise SqlError("cannot rollback - no transaction is active")
    saved, database.saved = database.saved, None
    database.tables = {}
    for name, (table, contents) in saved.items():
        table.restore(contents)
        database.tables[name] = table
