"""Owns what a script is: steps of text and tool calls with usage numbers, and the faults that come before
them.

Rule: values only. A script says tools by their bare names (`claim_task`) or `{"shell": "..."}`; how a client
calls them is found out from its request. A step that is played has been reached by the transcript alone,
never by a counter.
"""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
FOR_EVER = -1


@dataclass(frozen=True)
class Usage:
    """Tokens. `input` is without the cached ones; `output` includes `reasoning`. Each API tells them in its
    own way.
    """

    input: int = 100
    cached_read: int = 0
    cached_write: int = 0
    output: int = 10
    reasoning: int = 0

    @property
    def prompt(self) -> int:
        return self.input + self.cached_read + self.cached_write


@dataclass(frozen=True)
class Call:
    """A tool by its bare name with arguments, or a shell command. See `transcript.filled` for values found in
    the transcript.
    """

    tool: str | None = None
    args: dict[str, Any] = field(default_factory=dict)
    shell: str | None = None


@dataclass(frozen=True)
class Fault:
    """What goes wrong, for so many `tries` in a row. An empty one lets its tries pass.

    `status` answers so, with `headers` and `body` (text or JSON; by default an error in the API's shape).
    `cut` and `reset` break off `after` so many events, `stall` keeps silent there for so many seconds and
    goes on; `delay` is seconds before the first byte.
    """

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None
    cut: bool = False
    reset: bool = False
    stall: float = 0.0
    delay: float = 0.0
    after: int = 2
    tries: int = 1


@dataclass(frozen=True)
class Step:
    """One answer of the model. A step without calls ends the agent's turn. `pace` is seconds between two
    events.
    """

    say: str = ""
    calls: tuple[Call, ...] = ()
    usage: Usage = Usage()
    faults: tuple[Fault, ...] = ()
    delay: float = 0.0
    pace: float = 0.0
    deltas: int = 2


@dataclass(frozen=True)
class Script:
    """`match` is text of the requests that this script is for. After its last step it says `end`.

    `turns`: "mcp" counts only requests that offer one of the script's tools, "any" counts all; the rest are
    side requests and get the text `side`. `faults` come before the steps', over all requests of the script.
    """

    steps: tuple[Step, ...] = ()
    match: str = ""
    end: str = "Done."
    side: str = "Fine."
    side_usage: Usage = Usage(input=30, output=3)
    turns: str = ""
    faults: tuple[Fault, ...] = ()

    @property
    def tools(self) -> frozenset[str]:
        return frozenset(call.tool for step in self.steps for call in step.calls if call.tool)

    @property
    def any_turn(self) -> bool:
        return self.turns == "any" or (not self.turns and not self.tools)

    def step(self, number: int) -> Step:
        return self.steps[number] if number < len(self.steps) else Step(say=self.end)


NESTED = {"usage": Usage, "side_usage": Usage}
LISTED = {"steps": Step, "calls": Call, "faults": Fault}


def made(cls: type[T], values: Mapping[str, Any]) -> T:
    """A Script, Step, Call, Fault or Usage from plain values. Raises ValueError for a key that it has not."""
    known = {item.name for item in fields(cls)}  # type: ignore[arg-type]
    if unknown := set(values) - known:
        raise ValueError(
            f"{cls.__name__} has no {', '.join(sorted(unknown))}; it has {', '.join(sorted(known))}"
        )
    found: dict[str, Any] = {}
    for name, value in values.items():
        if name in NESTED and isinstance(value, Mapping):
            value = made(NESTED[name], value)
        elif name in LISTED:
            value = tuple(made(LISTED[name], item) if isinstance(item, Mapping) else item for item in value)
        found[name] = value
    return cls(**found)


def load(path: Path) -> list[Script]:
    """One script, or several as {"scripts": [...]}, from JSON or TOML by the name's ending."""
    text = path.read_text(encoding="utf-8")
    document = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    return [made(Script, each) for each in document.get("scripts", [document])]
