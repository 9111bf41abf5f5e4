"""The front: runs a script statement by statement and renders rows as sqlite3's list mode does (`a|b`, NULL empty).

Every case of the oracle is one process, so start-up is all that counts: only built-in modules are imported, and the process
ends without tearing the interpreter down.
"""
import posix

from minisql import SqlError, executor, parser, planner
from minisql.storage import Database

CHUNK_BYTES = 1 << 16


def main():
    """Script on stdin, rows on stdout, errors on stderr; exit 1 if any statement failed."""
    printed, errors = run(read_all(0))
    write_all(1, printed)
    write_all(2, errors)
    posix._exit(1 if errors else 0)


def read_all(fd):
    chunks = []
    while chunk := posix.read(fd, CHUNK_BYTES):
        chunks.append(chunk)
    return b"".join(chunks).decode()


def write_all(fd, text):
    left = text.encode()
    while left:
        left = left[posix.write(fd, left):]


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
