"""FROM with several sources: nested loops from left to right. Owns ON, USING and what a star shows of joined columns."""
from minisql import SqlError
from minisql.planner.columns import Scope, bind, position
from minisql.planner.select import one_source


def source(sources, database, outer):
    """(node, columns) of all sources joined."""
    node, columns = one_source(sources[0][1], database, outer)
    for how, tree, on, using in sources[1:]:
        right, added = one_source(tree, database, outer)
        condition = None
        scope = Scope(columns + added, outer, database)
        if on is not None:
            condition = bind(on, scope)
        for name in using:
            condition = with_equal(condition, name, columns, added)
        node = ("loop", node, right, condition, how == "left", len(added))
        columns = columns + [hidden(column, using) for column in added]
    return node, columns


def with_equal(condition, name, columns, added):
    """The condition, and that the column is equal on both sides."""
    from minisql.executor import functions
    left, right = position(columns, None, name), position(added, None, name)
    if left is None or right is None:
        raise SqlError("cannot join using column %s - column not present in both tables" % name)
    equal = ("call", functions.find("="), [("slot", 0, left), ("slot", 0, len(columns) + right)])
    return equal if condition is None else ("call", functions.find("AND"), [condition, equal])


def hidden(column, using):
    """A column that USING has merged into the left one is no longer found by its name."""
    owner, name = column
    return (owner, "rowid") if name.lower() in [other.lower() for other in using] else column
