"""One SELECT. Owns the order of the steps: from, where, group, having, sort, project, distinct, limit.

Parts that are files of their own, each used only by queries that need it:

    names.py     expand(items, scope) -> [(expression, alias)] without stars;   order_key(key, items) -> the expression meant
    joins.py     source(sources, database, outer) -> (node, columns) of a FROM with more than one source
    nested.py    derived(source, database, outer) -> (node, columns) of a SELECT in FROM
    grouping.py  keys(clauses, scope) -> [bound key];   having(clauses, scope) -> bound condition or None
"""
from minisql import need
from minisql.planner.columns import Scope, bind


def plan(clauses, database, outer):
    """(node, names of its columns)"""
    node, columns = source(clauses["from"], database, outer)
    scope = Scope(columns, outer, database)
    if clauses["where"] is not None:
        node = ("filter", node, bind(clauses["where"], scope))
    items = clauses["items"]
    if any(item[0][0] == "star" for item in items):
        items = need("planner.names").expand(items, scope)
    scope.aggregates = []
    outputs = [bind(item[0], scope) for item in items]
    node, order = grouped(node, clauses, items, scope)
    if order:
        node = ("sort", node, order)
    node = ("project", node, outputs)
    if clauses["distinct"]:
        node = ("distinct", node)
    return limited(node, clauses, database), [output_name(item) for item in items]


def source(sources, database, outer):
    """(node, columns) of FROM."""
    if not sources:
        return ("single",), []
    if len(sources) > 1:
        return need("planner.joins").source(sources, database, outer)
    return one_source(sources[0][1], database, outer)


def one_source(tree, database, outer):
    kind, name, alias = tree
    if kind == "derived":
        return need("planner.nested").derived(tree, database, outer)
    table = database.table(name)
    return ("scan", table), [(alias, column) for column in table.names] + [(alias, "rowid")]


def grouped(node, clauses, items, scope):
    """(the node with its groups, the sort keys): the keys may hold aggregates of their own."""
    keys, condition = [], None
    if clauses["group"] or clauses["having"] is not None:
        grouping = need("planner.grouping")
        keys, condition = grouping.keys(clauses, items, scope), grouping.having(clauses, scope)
    order = [(bind(order_key(key, items), scope), descending) for key, descending in clauses["order"]]
    if keys or scope.aggregates:
        node = ("group", node, keys, scope.aggregates, len(scope.columns))
    if condition is not None:
        node = ("filter", node, condition)
    return node, order


def order_key(key, items):
    """An ordinal or an alias stands for a column of the result."""
    if key[0] == "lit" or key[0] == "col" and key[1] is None and any(alias == key[2] for _, alias in items):
        return need("planner.names").order_key(key, items)
    return key


def limited(node, clauses, database):
    if clauses["limit"] is None:
        return node
    scope = Scope([], None, database)
    offset = clauses["offset"]
    return ("limit", node, bind(clauses["limit"], scope), None if offset is None else bind(offset, scope))


def output_name(item):
    expression, alias = item
    if alias is not None:
        return alias
    return expression[2] if expression[0] == "col" else "?"
