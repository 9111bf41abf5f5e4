"""x IN (a, b): it becomes x = a OR x = b, which also has the unknown that a NULL brings; IN (SELECT ...) stays as it is."""
from minisql.parser.expressions import call, expressions
from minisql.parser.select import parse as select


def parse_after(cursor, left):
    cursor.expect("IN", "(")
    if cursor.take(")"):
        return ("lit", 0)
    if cursor.word in ("SELECT", "VALUES"):
        inner = select(cursor)
        cursor.expect(")")
        return ("among", left, inner)
    values = expressions(cursor)
    cursor.expect(")")
    found = call("=", left, values[0])
    for value in values[1:]:
        found = call("OR", found, call("=", left, value))
    return found
