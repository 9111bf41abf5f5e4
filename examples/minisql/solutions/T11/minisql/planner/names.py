"""What stands for other expressions: stars in a select list, and ordinals and aliases in ORDER BY and GROUP BY."""
from minisql import SqlError

HIDDEN = "rowid"


def expand(items, scope):
    """The items with every star replaced by the columns it stands for."""
    found = []
    for item in items:
        found.extend(columns(item[0][1], scope) if item[0][0] == "star" else [item])
    return found


def columns(table, scope):
    if not scope.columns:
        raise SqlError("no tables specified")
    found = [
        (("col", owner, name), name) for owner, name in scope.columns
        if name != HIDDEN and (table is None or owner.lower() == table.lower())
    ]
    if not found:
        raise SqlError("no such table: %s" % table)
    return found


def order_key(key, items):
    """The expression that an ordinal or an alias stands for."""
    if key[0] == "lit":
        return ordinal(key, items)
    for expression, alias in items:
        if alias is not None and key[2].lower() == alias.lower():
            return expression
    return key


def ordinal(key, items):
    if not isinstance(key[1], int):
        return key
    if not 1 <= key[1] <= len(items):
        raise SqlError("ORDER BY term out of range - should be between 1 and %d" % len(items))
    return items[key[1] - 1][0]
