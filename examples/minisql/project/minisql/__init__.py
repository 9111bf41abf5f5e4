"""A small SQL engine; this file owns the one error type and how parts that may not be written yet are found."""
import sys


class SqlError(Exception):
    """The statement cannot be run; the script goes on with the next one."""


def load(part):
    """The module `minisql.<part>`, or None while no task has written it.

    A part that exists but fails to import is a bug, and is not hidden.
    """
    name = "minisql." + part
    try:
        __import__(name)
    except ModuleNotFoundError as missing:
        if missing.name != name:
            raise
        return None
    return sys.modules[name]


def need(part):
    """The module `minisql.<part>`; a statement that needs a part nobody has written yet is an SqlError."""
    module = load(part)
    if module is None:
        raise SqlError("not implemented yet: " + part)
    return module
