"""Owns how one entry gets into a configuration file that is somebody else's: everything else in it stays.
Pure.

Rule: a file that cannot be read to its last word is not touched, since what was not understood could not be
kept.
"""

import json as jsons
import re
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AbstractTable, InlineTable

INDENT = 2


class UnreadableConfig(Exception):
    """The file is not what it should be; the message says where."""


def json(before: str, keys: tuple[str, ...], entry: dict[str, Any]) -> str:
    """Return `before` with `entry` at `keys`; the order of the rest and the indentation are kept. An
    empty text is an empty file.
    """
    try:
        document = jsons.loads(before, object_pairs_hook=_distinct) if before.strip() else {}
    except ValueError as wrong:
        hint = "; its comments would be lost" if re.search(r"^\s*(//|/\*)", before, re.MULTILINE) else ""
        raise UnreadableConfig(f"it is not plain JSON: {wrong}{hint}") from wrong
    if not isinstance(document, dict):
        raise UnreadableConfig("it is JSON, but no object")
    table = document
    for key in keys[:-1]:
        table = table.setdefault(key, {})
        if not isinstance(table, dict):
            raise UnreadableConfig(f"its {key!r} is no object")
    table[keys[-1]] = entry
    indent = re.search(r"^([ \t]+)\S", before, re.MULTILINE)
    return jsons.dumps(document, indent=indent[1] if indent else INDENT, ensure_ascii=False) + "\n"


def toml(before: str, keys: tuple[str, ...], entry: dict[str, Any]) -> str:
    """Return the same for TOML; comments and spacing stay as well."""
    try:
        document = tomlkit.parse(before)
    except TOMLKitError as wrong:
        raise UnreadableConfig(f"it is not TOML: {wrong}") from wrong
    table: Any = document
    for key in keys[:-1]:
        if key not in table:
            table.add(key, tomlkit.table(is_super_table=True))
        table = table[key]
        if not isinstance(table, AbstractTable | dict):
            raise UnreadableConfig(f"its {key!r} is no table")
    written = tomlkit.inline_table() if isinstance(table, InlineTable) else tomlkit.table()
    written.update(entry)
    table[keys[-1]] = written
    return tomlkit.dumps(document)


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        raise ValueError("a key occurs twice, and only one of the two would be kept")
    return table
