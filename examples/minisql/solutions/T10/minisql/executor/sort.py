"""Rows in order. The sort is stable, so the keys are applied from the last to the first."""
from minisql.executor import evaluate
from minisql.executor import rows as rows_of
from minisql.executor.ordering import rank


def rows(node, outer):
    found = list(rows_of(node[1], outer))
    for key, descending in reversed(node[2]):
        found.sort(key=lambda row: rank(evaluate(key, (row, outer))), reverse=descending)
    return iter(found)
