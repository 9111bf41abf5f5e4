"""Syntax trees to plans. Owns what names mean: every column becomes a slot, every call the function that computes it.

plan(statement, database) -> one of

    ("query", node)                              node as below
    ("insert", table, column positions, node)    ("update", table, node, [(position, expression)])   ("delete", table, node)
    the statement itself for create, drop, index and transaction

A node yields rows (tuples):

    ("single",)  ("rows", [[expression]])  ("scan", table)           a scanned row ends with its rowid, a hidden column
    ("filter", node, expression)  ("project", node, [expression])  ("concat", node, node)
    ("loop", left, right, condition or None, keep unmatched left rows, width of right)
    ("keep", left, right, whether present)       rows of left that are, or are not, among the rows of right
    ("sort", node, [(expression, descending)])   ("distinct", node)  ("limit", node, count, offset or None)
    ("group", node, keys, aggregates, width)     one row per group: its first row, then the aggregates' values;
                                                 without keys one group, even of no rows (then `width` NULLs)

    an aggregate is (name, [expression], distinct); count(*) has no expression

A bound expression:

    ("lit", value)    ("slot", depth, position)     depth 0 is the row at hand, 1 the row of the query around this one
    ("call", function, [expression])
    ("scalar", node)  ("exists", node)  ("among", expression, node)
"""
from minisql import SqlError, need
from minisql.planner.columns import Scope, bind, position

CHANGES = ("insert", "update", "delete")


def plan(statement, database):
    kind = statement[0]
    if kind in ("select", "compound", "values"):
        return ("query", query(statement, database, None)[0])
    if kind not in CHANGES:
        return statement
    table = database.table(statement[1])
    if kind == "insert":
        return insert(statement, table, database)
    scope = Scope([(table.name, name) for name in table.names] + [(table.name, "rowid")], None, database)
    node = ("scan", table)
    if statement[-1] is not None:
        node = ("filter", node, bind(statement[-1], scope))
    if kind == "delete":
        return ("delete", table, node)
    return ("update", table, node, [(place(table, name), bind(value, scope)) for name, value in statement[2]])


def insert(statement, table, database):
    _, _, names, source = statement
    places = [place(table, name) for name in (table.names if names is None else names)]
    node, produced = query(source, database, None)
    if len(produced) != len(places):
        raise SqlError("table %s has %d columns but %d values were supplied" % (table.name, len(places), len(produced)))
    return ("insert", table, places, node)


def place(table, name):
    """Where the table has a column."""
    found = position([(None, column) for column in table.names], None, name)
    if found is None:
        raise SqlError("table %s has no column named %s" % (table.name, name))
    return found


def query(statement, database, outer):
    """(node, names of its columns) of a select; `outer` is the scope of the query around it."""
    if statement[0] == "select":
        return need("planner.select").plan(statement[1], database, outer)
    if statement[0] == "compound":
        return need("planner.compound").plan(statement[1], database, outer)
    rows = statement[1]
    if any(len(row) != len(rows[0]) for row in rows):
        raise SqlError("all VALUES must have the same number of terms")
    scope = Scope([], outer, database)
    return ("rows", [[bind(value, scope) for value in row] for row in rows]), ["column%d" % (i + 1) for i in range(len(rows[0]))]
