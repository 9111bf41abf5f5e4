"""Owns the shapes of OpenAI's Responses API, with the three ways in which codex offers its tools.

Rule: pure. 1. `tools` with namespaces and plain functions; 2. deferred behind `tool_search`; 3. code mode: an
`additional_tools` item in the input and a custom tool `exec` that takes JavaScript.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from tests.fake_models.script import Usage
from tests.fake_models.transcript import Asked, Invocation, Tool, plain, words
from tests.fake_models.turn import Turn, pieces

API = "responses"
CALLS = ("function_call", "custom_tool_call", "local_shell_call")
OUTPUTS = ("function_call_output", "custom_tool_call_output", "local_shell_call_output")


def read(body: dict[str, Any]) -> Asked:
    items = body.get("input", [])
    items = items if isinstance(items, list) else []
    offered, marks = list(body.get("tools") or []), []
    for item in items:
        kind = item.get("type")
        if kind in CALLS:
            marks.append(("call", item.get("call_id") or ""))
        elif kind in OUTPUTS:
            marks.append(("output", plain(item.get("output"))))
        elif kind == "tool_search_call":
            marks.append(("call", item.get("call_id") or "fake_search"))
        elif kind in ("additional_tools", "tool_search_output"):
            offered += item.get("tools") or []
    return Asked(
        API,
        body.get("model", ""),
        bool(body.get("stream")),
        tuple(_tools(offered)),
        tuple(marks),
        words(body),
    )


def _tools(offered: Iterable[dict[str, Any]], namespace: str | None = None) -> Iterator[Tool]:
    for tool in offered:
        kind = tool.get("type")
        if kind == "namespace":
            yield from _tools(tool.get("tools", []), tool["name"])
        elif kind == "tool_search":
            yield Tool("tool_search", kind="search")
        elif kind == "custom":
            if tool["name"] == "exec":
                yield Tool("exec", namespace, "custom")
        elif "name" in tool:
            yield Tool(
                tool["name"], namespace, required=tuple((tool.get("parameters") or {}).get("required", ()))
            )


def usage(used: Usage) -> dict[str, Any]:
    return {
        "input_tokens": used.prompt, "input_tokens_details": {"cached_tokens": used.cached_read}, "output_tokens": used.output,
        "output_tokens_details": {"reasoning_tokens": used.reasoning}, "total_tokens": used.prompt + used.output,
    }  # fmt: skip


def whole(turn: Turn, asked: Asked) -> dict[str, Any]:
    return _response(turn, asked, "completed", items(turn), usage(turn.usage))


def stream(turn: Turn, asked: Asked) -> list[bytes]:
    started = _response(turn, asked, "in_progress", [], None)
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": started},
        {"type": "response.in_progress", "response": started},
    ]
    for index, item in enumerate(items(turn)):
        events.append({"type": "response.output_item.added", "output_index": index, "item": _begun(item)})
        events += list(_deltas(item, index, turn.deltas))
        events.append({"type": "response.output_item.done", "output_index": index, "item": item})
    events.append({"type": "response.completed", "response": whole(turn, asked)})
    numbered = [event | {"sequence_number": number} for number, event in enumerate(events)]
    return [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in numbered]


def items(turn: Turn) -> list[dict[str, Any]]:
    text = {"type": "output_text", "text": turn.text, "annotations": []}
    said = (
        [
            {
                "type": "message",
                "id": f"msg_{turn.id}",
                "status": "completed",
                "role": "assistant",
                "content": [text],
            }
        ]
        if turn.text
        else []
    )
    return said + [_call(call) for call in turn.calls]


def _call(call: Invocation) -> dict[str, Any]:
    about = {"call_id": f"call_{call.id}", "status": "completed"}
    namespace = {"namespace": call.tool.namespace} if call.tool.namespace else {}
    if call.tool.kind == "search":
        asked_for = call.args["query"].removeprefix("select:").replace(",", " ")
        return {
            "type": "tool_search_call",
            "id": f"ts_{call.id}",
            **about,
            "execution": "client",
            "arguments": {"query": asked_for, "limit": 10},
        }
    if call.tool.kind == "custom":
        return {
            "type": "custom_tool_call",
            "id": f"ctc_{call.id}",
            **about,
            **namespace,
            "name": call.tool.name,
            "input": call.input,
        }
    return {
        "type": "function_call",
        "id": f"fc_{call.id}",
        **about,
        **namespace,
        "name": call.tool.name,
        "arguments": json.dumps(call.args),
    }


def _begun(item: dict[str, Any]) -> dict[str, Any]:
    empty = {"content": [], "arguments": "", "input": ""}
    return (
        item
        | {"status": "in_progress"}
        | {key: value for key, value in empty.items() if key in item and isinstance(item[key], type(value))}
    )


def _deltas(item: dict[str, Any], index: int, number: int) -> Iterator[dict[str, Any]]:
    where = {"item_id": item["id"], "output_index": index}
    if item["type"] == "message":
        part, text = {**where, "content_index": 0}, item["content"][0]["text"]
        yield {
            "type": "response.content_part.added",
            **part,
            "part": {"type": "output_text", "text": "", "annotations": []},
        }
        for piece in pieces(text, number):
            yield {"type": "response.output_text.delta", **part, "delta": piece}
        yield {"type": "response.output_text.done", **part, "text": text}
        yield {"type": "response.content_part.done", **part, "part": item["content"][0]}
    elif item["type"] == "function_call":
        for piece in pieces(item["arguments"], number):
            yield {"type": "response.function_call_arguments.delta", **where, "delta": piece}
        yield {"type": "response.function_call_arguments.done", **where, "arguments": item["arguments"]}
    elif item["type"] == "custom_tool_call":
        for piece in pieces(item["input"], number):
            yield {"type": "response.custom_tool_call_input.delta", **where, "delta": piece}
        yield {"type": "response.custom_tool_call_input.done", **where, "input": item["input"]}


def _response(turn: Turn, asked: Asked, status: str, output: list, used: dict | None) -> dict[str, Any]:
    return {
        "id": f"resp_{turn.id}", "object": "response", "created_at": 1_790_000_000, "status": status, "error": None, "model": asked.model,
        "output": output, "parallel_tool_calls": True, "store": False, "usage": used,
    }  # fmt: skip


def error(status: int) -> dict[str, Any]:
    kinds = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded"}
    kind = "server_error" if status >= 500 else "requests" if status == 429 else "invalid_request_error"
    return {"error": {"message": "a scripted fault", "type": kind, "param": None, "code": kinds.get(status)}}
