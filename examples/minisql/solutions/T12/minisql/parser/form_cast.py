"""CAST(x AS TYPE): it becomes cast(x, 'TYPE')."""
from minisql.parser.expressions import call, expression


def parse(cursor):
    cursor.expect("CAST", "(")
    value = expression(cursor)
    cursor.expect("AS")
    words = [cursor.name().upper()]
    while cursor.at_name():
        words.append(cursor.name().upper())
    if cursor.take("("):  # VARCHAR(20)
        while not cursor.take(")"):
            cursor.advance()
    cursor.expect(")")
    return call("cast", value, ("lit", " ".join(words)))
