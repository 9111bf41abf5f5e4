"""x LIKE pattern, with ESCAPE, and x GLOB pattern: they become like(pattern, x) and glob(pattern, x)."""
from minisql.parser.expressions import FORM_STRENGTH, call, expression


def parse_after(cursor, left):
    name = cursor.advance()[2].lower()
    arguments = [expression(cursor, FORM_STRENGTH), left]
    if cursor.take("ESCAPE"):
        arguments.append(expression(cursor, FORM_STRENGTH))
    return call(name, *arguments)
