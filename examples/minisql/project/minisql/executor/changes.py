"""Statements that change the database: they collect their rows first, then write. Owns the undoing of a half-done one."""
from minisql.executor import evaluate, rows


def apply(plan, database):
    kind = plan[0]
    if kind == "create":
        database.create(*plan[1:])
    elif kind == "drop":
        database.drop(*plan[1:])
    elif kind == "index":
        database.index(*plan[1:])
    elif kind == "transaction":
        database.transaction(plan[1])
    else:
        table = plan[1]
        before = table.contents()
        try:
            WRITE[kind](plan, table)
        except Exception:
            table.restore(before)
            raise


def insert(plan, table):
    places = plan[2]
    for row in list(rows(plan[3], None)):
        table.insert(dict(zip(places, row)))


def update(plan, table):
    for row in list(rows(plan[2], None)):
        values = list(row[:-1])
        for position, value in plan[3]:
            values[position] = evaluate(value, (row, None))
        table.replace(row[-1], values)


def delete(plan, table):
    for row in list(rows(plan[2], None)):
        table.remove(row[-1])


WRITE = {"insert": insert, "update": update, "delete": delete}
