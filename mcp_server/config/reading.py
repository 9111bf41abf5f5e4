"""Reads one table of a file into one dataclass: the dataclass is the schema.

Rule: nothing is raised for what a person wrote; each thing wrong becomes a Problem, and reading goes on.
"""

import difflib
from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, Field, dataclass, fields
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from mcp_server.config.positions import Keys, Positions
from mcp_server.config.spec import ConfigProblem

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

D = TypeVar("D", bound="DataclassInstance")
NAMED_MAX = 20  # names listed where none is near


class WrongType(Exception):
    """Says what the value had to be and, where one is near, what to write."""

    def __init__(self, expected: str, suggestion: str = "") -> None:
        super().__init__(expected)
        self.expected, self.suggestion = expected, suggestion


@dataclass(frozen=True)
class Source:
    """One file under reading: where its keys stand, how many lines precede them, and what is wrong so far."""

    file: str
    positions: Positions
    problems: list[ConfigProblem]
    lines_before: int = 0

    def line(self, keys: Keys, value: object = None) -> int:
        if self.lines_before and keys[:1] not in self.positions.spans:
            return self.lines_before  # of a key that front matter lacks: the fence above it
        return self.positions.line(keys, value) + self.lines_before

    def problem(self, keys: Keys, message: str, suggestion: str = "", value: object = None) -> None:
        self.problems.append(ConfigProblem(self.file, self.line(keys, value), message, suggestion))


def read(cls: type[D], source: Source, keys: Keys, values: Mapping[str, Any], **given: Any) -> D | None:
    """Return an instance of the dataclass `cls`, or None once its problems are noted.

    `given` fields are not the file's.
    """
    schema = {item.name: item for item in fields(cls) if item.name not in given}
    for name in values:
        if name not in schema:
            source.problem((*keys, name), f"unknown key {dotted((*keys, name))}", did_you_mean(name, schema))
    found, complete = dict(given), True
    for name, item in schema.items():
        if name not in values:
            if _is_required(item):
                source.problem(
                    keys,
                    f"{dotted(keys)} has no {name}" if keys else f"there is no {name}",
                    f"add {name} = ...",
                )
                complete = False
            continue
        try:
            found[name] = _converted(item.type, values[name])
        except WrongType as wrong:
            is_now = f"{dotted((*keys, name))} must be {wrong.expected}, not {_describe(values[name])}"
            source.problem((*keys, name), is_now, wrong.suggestion)
            complete = False
    return cls(**found) if complete else None


def tables(source: Source, document: Mapping[str, Any], section: str) -> dict[str, Mapping[str, Any]]:
    """Return the named tables below a section, such as [modules.parser], without those that are no tables."""
    whole = document.get(section, {})
    if not isinstance(whole, Mapping):
        source.problem(
            (section,), f"{section} must hold tables, not {_describe(whole)}", f"write [{section}.NAME]"
        )
        return {}
    found = {}
    for name, table in whole.items():
        if isinstance(table, Mapping):
            found[name] = table
        else:
            message = f"{section} must hold tables, not the key {name!r}"
            source.problem((section, name), message, f"put it below a header such as [{section}.NAME]")
    return found


def did_you_mean(name: str, choices: Collection[str]) -> str:
    """Return a suggestion: the choice that is nearest to `name`, or else the first NAMED_MAX choices."""
    near = difflib.get_close_matches(name, choices, n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]!r}?"
    if not choices:
        return ""
    more = ", ..." if len(choices) > NAMED_MAX else ""
    return f"it can be {', '.join(sorted(choices)[:NAMED_MAX])}{more}"


def dotted(keys: Keys) -> str:
    return ".".join(keys)


def _is_required(item: Field[Any]) -> bool:
    return item.default is MISSING and item.default_factory is MISSING


def _converted(kind: Any, value: Any) -> Any:
    """Return `value` as the annotation `kind` wants it; of a union, as the first member that fits.

    Raise WrongType if no member fits.
    """
    members = get_args(kind) if isinstance(kind, UnionType) else (kind,)
    members = tuple(member for member in members if member is not NoneType)
    wrong: list[WrongType] = []
    for member in members:
        try:
            return CONVERTERS[member](value)
        except WrongType as error:
            wrong.append(error)
    raise WrongType(" or ".join(error.expected for error in wrong), wrong[-1].suggestion)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    is_plain = isinstance(value, (int, float)) and not isinstance(value, bool)
    raise WrongType("a string", f'put it in quotes: "{value}"' if is_plain else "")


def _integer(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise WrongType("a whole number", _without_quotes(value))


def _number(value: Any) -> float:
    if (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and value == value
        and abs(value) != float("inf")
    ):
        return float(value)
    raise WrongType("a number", _without_quotes(value))


def _truth(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise WrongType(
        "true or false", f"write it without quotes: {value}" if value in ("true", "false") else ""
    )


def _without_quotes(value: Any) -> str:
    is_number = isinstance(value, str) and value.strip().lstrip("-").replace(".", "", 1).isdecimal()
    return f"write it without quotes: {value.strip()}" if is_number else ""


def _texts(value: Any) -> tuple[str, ...]:
    """A list of strings; a single string is a list of one."""
    if isinstance(value, str):
        return (value,)
    return tuple(_text_list(value))


def _integers(value: Any) -> tuple[int, ...]:
    """Return a list of whole numbers; a single one is a list of one."""
    listed = value if isinstance(value, list) else [value]
    if all(type(item) is int for item in listed):
        return tuple(listed)
    raise WrongType("a list of whole numbers", "write [0, 1]")


def _text_list(value: Any) -> list[str]:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return list(value)
    raise WrongType("a list of strings", 'write ["...", "..."]')


def _text_table(value: Any) -> dict[str, str]:
    if isinstance(value, Mapping) and all(isinstance(item, str) for item in value.values()):
        return dict(value)
    raise WrongType("a table of strings", 'write { NAME = "value" }')


CONVERTERS: dict[Any, Callable[[Any], Any]] = {
    bool: _truth,
    str: _text,
    int: _integer,
    float: _number,
    tuple[str, ...]: _texts,
    tuple[int, ...]: _integers,
    list[str]: _text_list,
    dict[str, str]: _text_table,
}


def _describe(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list):
        return "a list"
    return f"the string {value!r}" if isinstance(value, str) else f"{value}"
