"""DELETE FROM t WHERE condition."""
from minisql.parser.expressions import expression


def parse(cursor):
    cursor.expect("DELETE", "FROM")
    table = cursor.name()
    return ("delete", table, expression(cursor) if cursor.take("WHERE") else None)
