"""Aggregates over the argument tuples of a group, NULLs already left out."""
from minisql import SqlError
from minisql.executor.convert import number_of
from minisql.executor.ordering import rank
from minisql.shell import render

INTEGER_MIN, INTEGER_MAX = -(1 << 63), (1 << 63) - 1


def numbers(values):
    return [number_of(value) for value, *_ in values]


def total(values):
    """Of nothing 0.0, and always a real."""
    return float(sum(numbers(values)))


def summed(values):
    """Of nothing NULL; of integers an integer, and an error if it does not fit."""
    if not values:
        return None
    result = sum(numbers(values))
    if isinstance(result, int) and not INTEGER_MIN <= result <= INTEGER_MAX:
        raise SqlError("integer overflow")
    return result


def average(values):
    return total(values) / len(values) if values else None


def smallest(values):
    return min([value for value, in values], key=rank, default=None)


def largest(values):
    return max([value for value, in values], key=rank, default=None)


def joined(values):
    """group_concat(text, separator), the separator a comma unless given."""
    if not values:
        return None
    parts = [render(values[0][0])]
    for given in values[1:]:
        parts.append((render(given[1]) if len(given) > 1 else ",") + render(given[0]))
    return "".join(parts)


AGGREGATES = {
    "count": len, "sum": summed, "total": total, "avg": average, "min": smallest, "max": largest, "group_concat": joined,
}
