"""Functions that choose among their arguments, and typeof. CASE is the call case(condition, value, ..., otherwise)."""
from minisql.executor import truth


def coalesce(*values):
    """The first value that is not NULL."""
    for value in values:
        if value is not None:
            return value
    return None


def nullif(value, unwanted):
    if value is None or unwanted is None:
        return value
    same = value == unwanted and isinstance(value, str) == isinstance(unwanted, str)
    return None if same else value


def choose(*arguments):
    """The value after the first condition that holds, else the last argument."""
    for place in range(0, len(arguments) - 1, 2):
        if truth(arguments[place]):
            return arguments[place + 1]
    return arguments[-1]


def type_of(value):
    if value is None:
        return "null"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "real"
    return "text" if isinstance(value, str) else "blob"


FUNCTIONS = {"coalesce": coalesce, "ifnull": coalesce, "nullif": nullif, "iif": choose, "case": choose, "typeof": type_of}
