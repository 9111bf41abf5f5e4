"""Column affinity: what a declared type does to a value that is stored. Owns the mapping of type names to affinities."""
from minisql.executor.convert import is_number, number_of
from minisql.shell import render

INTEGER_LIMIT = float(1 << 63)


def affinity(declared):
    """By the rules of https://sqlite.org/datatype3.html#determination_of_column_affinity, in their order."""
    if "INT" in declared:
        return "integer"
    if "CHAR" in declared or "CLOB" in declared or "TEXT" in declared:
        return "text"
    if declared == "" or "BLOB" in declared:
        return "blob"
    return "real" if "REAL" in declared or "FLOA" in declared or "DOUB" in declared else "numeric"


def applied(declared, value):
    """The value as a column of the declared type stores it; what cannot be converted stays as it is."""
    kind = affinity(declared)
    if value is None or kind == "blob" or isinstance(value, bytes):
        return value
    if kind == "text":
        return value if isinstance(value, str) else render(value)
    if isinstance(value, str):
        if not is_number(value):
            return value
        value = number_of(value)
    return float(value) if kind == "real" else whole(value)


def whole(value):
    """A real without a fraction becomes an integer."""
    if isinstance(value, float) and abs(value) < INTEGER_LIMIT and value == int(value):
        return int(value)
    return value
