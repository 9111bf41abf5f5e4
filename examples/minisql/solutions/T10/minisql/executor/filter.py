"""Rows for which a condition holds; unknown is not enough."""
from minisql.executor import evaluate, truth
from minisql.executor import rows as rows_of


def rows(node, outer):
    for row in rows_of(node[1], outer):
        if truth(evaluate(node[2], (row, outer))):
            yield row
