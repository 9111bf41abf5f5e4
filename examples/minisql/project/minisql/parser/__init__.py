"""Text to syntax trees. Owns the grammar; knows nothing of tables or values.

split(script)    yields the tokens of one statement after the other (tokens.py)
parse(tokens)    one statement as a tuple whose first item is its kind:

    ("select", {"distinct", "items", "from", "where", "group", "having", "order", "limit", "offset"})
    ("compound", {"op", "left", "right", "order", "limit", "offset"})
    ("create", table, columns, keys, if_not_exists)     ("index", table, columns, unique)   ("drop", table, if_exists)
    ("insert", table, columns or None, source)          source: ("values", [[expression]]) or a select
    ("update", table, [(column, expression)], where)    ("delete", table, where)
    ("transaction", "begin" | "commit" | "rollback")

An expression is one of

    ("lit", value)                               None, int, float, str or bytes
    ("col", table or None, name)
    ("call", name, [expression], distinct)       functions by lower-case name, operators by their sign: "+", "AND", "IS NOT"
    ("star", table or None)                      in a select list, and in count(*)
    ("select", select)  ("exists", select)  ("among", expression, select)

Each statement is parsed by the file named in STATEMENTS; each special form of an expression (CASE, BETWEEN, ...)
by a form_*.py, see expressions.py.
"""
from minisql import SqlError, need
from minisql.parser.tokens import Cursor, split  # noqa: F401  (split is part of this interface)

STATEMENTS = {
    "SELECT": "select", "VALUES": "select", "CREATE": "create", "DROP": "create", "INSERT": "insert", "REPLACE": "insert",
    "UPDATE": "update", "DELETE": "delete", "BEGIN": "transaction", "COMMIT": "transaction", "END": "transaction",
    "ROLLBACK": "transaction",
}


def parse(tokens):
    """The tree of one statement."""
    if isinstance(tokens, SqlError):
        raise tokens
    cursor = Cursor(tokens)
    if cursor.word not in STATEMENTS:
        raise cursor.error()
    tree = need("parser." + STATEMENTS[cursor.word]).parse(cursor)
    if not cursor.at_end():
        raise cursor.error()
    return tree
