"""Rows to groups: of each group its first row and the values of its aggregates. Groups come in the order of their keys."""
from minisql.executor import evaluate
from minisql.executor import rows as rows_of
from minisql.executor.aggregates import AGGREGATES
from minisql.executor.ordering import rank


def rows(node, outer):
    _, child, keys, aggregates, width = node
    groups = {}
    for row in rows_of(child, outer):
        place = (row, outer)
        groups.setdefault(tuple([evaluate(key, place) for key in keys]), []).append(row)
    if not groups and not keys:
        groups[()] = []
    for key in sorted(groups, key=lambda key: [rank(value) for value in key]):
        members = groups[key]
        first = members[0] if members else (None,) * width
        yield first + tuple([aggregated(aggregate, members, outer) for aggregate in aggregates])


def aggregated(aggregate, members, outer):
    """The aggregate over the rows where its first argument is not NULL; count(*) has no argument and takes all."""
    name, arguments, distinct = aggregate
    if not arguments:
        return len(members)
    values = []
    for row in members:
        given = tuple([evaluate(argument, (row, outer)) for argument in arguments])
        if given[0] is not None and not (distinct and given in values):
            values.append(given)
    return AGGREGATES[name](values)
