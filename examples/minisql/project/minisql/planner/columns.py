"""Names in scope. Owns the meaning of a column name, and turns expressions into bound ones.

Subqueries in expressions are bound by nested.py: bind(expression, scope).
"""
from minisql import SqlError, need
from minisql.executor import functions


class Scope:
    """The columns [(table alias, name)] a row has here, the scope around it, and the aggregates met while binding.

    `aggregates` is None where an aggregate must not stand.
    """

    def __init__(self, columns, outer, database):
        self.columns = columns
        self.outer = outer
        self.database = database
        self.aggregates = None


def position(columns, table, name):
    """Where a column stands among `columns`, None if it is not there."""
    wanted = name.lower()
    found = None
    for place, (owner, column) in enumerate(columns):
        if column.lower() == wanted and (table is None or owner is not None and owner.lower() == table.lower()):
            if found is not None and wanted != "rowid":
                raise SqlError("ambiguous column name: " + name)
            found = place
    return found


def bind(expression, scope):
    """The bound expression: columns are slots, calls hold their function."""
    kind = expression[0]
    if kind == "lit":
        return expression
    if kind == "col":
        return slot(expression, scope)
    if kind == "call":
        name, arguments = expression[1], expression[2]
        if functions.is_aggregate(name, len(arguments)):
            return aggregate(expression, scope)
        return ("call", functions.find(name), [bind(argument, scope) for argument in arguments])
    if kind == "star":
        raise SqlError('near "*": syntax error')
    return need("planner.nested").bind(expression, scope)


def slot(column, scope):
    _, table, name = column
    depth, here = 0, scope
    while here is not None:
        place = position(here.columns, table, name)
        if place is not None:
            return ("slot", depth, place)
        depth, here = depth + 1, here.outer
    raise SqlError("no such column: " + (table + "." if table else "") + name)


def aggregate(call, scope):
    """The slot behind the row's own columns where the group node will put the aggregate's value."""
    _, name, arguments, distinct = call
    if scope.aggregates is None:
        raise SqlError("misuse of aggregate: %s()" % name)
    collected, scope.aggregates = scope.aggregates, None
    bound = [bind(argument, scope) for argument in arguments if argument[0] != "star"]
    scope.aggregates = collected
    wanted = (name, bound, distinct)
    if wanted not in collected:
        collected.append(wanted)
    return ("slot", 0, len(scope.columns) + collected.index(wanted))
