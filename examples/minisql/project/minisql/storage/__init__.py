"""Tables and their rows. Owns what is stored and which changes are allowed; knows nothing of queries.

Database, in this file, finds the parts:

    tables.py        Table(name, columns, keys), columns as parser/create.py gives them
                     .name  .names (of the columns)
                     .scan() yields (rowid, row tuple) by rowid          .insert({position: value})
                     .replace(rowid, values)                             .remove(rowid)
                     .contents() -> all that can change, for .restore(contents)
    affinity.py      applied(declared type, value) -> the value as the column stores it
    constraints.py   prepare(table, given) -> {position: value} with defaults;   check(table, rowid, values);
                     add_key(table, column names) for a unique index
    transactions.py  begin(database)  commit(database)  rollback(database)

tables.py calls affinity and constraints when they are there.
"""
from minisql import SqlError, load, need


class Database:
    """The tables by lower-case name; `saved` is for transactions.py."""

    def __init__(self):
        self.tables = {}
        self.saved = None

    def table(self, name):
        found = self.tables.get(name.lower())
        if found is None:
            raise SqlError("no such table: " + name)
        return found

    def create(self, name, columns, keys, unless_exists):
        if name.lower() in self.tables:
            if unless_exists:
                return
            raise SqlError("table %s already exists" % name)
        self.tables[name.lower()] = need("storage.tables").Table(name, columns, keys)

    def drop(self, name, if_exists):
        if name.lower() in self.tables:
            del self.tables[name.lower()]
        elif not if_exists:
            raise SqlError("no such table: " + name)

    def index(self, table, columns, unique):
        """An index changes no answer here; a unique one is a key."""
        found = self.table(table)
        constraints = load("storage.constraints")
        if unique and constraints is not None:
            constraints.add_key(found, columns)

    def transaction(self, step):
        getattr(need("storage.transactions"), step)(self)
