"""UNION, UNION ALL, INTERSECT and EXCEPT. ORDER BY and LIMIT belong to the whole, and sort by its columns."""
from minisql import SqlError
from minisql.planner import query
from minisql.planner.columns import Scope, bind
from minisql.planner.select import limited


def plan(clauses, database, outer):
    """(node, names of its columns), the names being those of the first SELECT."""
    left, names = query(clauses["left"], database, outer)
    right, others = query(clauses["right"], database, outer)
    if len(names) != len(others):
        raise SqlError("SELECTs to the left and right of %s do not have the same number of result columns" % clauses["op"].upper())
    node = combined(clauses["op"], left, right)
    if clauses["order"]:
        scope = Scope([(None, name) for name in names], outer, database)
        node = ("sort", node, [(key(tree, scope), descending) for tree, descending in clauses["order"]])
    return limited(node, clauses, database), names


def combined(operator, left, right):
    if operator == "union all":
        return ("concat", left, right)
    if operator == "union":
        return ("distinct", ("concat", left, right))
    return ("distinct", ("keep", left, right, operator == "intersect"))


def key(tree, scope):
    """An ordinal or a column of the result."""
    if tree[0] == "lit" and isinstance(tree[1], int):
        if not 1 <= tree[1] <= len(scope.columns):
            raise SqlError("ORDER BY term out of range - should be between 1 and %d" % len(scope.columns))
        return ("slot", 0, tree[1] - 1)
    return bind(tree, scope)
