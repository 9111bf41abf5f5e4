"""One table: its columns and its rows by rowid. Owns the rows; affinity.py and constraints.py, when there, have their say."""
from minisql import SqlError, load


class Table:
    def __init__(self, name, columns, keys):
        self.name = name
        self.columns = columns
        self.keys = [list(key) for key in keys]
        self.names = [column[0] for column in columns]
        self.rows = {}
        self.affinity = load("storage.affinity")
        self.constraints = load("storage.constraints")
        if len({column.lower() for column in self.names}) < len(self.names):
            raise SqlError("duplicate column name in " + name)

    def scan(self):
        """(rowid, row) in the order of rowids."""
        for rowid in sorted(self.rows):
            yield rowid, self.rows[rowid]

    def insert(self, given):
        """Adds a row of {position: value}; a column that is not given is NULL or its default."""
        if self.constraints is not None:
            given = self.constraints.prepare(self, given)
        self.store(None, [given.get(place) for place in range(len(self.names))])

    def replace(self, rowid, values):
        previous = self.rows.pop(rowid)
        try:
            self.store(rowid, values)
        except SqlError:
            self.rows[rowid] = previous
            raise

    def remove(self, rowid):
        del self.rows[rowid]

    def store(self, rowid, values):
        if self.affinity is not None:
            values = [self.affinity.applied(column[1], value) for column, value in zip(self.columns, values)]
        if self.constraints is not None:
            rowid = self.constraints.check(self, rowid, values)
        if rowid is None:
            rowid = max(self.rows, default=0) + 1
        self.rows[rowid] = tuple(values)

    def contents(self):
        return dict(self.rows)

    def restore(self, contents):
        self.rows = dict(contents)
