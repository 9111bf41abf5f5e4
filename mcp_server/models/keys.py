"""Owns the accounts' keys from the place they lie in to the header they are sent in.

Rule: a key is shown by nothing but `reveal`; a file that others can read is not read.
"""

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

OTHERS = stat.S_IRWXG | stat.S_IRWXO
HIDDEN = "(key)"
LENGTH_MAX = 4_096


class BadKey(Exception):
    """An account cannot be used: the sentence says why and what to do, without any of the key."""


class AccountKey:
    """Prints as nothing, compares as itself, and cannot be pickled into anything."""

    __slots__ = ("__text",)

    def __init__(self, text: str):
        self.__text = text

    def reveal(self) -> str:
        """Return the key itself."""
        return self.__text

    def hidden_in(self, data: bytes) -> bytes:
        """Return `data` without the key, should it be in there: vendors quote keys in their errors."""
        return data.replace(self.__text.encode(), HIDDEN.encode())

    def __repr__(self) -> str:
        return HIDDEN

    __str__ = __repr__

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key is not written anywhere")


def from_variable(environ: Mapping[str, str], name: str) -> AccountKey | None:
    """Return the key in an environment variable; None where it is unset or blank.

    Raise BadKey if it cannot be a header.
    """
    text = environ.get(name, "").strip()
    return _checked(text, f"the variable {name}") if text else None


def from_file(path: Path) -> AccountKey:
    """Return the key in a file; raise BadKey unless its owner alone can read it."""
    try:
        # Without O_NONBLOCK a pipe would be waited for.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise BadKey(f"the key file {path} is no regular file")
            if mode & OTHERS:
                raise BadKey(
                    f"the key file {path} can be read by others (mode {stat.S_IMODE(mode):04o}); chmod 600 it"
                )
            raw = file.read(LENGTH_MAX + 1)
    except OSError as error:
        raise BadKey(f"the key file {path} cannot be read: {error.strerror}") from None
    try:
        return _checked(raw.decode("ascii").strip(), f"the key file {path}")
    except UnicodeDecodeError:
        raise BadKey(f"the key file {path} does not hold a key in ASCII") from None


def _checked(text: str, where: str) -> AccountKey:
    if not text:
        raise BadKey(f"{where} is empty")
    if len(text) > LENGTH_MAX or not text.isascii() or not text.isprintable() or " " in text:
        raise BadKey(f"{where} does not hold a key: it has to be one line of printable ASCII")
    return AccountKey(text)
