"""Functions and operators by name. Owns the list of where each one lives; knows none of them.

A file of this package holds FUNCTIONS = {name: function of values}. Operators are functions named by their sign.
Aggregates are not here but in executor/aggregates.py.
"""
from minisql import SqlError, load

HOMES = {
    "arithmetic": ("+", "-", "*", "/", "%", "&", "|", "<<", ">>", "~", "negate"),
    "logic": ("=", "<>", "<", "<=", ">", ">=", "AND", "OR", "NOT", "IS", "IS NOT"),
    "numeric": ("abs", "sign", "min", "max"),
    "numeric_round": ("round", "floor", "ceil", "ceiling", "trunc", "sqrt", "pow", "power", "mod"),
    "conditional": ("coalesce", "ifnull", "nullif", "iif", "case", "typeof"),
    "text": (
        "||", "length", "upper", "lower", "substr", "substring", "trim", "ltrim", "rtrim", "replace", "instr", "hex", "char",
        "unicode", "quote",
    ),
    "patterns": ("like", "glob"),
    "cast": ("cast",),
}
AGGREGATES = frozenset(("count", "sum", "total", "avg", "min", "max", "group_concat"))


def is_aggregate(name, argument_count):
    """min and max of several values are plain functions."""
    return name in AGGREGATES and (argument_count == 1 or name not in ("min", "max"))


def find(name):
    """The function of this name; SqlError if it is unknown, or not written yet."""
    for home, names in HOMES.items():
        if name in names:
            module = load("executor.functions." + home)
            if module is not None and name in module.FUNCTIONS:
                return module.FUNCTIONS[name]
    raise SqlError("no such function: " + name)
