"""The other forms of INSERT: with a column list, from a SELECT, and DEFAULT VALUES."""
from minisql.parser.select import parse as select


def parse(cursor, table):
    if cursor.take("DEFAULT", "VALUES"):
        return ("insert", table, [], ("values", [[]]))
    names = cursor.names() if cursor.word == "(" else None
    return ("insert", table, names, select(cursor))
