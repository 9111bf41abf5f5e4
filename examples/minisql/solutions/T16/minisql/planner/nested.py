"""Queries inside queries: scalar, EXISTS, IN, and in FROM. A column of the query around is a slot at a greater depth."""
from minisql import SqlError
from minisql.planner import query
from minisql.planner.columns import bind as bind_expression


def bind(expression, scope):
    kind = expression[0]
    node, names = query(expression[-1], scope.database, scope)
    if kind == "exists":
        return ("exists", node)
    if len(names) != 1:
        raise SqlError("sub-select returns %d columns - expected 1" % len(names))
    if kind == "select":
        return ("scalar", node)
    return ("among", bind_expression(expression[1], scope), node)


def derived(source, database, outer):
    """(node, columns) of a SELECT in FROM, which sees what is around the query but not its neighbours."""
    _, tree, alias = source
    node, names = query(tree, database, outer)
    return node, [(alias or "", name) for name in names]
