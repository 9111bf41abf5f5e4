"""UPDATE t SET a = x, b = y WHERE condition."""
from minisql.parser.expressions import expression


def parse(cursor):
    cursor.expect("UPDATE")
    table = cursor.name()
    cursor.expect("SET")
    changes = [assignment(cursor)]
    while cursor.take(","):
        changes.append(assignment(cursor))
    return ("update", table, changes, expression(cursor) if cursor.take("WHERE") else None)


def assignment(cursor):
    column = cursor.name()
    cursor.expect("=")
    return column, expression(cursor)
