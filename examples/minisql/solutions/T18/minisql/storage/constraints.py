"""PRIMARY KEY, UNIQUE, NOT NULL and DEFAULT. Owns which rows a table accepts; an INTEGER PRIMARY KEY is the rowid."""
from minisql import SqlError
from minisql.executor import evaluate


def prepare(table, given):
    """{position: value} with the defaults of the columns that were not given."""
    complete = dict(given)
    for place, (_, _, rules) in enumerate(table.columns):
        if place not in complete and "default" in rules:
            complete[place] = default(rules["default"])
    return complete


def default(tree):
    from minisql.planner.columns import Scope, bind
    return evaluate(bind(tree, Scope([], None, None)), ((), None))


def check(table, rowid, values):
    """The rowid to store the values under. Fills in a missing INTEGER PRIMARY KEY; refuses what breaks a rule."""
    place = rowid_column(table)
    if place is not None:
        rowid = values[place] = integer_key(table, values[place])
    for place, (name, _, rules) in enumerate(table.columns):
        if "not_null" in rules and values[place] is None:
            raise SqlError("NOT NULL constraint failed: %s.%s" % (table.name, name))
    if rowid in table.rows:
        raise SqlError("UNIQUE constraint failed: " + table.name)
    for key in unique_keys(table):
        refuse_twice(table, key, values)
    return rowid


def rowid_column(table):
    for place, (_, declared, rules) in enumerate(table.columns):
        if "primary" in rules and declared == "INTEGER":
            return place
    return None


def integer_key(table, value):
    if value is None:
        return max(table.rows, default=0) + 1
    if not isinstance(value, int):
        raise SqlError("datatype mismatch")
    return value


def unique_keys(table):
    """Positions of the columns that are unique together."""
    single = [[place] for place, column in enumerate(table.columns) if "unique" in column[2] or "primary" in column[2]]
    lowered = [name.lower() for name in table.names]
    return single + [[lowered.index(name.lower()) for name in key] for key in table.keys]


def refuse_twice(table, key, values):
    """NULLs are never equal."""
    wanted = [values[place] for place in key]
    if None in wanted:
        return
    for row in table.rows.values():
        if [row[place] for place in key] == wanted:
            raise SqlError("UNIQUE constraint failed: " + ", ".join("%s.%s" % (table.name, table.names[place]) for place in key))


def add_key(table, names):
    """A unique index: what is stored must already keep to it."""
    lowered = [name.lower() for name in table.names]
    found = [tuple(row[lowered.index(name.lower())] for name in names) for row in table.rows.values()]
    complete = [key for key in found if None not in key]
    if len(set(complete)) < len(complete):
        raise SqlError("UNIQUE constraint failed: " + ", ".join("%s.%s" % (table.name, name) for name in names))
    table.keys.append(list(names))
