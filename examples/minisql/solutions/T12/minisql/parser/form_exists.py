"""EXISTS (SELECT ...)."""
from minisql.parser.select import parse as select


def parse(cursor):
    cursor.expect("EXISTS", "(")
    inner = select(cursor)
    cursor.expect(")")
    return ("exists", inner)
