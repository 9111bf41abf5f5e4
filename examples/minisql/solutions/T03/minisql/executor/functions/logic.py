"""Comparisons and three-valued logic: 1, 0, and None for the unknown that NULL brings."""
from minisql.executor import truth
from minisql.executor.ordering import rank


def comparison(holds):
    """The operator that is unknown if either side is NULL."""
    def operator(left, right):
        if left is None or right is None:
            return None
        return 1 if holds(rank(left), rank(right)) else 0
    return operator


def both(left, right):
    """False wins over unknown."""
    if known_false(left) or known_false(right):
        return 0
    return None if left is None or right is None else 1


def either(left, right):
    """True wins over unknown."""
    if truth(left) or truth(right):
        return 1
    return None if left is None or right is None else 0


def negation(value):
    return None if value is None else 0 if truth(value) else 1


def known_false(value):
    return value is not None and not truth(value)


def same(left, right):
    """NULL is the same as NULL."""
    return 1 if rank(left) == rank(right) else 0


FUNCTIONS = {
    "=": comparison(lambda left, right: left == right),
    "<>": comparison(lambda left, right: left != right),
    "<": comparison(lambda left, right: left < right),
    "<=": comparison(lambda left, right: left <= right),
    ">": comparison(lambda left, right: left > right),
    ">=": comparison(lambda left, right: left >= right),
    "AND": both,
    "OR": either,
    "NOT": negation,
    "IS": same,
    "IS NOT": lambda left, right: 1 - same(left, right),
}
