"""INSERT INTO t VALUES (...), (...). Any other form of INSERT is parsed by insert_forms.parse(cursor, table)."""
from minisql import need
from minisql.parser.select import tuples


def parse(cursor):
    cursor.expect("INSERT", "INTO")
    table = cursor.name()
    if cursor.take("VALUES"):
        return ("insert", table, None, ("values", tuples(cursor)))
    return need("parser.insert_forms").parse(cursor, table)
