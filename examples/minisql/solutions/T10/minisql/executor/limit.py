"""The first rows after an offset; a negative count means all."""
from minisql import SqlError
from minisql.executor import evaluate
from minisql.executor import rows as rows_of


def rows(node, outer):
    count, skipped = whole(node[2]), 0 if node[3] is None else max(whole(node[3]), 0)
    if count == 0:
        return
    for number, row in enumerate(rows_of(node[1], outer)):
        if number >= skipped:
            yield row
            if count > 0 and number + 1 == skipped + count:
                return


def whole(expression):
    value = evaluate(expression, ((), None))
    if not isinstance(value, int):
        raise SqlError("datatype mismatch")
    return value
