"""The front: runs a script statement by statement and renders rows as sqlite3's list mode does (`a|b`, NULL empty)."""
from minisql import SqlError, executor, parser, planner
from minisql.storage import Database


def run(script):
    """(what belongs on stdout, what belongs on stderr) of a whole script; a failed statement does not end it."""
    database, printed, errors = Database(), [], []
    for tokens in parser.split(script):
        try:
            statement = parser.parse(tokens)
            plan = planner.plan(statement, database)
            for row in executor.run(plan, database):
                printed.append("|".join([render(value) for value in row]) + "\n")
        except SqlError as error:
            errors.append("Error: %s\n" % error)
    return "".join(printed), "".join(errors)


def render(value):
    """How a value is printed: NULL is empty, a real has 15 digits and always a point."""
    if value is None:
        return ""
    if isinstance(value, float):
        return render_real(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value)


def render_real(value):
    if value in (float("inf"), float("-inf")):
        return "Inf" if value > 0 else "-Inf"
    digits, mark, exponent = format(value + 0.0, ".15g").partition("e")
    return digits + ("" if "." in digits else ".0") + mark + exponent
