"""x BETWEEN low AND high: it becomes x >= low AND x <= high."""
from minisql.parser.expressions import FORM_STRENGTH, call, expression


def parse_after(cursor, left):
    cursor.expect("BETWEEN")
    low = expression(cursor, FORM_STRENGTH)
    cursor.expect("AND")
    high = expression(cursor, FORM_STRENGTH)
    return call("AND", call(">=", left, low), call("<=", left, high))
