"""CASE, with or without a value to compare: it becomes case(condition, value, ..., otherwise)."""
from minisql.parser.expressions import call, expression


def parse(cursor):
    cursor.expect("CASE")
    subject = None if cursor.word == "WHEN" else expression(cursor)
    arguments = []
    cursor.expect("WHEN")
    while True:
        condition = expression(cursor)
        arguments.append(condition if subject is None else call("=", subject, condition))
        cursor.expect("THEN")
        arguments.append(expression(cursor))
        if not cursor.take("WHEN"):
            break
    arguments.append(expression(cursor) if cursor.take("ELSE") else ("lit", None))
    cursor.expect("END")
    return call("case", *arguments)
