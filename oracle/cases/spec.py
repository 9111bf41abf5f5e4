"""Owns what a suite and a case are; a suite's key covers every field, so no setting can change without its
caches.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any, Self

STARTS = ("process", "fork")
SHELL, JSON = PROTOCOLS = ("shell", "json")
TOLERANCE = 1e-9  # relative; a few units in the last place of a double
CASE_TIMEOUT_S = 10.0
RUN_TIMEOUT_S = 600.0
SLOW_FACTOR = 3.0  # a run is slow that takes so many times as long as main's
TELL, REFUSE = SLOW = ("tell", "refuse")  # what is done about a change that makes a suite slow


class BadSpec(ValueError):
    """A suite that cannot be read; the message names the field."""


@dataclass(frozen=True)
class Case:
    """One input; `file` and `line` say where a person finds it.

    `expect` is what its file says of the answer, in the words of the file's format; it never enters a
    candidate's box. A `hidden` case is held out: agents are told how many of those pass, and nothing else.
    """

    id: str
    input: str
    file: str
    line: int
    expect: str = ""
    hidden: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the case as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Return the case that `to_json` wrote."""
        return cls(
            value["id"],
            value["input"],
            value.get("file", ""),
            value.get("line", 0),
            value.get("expect", ""),
            value.get("hidden", False),
        )


@dataclass(frozen=True)
class Suite:
    """What is run, on what, and how answers are compared.

    `start` = "fork" runs a candidate that is `python3 -S -E SCRIPT` in forks of one interpreter: as apart,
    but ten times sooner. `reference_reads` are files of main that the reference and the `comparator` find in
    their directory. `protocol`, `separator` and `null` say how a sqllogictest engine is spoken to, `engine`
    what skipif and onlyif call it. `held_out` are files beside harness.toml, in no repository: cases that
    agents never see. `canary` is the path of a test file that each run of a command suite adds, with "{name}"
    in it; `flaky` maps cases to the date (YYYY-MM-DD) up to which they count for nothing. `from_zero`
    declares that no test of a command suite passes on main yet. `artifacts` are files that a tool made and
    that are to be data all the same. A run that takes `slow_factor` times as long as main's is slow, and what
    is done about it says `slow`. `reference_exit` are the only exit statuses with which the reference
    answers; without any, all but those of a breakdown. `environment` names what the candidate's box starts
    from, where that is no `image`.
    """

    name: str
    kind: str
    repo: str
    cases: tuple[str, ...] = ()
    build: str | None = None
    candidate: str | None = None
    reference: str | None = None
    command: str | None = None
    results: str | None = None
    start: str = "process"
    compare: str = "exact"
    tolerance: float = TOLERANCE
    comparator: str | None = None
    reference_reads: tuple[str, ...] = ()
    protocol: str = "shell"
    separator: str = "|"
    null: str = "NULL"
    engine: str | None = None
    held_out: tuple[str, ...] = ()
    canary: str | None = None
    canary_text: str | None = None
    flaky: dict[str, str] = field(default_factory=dict, hash=False)
    from_zero: bool = False
    artifacts: tuple[str, ...] = ()
    reference_exit: tuple[int, ...] = ()
    protect: tuple[str, ...] = ()
    reads: tuple[str, ...] = ("**",)
    image: str | None = None
    environment: str | None = None
    packages: tuple[str, ...] = ()
    reference_packages: tuple[str, ...] = ()
    case_timeout_s: float = CASE_TIMEOUT_S
    run_timeout_s: float = RUN_TIMEOUT_S
    slow_factor: float = SLOW_FACTOR
    slow: str = TELL
    env: dict[str, str] = field(default_factory=dict, hash=False)

    def to_json(self) -> dict[str, Any]:
        """Return the suite as a JSON object (a dict, not text)."""
        values = asdict(self)
        for name in NEWER:
            if values[name] == DEFAULTS[name]:
                del values[name]  # the keys of old suites have to stay as they are
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Return the suite that `to_json` wrote; raise BadSpec for an unknown, missing or ill-typed field."""
        declared = {item.name: item for item in fields(cls)}
        unknown = sorted(set(value) - set(declared))
        if unknown:
            raise BadSpec(f"unknown suite field {unknown[0]!r}")
        required = {
            name
            for name, item in declared.items()
            if item.default is MISSING and item.default_factory is MISSING
        }
        missing = sorted(required - set(value))
        if missing:
            raise BadSpec(f"suite field {missing[0]!r} is missing")
        return cls(**{name: _typed(name, declared[name].type, given) for name, given in value.items()})

    def key(self) -> str:
        """Return the sha256 of the whole spec, in hex."""
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


DEFAULTS = {item.name: item.default for item in fields(Suite)}
# Fields that suites have had since after their keys were first remembered.
NEWER = ("from_zero", "artifacts", "slow_factor", "slow", "reference_exit", "environment")


LISTS: dict[Any, tuple[type, str]] = {
    tuple[str, ...]: (str, "strings"),
    tuple[int, ...]: (int, "whole numbers"),
}


def _typed(name: str, kind: Any, value: Any) -> Any:
    if kind in LISTS:
        item_type, what = LISTS[kind]
        if isinstance(value, (list, tuple)) and all(type(item) is item_type for item in value):
            return tuple(value)
        raise BadSpec(f"suite field {name!r} must be a list of {what}")
    if kind is float:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value)
        raise BadSpec(f"suite field {name!r} must be a number")
    if kind == dict[str, str]:
        if isinstance(value, Mapping) and all(
            isinstance(item, str) for pair in value.items() for item in pair
        ):
            return dict(value)
        raise BadSpec(f"suite field {name!r} must be a table of strings")
    if kind is bool:
        if isinstance(value, bool):
            return value
        raise BadSpec(f"suite field {name!r} must be true or false")
    if not isinstance(value, kind):
        raise BadSpec(f"suite field {name!r} must be a string")
    return value
