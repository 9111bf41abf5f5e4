"""Owns how lists of kinds are made: every module of a package has one record of its own, in one place."""

import importlib
import pkgutil
from collections.abc import Collection, Iterable
from typing import TypeVar

Record = TypeVar("Record")


class HalfRecord(TypeError):
    """A module without its record, or a record that lacks a part; the message names it."""


def records(
    places: Iterable[str], package: str, *, named: str, of: type[Record], beside: Collection[str]
) -> list[Record]:
    """Return what each module of the package, whose directories are `places`, calls `named`, by module name.

    Modules called as in `beside` have none. Raise HalfRecord where any other has no record of the class `of`.
    """
    found: list[Record] = []
    for module in sorted(pkgutil.iter_modules(places), key=lambda module: module.name):
        if module.name in beside:
            continue
        full_name = f"{package}.{module.name}"
        record = getattr(importlib.import_module(full_name), named, None)
        if not isinstance(record, of):
            raise HalfRecord(f"{full_name} has no {named}: a {of.__name__}, which says what it can do")
        found.append(record)
    return found
