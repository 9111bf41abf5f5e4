"""Expressions, by operator precedence. Owns the table of binary operators; special forms live in form_*.py files.

A form that begins with its word (CASE, CAST, EXISTS) is form_<name>.parse(cursor), called before the word is taken.
A form that follows an operand (BETWEEN, IN, LIKE, GLOB) is form_<name>.parse_after(cursor, left), called with
the cursor on the word; a NOT before it is handled here. Most forms turn into calls: see `call`.
"""
from minisql import need

BINARY = {
    "OR": 1, "AND": 2, "=": 4, "==": 4, "<>": 4, "!=": 4, "IS": 4, "<": 5, "<=": 5, ">": 5, ">=": 5,
    "&": 6, "|": 6, "<<": 6, ">>": 6, "+": 7, "-": 7, "*": 8, "/": 8, "%": 8, "||": 9,
}
NOT_STRENGTH = 3
FORM_STRENGTH = 4
UNARY_STRENGTH = 10
SAME = {"==": "=", "!=": "<>"}
FORMS = {"CASE": "case", "CAST": "cast", "EXISTS": "exists"}
FORMS_AFTER = {"BETWEEN": "between", "IN": "in", "LIKE": "like", "GLOB": "like"}
CONSTANTS = {"NULL": None, "TRUE": 1, "FALSE": 0}


def call(name, *arguments):
    return ("call", name, list(arguments), False)


def expression(cursor, floor=0):
    """The expression that stands here, as far as its operators bind more strongly than `floor`."""
    left = operand(cursor)
    while True:
        word = cursor.word
        if BINARY.get(word, 0) > floor:
            cursor.advance()
            left = binary(cursor, word, left)
        elif word in FORMS_AFTER and floor < FORM_STRENGTH:
            left = need("parser.form_" + FORMS_AFTER[word]).parse_after(cursor, left)
        elif word == "NOT" and cursor.following() in FORMS_AFTER and floor < FORM_STRENGTH:
            cursor.advance()
            left = call("NOT", need("parser.form_" + FORMS_AFTER[cursor.word]).parse_after(cursor, left))
        elif floor < FORM_STRENGTH and cursor.take("ISNULL"):
            left = call("IS", left, ("lit", None))
        elif floor < FORM_STRENGTH and (cursor.take("NOTNULL") or cursor.take("NOT", "NULL")):
            left = call("IS NOT", left, ("lit", None))
        else:
            return left


def expressions(cursor):
    found = [expression(cursor)]
    while cursor.take(","):
        found.append(expression(cursor))
    return found


def binary(cursor, word, left):
    name = SAME.get(word, word)
    if word == "IS":
        name = "IS NOT" if cursor.take("NOT") else "IS"
        if cursor.take("DISTINCT", "FROM"):
            name = "IS" if name == "IS NOT" else "IS NOT"
    return call(name, left, expression(cursor, BINARY[word]))


def operand(cursor):
    """One operand: a literal, a column, a call, a form, or something in parentheses."""
    kind, value, word = cursor.current()
    if kind == "value":
        cursor.advance()
        return ("lit", value)
    if kind == "op":
        return signed(cursor)
    if word in CONSTANTS:
        cursor.advance()
        return ("lit", CONSTANTS[word])
    if word == "NOT":
        cursor.advance()
        return call("NOT", expression(cursor, NOT_STRENGTH))
    if word in FORMS:
        return need("parser.form_" + FORMS[word]).parse(cursor)
    name = cursor.name()
    if kind == "word" and cursor.take("("):
        return function(cursor, name.lower())
    if cursor.take("."):
        return ("col", name, cursor.name())
    return ("col", None, name)


def signed(cursor):
    """A sign before an operand, or parentheses."""
    if cursor.take("("):
        inner = query(cursor) if cursor.word in ("SELECT", "VALUES") else expression(cursor)
        cursor.expect(")")
        return inner
    if cursor.take("-"):
        inner = expression(cursor, UNARY_STRENGTH)
        if inner[0] == "lit" and isinstance(inner[1], (int, float)):
            return ("lit", -inner[1])
        return call("negate", inner)
    if cursor.take("+"):
        return expression(cursor, UNARY_STRENGTH)
    if cursor.take("~"):
        return call("~", expression(cursor, UNARY_STRENGTH))
    raise cursor.error()


def query(cursor):
    return ("select", need("parser.select").parse(cursor))


def function(cursor, name):
    """The arguments of a call, after its opening parenthesis."""
    if cursor.take("*"):
        cursor.expect(")")
        return call(name, ("star", None))
    if cursor.take(")"):
        return call(name)
    distinct = cursor.take("DISTINCT")
    arguments = expressions(cursor)
    cursor.expect(")")
    return ("call", name, arguments, distinct)
