"""Owns what a request tells of its client: how far the conversation is, which tools are offered and how they
are called.

Rule: pure. The number of the step is the number of turns with tool calls in the transcript; searches for
tools do not count.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.fake_models.script import Call

OURS = re.compile(r"fake_(\d+)_\d+")
SEARCHING = "fake_search"
SEARCH_NAMES = ("ToolSearch", "tool_search", "tool_search_tool")
RELAY = "tool_call"  # qwen calls through it what its search has shown
SHELLS = {
    "Bash": "command",
    "exec_command": "cmd",
    "run_shell_command": "command",
    "bash": "command",
    "shell": "command",
    "shell_command": "command",
}
FILLERS = {"description": "a step of the script", "is_background": False}  # what some shells demand besides


@dataclass(frozen=True)
class Tool:
    """`kind`: function, custom (codex's JavaScript), search."""

    name: str
    namespace: str | None = None
    kind: str = "function"
    required: tuple[str, ...] = ()


@dataclass(frozen=True)
class Asked:
    """One request. `marks` are its transcript's tool calls and outputs in order: ("call", id) or ("output",
    text).
    """

    api: str
    model: str
    stream: bool
    tools: tuple[Tool, ...]
    marks: tuple[tuple[str, str], ...]
    text: str
    counting: bool = False  # count_tokens
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def step(self) -> int:
        found, outputs = set(), 0
        for kind, value in self.marks:
            if kind == "output":
                outputs += 1
            elif SEARCHING not in value:
                ours = OURS.search(value)
                found.add(ours[1] if ours else f"after {outputs} outputs")
        return len(found)

    @property
    def searches(self) -> int:
        return sum(kind == "call" and SEARCHING in value for kind, value in self.marks)

    @property
    def searched(self) -> bool:
        """Whether the newest call was a search."""
        return next((SEARCHING in value for kind, value in reversed(self.marks) if kind == "call"), False)

    @property
    def outputs(self) -> list[str]:
        return [value for kind, value in self.marks if kind == "output"]

    def offers(self, kind: str) -> Tool | None:
        return next((tool for tool in self.tools if tool.kind == kind), None)


@dataclass(frozen=True)
class Invocation:
    """A call as the client wants it: `input` is the text of a custom tool, else `args` are given."""

    tool: Tool
    args: dict[str, Any]
    id: str
    input: str = ""


class NoSuchTool(Exception):
    """The request offers no such tool, and no way to find it."""


def resolved(asked: Asked, calls: Sequence[Call]) -> list[Invocation]:
    """The calls in the client's own naming, or the search that has to come first. Raises NoSuchTool."""
    step = asked.step
    found, missing = [], []
    for number, call in enumerate(calls):
        id = f"fake_{step}_{number}"
        tool = _find(asked, call)
        if tool is not None:
            found.append(Invocation(tool, _arguments(tool, call, asked), id))
        elif (script := asked.offers("custom")) is not None:
            found.append(Invocation(script, {}, id, _javascript(asked, call)))
        elif (
            call.tool
            and asked.searched
            and (relay := next((tool for tool in asked.tools if tool.name == RELAY), None))
        ):
            found.append(
                Invocation(
                    relay,
                    {"name": _full_name(asked, call.tool), "arguments": filled(call.args, asked.outputs)},
                    id,
                )
            )
        else:
            missing.append(call)
    if not missing:
        return found
    search = asked.offers("search")
    wanted = [call.tool or "shell" for call in missing]
    if search is None or asked.searched:
        raise NoSuchTool(
            f"no tool {', '.join(wanted)}; offered: {', '.join(tool.name for tool in asked.tools)}"
        )
    return [Invocation(search, _query(asked, wanted), f"{SEARCHING}_{asked.searches}")]


def called(name: str, tool: str) -> bool:
    """Whether a client's name means the tool: mcp__board__push, mcp_board_push, board_push, push."""
    return name == tool or name.endswith(f"_{tool}")


def _find(asked: Asked, call: Call) -> Tool | None:
    functions = [tool for tool in asked.tools if tool.kind == "function"]
    if call.tool is None:
        return next((tool for tool in functions if tool.name in SHELLS), None)
    fitting = [tool for tool in functions if called(tool.name, call.tool)]
    # A client's own tool may have such a name too: what comes from an MCP server goes first.
    return min(
        fitting,
        key=lambda tool: (tool.namespace is None and not tool.name.startswith("mcp_"), len(tool.name)),
        default=None,
    )


def _arguments(tool: Tool, call: Call, asked: Asked) -> dict[str, Any]:
    if call.tool is not None:
        return filled(call.args, asked.outputs)
    needed = {name: value for name, value in FILLERS.items() if name in tool.required}
    return {SHELLS[tool.name]: filled(call.shell, asked.outputs), **needed, **call.args}


def _javascript(asked: Asked, call: Call) -> str:
    if call.tool is None:
        return f"text(await tools.exec_command({json.dumps({'cmd': filled(call.shell, asked.outputs)})}))"
    return f"text(await tools.{_full_name(asked, call.tool)}({json.dumps(filled(call.args, asked.outputs))}))"


def _query(asked: Asked, wanted: list[str]) -> dict[str, Any]:
    names = [_full_name(asked, name) for name in wanted]
    return {"query": f"select:{','.join(names)}", "max_results": 10}


def _full_name(asked: Asked, tool: str) -> str:
    """The name as it stands anywhere in the request: deferred tools are only listed in its texts."""
    listed = re.search(rf"\bmcp__?[A-Za-z0-9-]+_+{re.escape(tool)}\b", asked.text)
    return listed[0] if listed else tool


def filled(value: Any, outputs: Sequence[str]) -> Any:
    """Replaces {"$int": PATTERN} and {"$text": PATTERN} by group 1 in the newest tool output that has it,
    also `<<PATTERN>>` inside a text.
    """
    if isinstance(value, dict):
        if len(value) == 1 and (key := next(iter(value))) in ("$int", "$text"):
            found = _found(value[key], outputs)
            return int(found) if key == "$int" else found
        return {key: filled(inner, outputs) for key, inner in value.items()}
    if isinstance(value, list):
        return [filled(inner, outputs) for inner in value]
    if isinstance(value, str):
        return re.sub(r"<<(.+?)>>", lambda match: _found(match[1], outputs), value)
    return value


def _found(pattern: str, outputs: Sequence[str]) -> str:
    for output in reversed(outputs):
        if match := re.search(pattern, output):
            return match[1]
    raise NoSuchTool(f"no output of a tool has {pattern!r}")


def plain(content: Any) -> str:
    """The text in an API's content, whatever its nesting."""
    if isinstance(content, str):
        return content
    if isinstance(content, dict):
        known = [
            content[key]
            for key in ("text", "output", "content", "result", "stdout", "error")
            if key in content
        ]
        return "\n".join(map(plain, known)) if known else json.dumps(content)
    if isinstance(content, Iterable):
        return "\n".join(map(plain, content))
    return "" if content is None else str(content)


def words(value: Any) -> str:
    """Every text in a JSON value, keys left out, one a line: what a pattern may look for without JSON's
    escapes.
    """
    if isinstance(value, str):
        return value
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return "\n".join(filter(None, map(words, inner)))
