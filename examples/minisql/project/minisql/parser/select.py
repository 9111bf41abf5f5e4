"""SELECT, VALUES and compounds of them. Owns the order of the clauses; says nothing about what they mean."""
from minisql.parser.expressions import expression, expressions

COMPOUNDS = ("UNION", "INTERSECT", "EXCEPT")


def parse(cursor):
    tree = simple(cursor)
    while cursor.word in COMPOUNDS:
        operator = cursor.advance()[2].lower()
        if operator == "union" and cursor.take("ALL"):
            operator = "union all"
        tree = ("compound", {"op": operator, "left": tree, "right": simple(cursor), "order": [], "limit": None, "offset": None})
    clauses = tree[1]
    if tree[0] != "values":
        clauses["order"] = ordering(cursor)
        clauses["limit"], clauses["offset"] = limits(cursor)
    return tree


def simple(cursor):
    """One SELECT without ORDER BY and LIMIT, which belong to the whole compound."""
    if cursor.take("VALUES"):
        return ("values", tuples(cursor))
    cursor.expect("SELECT")
    clauses = {"distinct": cursor.take("DISTINCT"), "order": [], "limit": None, "offset": None}
    cursor.take("ALL")
    clauses["items"] = items(cursor)
    clauses["from"] = sources(cursor) if cursor.take("FROM") else []
    clauses["where"] = expression(cursor) if cursor.take("WHERE") else None
    clauses["group"] = expressions(cursor) if cursor.take("GROUP", "BY") else []
    clauses["having"] = expression(cursor) if cursor.take("HAVING") else None
    return ("select", clauses)


def tuples(cursor):
    """The rows after VALUES."""
    rows = []
    while True:
        cursor.expect("(")
        rows.append(expressions(cursor))
        cursor.expect(")")
        if not cursor.take(","):
            return rows


def items(cursor):
    """[(expression, alias or None)]"""
    found = [item(cursor)]
    while cursor.take(","):
        found.append(item(cursor))
    return found


def item(cursor):
    if cursor.take("*"):
        return ("star", None), None
    if cursor.following() == "." and cursor.tokens[cursor.place + 2:][:1] == [("op", "*", "*")]:
        table = cursor.name()
        cursor.expect(".", "*")
        return ("star", table), None
    return expression(cursor), alias(cursor)


def alias(cursor):
    if cursor.take("AS"):
        return cursor.name()
    return cursor.name() if cursor.at_name() else None


def sources(cursor):
    """[(how it is joined: None | "cross" | "inner" | "left", source, ON expression or None, USING names)]"""
    found = [(None, source(cursor), None, [])]
    while True:
        how = joined(cursor)
        if how is None:
            return found
        table = source(cursor)
        on = expression(cursor) if cursor.take("ON") else None
        using = cursor.names() if cursor.take("USING") else []
        found.append((how, table, on, using))


def joined(cursor):
    """How the next source is joined, None if there is none."""
    if cursor.take(",") or cursor.take("CROSS", "JOIN"):
        return "cross"
    if cursor.take("LEFT", "OUTER", "JOIN") or cursor.take("LEFT", "JOIN"):
        return "left"
    if cursor.take("INNER", "JOIN") or cursor.take("JOIN"):
        return "inner"
    return None


def source(cursor):
    """("table", name, alias) or ("derived", select, alias)"""
    if cursor.take("("):
        inner = parse(cursor)
        cursor.expect(")")
        return ("derived", inner, alias(cursor))
    name = cursor.name()
    return ("table", name, alias(cursor) or name)


def ordering(cursor):
    """[(expression, descending)]"""
    if not cursor.take("ORDER", "BY"):
        return []
    found = []
    while True:
        key = expression(cursor)
        descending = cursor.take("DESC")
        cursor.take("ASC")
        found.append((key, descending))
        if not cursor.take(","):
            return found


def limits(cursor):
    """(LIMIT, OFFSET)"""
    if not cursor.take("LIMIT"):
        return None, None
    limit = expression(cursor)
    if cursor.take(","):  # LIMIT offset, limit
        return expression(cursor), limit
    return limit, expression(cursor) if cursor.take("OFFSET") else None
