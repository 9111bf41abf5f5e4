"""GROUP BY and HAVING. Owns what a key may be: an expression, an ordinal, or an alias where no column has the name."""
from minisql import SqlError
from minisql.planner.columns import bind, position


def keys(clauses, items, scope):
    """The bound keys. No aggregate may stand in one."""
    collected, scope.aggregates = scope.aggregates, None
    bound = [bind(meant(key, items, scope), scope) for key in clauses["group"]]
    scope.aggregates = collected
    return bound


def meant(key, items, scope):
    if key[0] == "lit" and isinstance(key[1], int):
        if not 1 <= key[1] <= len(items):
            raise SqlError("GROUP BY term out of range - should be between 1 and %d" % len(items))
        return items[key[1] - 1][0]
    if key[0] == "col" and key[1] is None and position(scope.columns, None, key[2]) is None:
        return by_alias(key, items)
    return key


def by_alias(key, items):
    for expression, alias in items:
        if alias is not None and alias.lower() == key[2].lower():
            return expression
    return key


def having(clauses, scope):
    """The bound condition on groups; it may hold aggregates that are not selected."""
    if clauses["having"] is None:
        return None
    if not clauses["group"] and not scope.aggregates:
        raise SqlError("a GROUP BY clause is required before HAVING")
    return bind(clauses["having"], scope)
