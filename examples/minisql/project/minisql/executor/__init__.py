"""Plans to rows and changes. Owns the evaluation of bound expressions; the forms of both are in planner/__init__.py.

run(plan, database) yields the rows of a query; a change yields none.
rows(node, outer) yields a node's rows. Nodes beyond the few here are files of this package named after the node:
filter.py, sort.py, distinct.py, limit.py, group.py, each with rows(node, outer).

A place is (row, place of the query around it or None): evaluate(expression, place).
Values are None, int, float, str and bytes; a truth value is 1, 0 or None.
"""
from minisql import need

FINISHED = ()


def run(plan, database):
    if plan[0] == "query":
        return rows(plan[1], None)
    need("executor.changes").apply(plan, database)
    return FINISHED


def rows(node, outer):
    build = NODES.get(node[0])
    if build is None:
        build = need("executor." + node[0]).rows
    return build(node, outer)


def evaluate(expression, place):
    kind = expression[0]
    if kind == "lit":
        return expression[1]
    if kind == "slot":
        for _ in range(expression[1]):
            place = place[1]
        return place[0][expression[2]]
    if kind == "call":
        return expression[1](*[evaluate(argument, place) for argument in expression[2]])
    if kind == "scalar":
        for row in rows(expression[1], place):
            return row[0]
        return None
    if kind == "exists":
        return 1 if any(True for _ in rows(expression[1], place)) else 0
    return among(evaluate(expression[1], place), [row[0] for row in rows(expression[2], place)])


def among(value, found):
    """value IN (found), with the unknown that a NULL brings."""
    if not found:
        return 0
    if value is None:
        return None
    if any(other == value and isinstance(other, str) == isinstance(value, str) for other in found):
        return 1
    return None if None in found else 0


def truth(value):
    """Whether a condition holds; NULL does not."""
    if value is None:
        return False
    if isinstance(value, (str, bytes)):
        from minisql.executor.convert import number_of
        value = number_of(value)
    return value != 0


def single(node, outer):
    yield ()


def given(node, outer):
    for row in node[1]:
        yield tuple([evaluate(value, ((), outer)) for value in row])


def scan(node, outer):
    for rowid, row in node[1].scan():
        yield (*row, rowid)


def project(node, outer):
    outputs = node[2]
    for row in rows(node[1], outer):
        place = (row, outer)
        yield tuple([evaluate(output, place) for output in outputs])


def concat(node, outer):
    yield from rows(node[1], outer)
    yield from rows(node[2], outer)


def keep(node, outer):
    others = set(rows(node[2], outer))
    for row in rows(node[1], outer):
        if (row in others) == node[3]:
            yield row


def loop(node, outer):
    """A nested loop join."""
    _, left, right, condition, keep_left, width = node
    for row in rows(left, outer):
        matched = False
        for other in rows(right, outer):
            joined = row + other
            if condition is None or truth(evaluate(condition, (joined, outer))):
                matched = True
                yield joined
        if keep_left and not matched:
            yield row + (None,) * width


NODES = {"single": single, "rows": given, "scan": scan, "project": project, "concat": concat, "keep": keep, "loop": loop}
