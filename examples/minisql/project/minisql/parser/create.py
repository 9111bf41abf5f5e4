"""CREATE TABLE, CREATE INDEX and DROP TABLE. Owns how columns and their constraints are written down.

A column is (name, declared type, rules), rules a dict with any of "primary", "not_null", "unique", "default" (an expression).
"""
from minisql.parser.expressions import expression, operand

RULES = ("PRIMARY", "NOT", "UNIQUE", "DEFAULT", "NULL")


def parse(cursor):
    if cursor.take("DROP", "TABLE"):
        if_exists = cursor.take("IF", "EXISTS")
        return ("drop", cursor.name(), if_exists)
    if cursor.take("CREATE", "INDEX"):
        return index(cursor, False)
    if cursor.take("CREATE", "UNIQUE", "INDEX"):
        return index(cursor, True)
    cursor.expect("CREATE", "TABLE")
    unless = cursor.take("IF", "NOT", "EXISTS")
    name = cursor.name()
    columns, keys = [], []
    cursor.expect("(")
    while True:
        if cursor.take("PRIMARY", "KEY") or cursor.word == "UNIQUE" and cursor.take("UNIQUE"):
            keys.append(cursor.names())
        else:
            columns.append(column(cursor))
        if not cursor.take(","):
            break
    cursor.expect(")")
    return ("create", name, columns, keys, unless)


def index(cursor, unique):
    cursor.name()
    cursor.expect("ON")
    return ("index", cursor.name(), cursor.names(), unique)


def column(cursor):
    name, words, rules = cursor.name(), [], {}
    while cursor.at_name() and cursor.word not in RULES:
        words.append(cursor.advance()[2])
    if cursor.take("("):  # VARCHAR(20)
        while not cursor.take(")"):
            cursor.advance()
    while cursor.word in RULES:
        rule(cursor, rules)
    return name, " ".join(words), rules


def rule(cursor, rules):
    if cursor.take("PRIMARY", "KEY"):
        rules["primary"] = True
    elif cursor.take("NOT", "NULL"):
        rules["not_null"] = True
    elif cursor.take("UNIQUE"):
        rules["unique"] = True
    elif cursor.take("DEFAULT"):
        rules["default"] = expression(cursor) if cursor.word == "(" else operand(cursor)
    else:
        cursor.expect("NULL")
