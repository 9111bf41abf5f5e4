"""Reads a script on stdin, prints its rows, exits 1 if any statement failed.

Every case of the oracle is one such process, so start-up is all that counts: only built-in modules are imported,
and the process ends without tearing the interpreter down.
"""
import posix
import sys

sys.path[0] = sys.path[0][: -len("minisql")] or "."  # the project's root instead of this directory
from minisql import shell  # noqa: E402

CHUNK_BYTES = 1 << 16


def read_all(fd):
    chunks = []
    while chunk := posix.read(fd, CHUNK_BYTES):
        chunks.append(chunk)
    return b"".join(chunks).decode()


def write_all(fd, text):
    left = text.encode()
    while left:
        left = left[posix.write(fd, left):]


printed, errors = shell.run(read_all(0))
write_all(1, printed)
write_all(2, errors)
posix._exit(1 if errors else 0)
