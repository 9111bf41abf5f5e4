"""Owns the shapes of Anthropic's Messages API. Rule: pure; the fields are those of its public reference."""

import json
from typing import Any

from tests.fake_models.script import Usage
from tests.fake_models.transcript import SEARCH_NAMES, Asked, Tool, plain, words
from tests.fake_models.turn import Turn, pieces

API = "anthropic"
VERSION = "2023-06-01"


def read(body: dict[str, Any], *, counting: bool = False) -> Asked:
    marks, known = [], set()
    for message in body.get("messages", []):
        for block in message["content"] if isinstance(message["content"], list) else []:
            if block.get("type") == "tool_use":
                marks.append(("call", block["id"]))
            elif block.get("type") == "tool_result":
                marks.append(("output", plain(block.get("content"))))
                known |= {
                    part["tool_name"]
                    for part in block.get("content") or []
                    if isinstance(part, dict) and part.get("type") == "tool_reference"
                }
    tools = [
        _tool(tool)
        for tool in body.get("tools", [])
        if not tool.get("defer_loading") or tool["name"] in known
    ]
    return Asked(
        API,
        body.get("model", ""),
        bool(body.get("stream")) and not counting,
        tuple(tools),
        tuple(marks),
        words(body),
        counting,
    )


def _tool(tool: dict[str, Any]) -> Tool:
    schema = tool.get("input_schema") or {}
    kind = "search" if tool["name"] in SEARCH_NAMES or "tool_search" in tool.get("type", "") else "function"
    return Tool(tool["name"], kind=kind, required=tuple(schema.get("required", ())))


def usage(used: Usage, output: int) -> dict[str, Any]:
    return {
        "input_tokens": used.input, "cache_creation_input_tokens": used.cached_write, "cache_read_input_tokens": used.cached_read,
        "output_tokens": output,
    }  # fmt: skip


def whole(turn: Turn, asked: Asked) -> dict[str, Any]:
    if asked.counting:
        return {"input_tokens": turn.usage.prompt}
    return _message(turn, asked, blocks(turn), usage(turn.usage, turn.usage.output)) | {
        "stop_reason": _reason(turn)
    }


def stream(turn: Turn, asked: Asked) -> list[bytes]:
    events = [
        {
            "type": "message_start",
            "message": _message(turn, asked, [], usage(turn.usage, 1)) | {"stop_reason": None},
        },
        {"type": "ping"},
    ]
    for index, block in enumerate(blocks(turn)):
        if block["type"] == "text":
            start, deltas = (
                block | {"text": ""},
                [{"type": "text_delta", "text": part} for part in pieces(block["text"], turn.deltas)],
            )
        else:
            parts = pieces(json.dumps(block["input"]), turn.deltas)
            start, deltas = (
                block | {"input": {}},
                [{"type": "input_json_delta", "partial_json": part} for part in parts],
            )
        events.append({"type": "content_block_start", "index": index, "content_block": start})
        events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": index})
    events.append(
        {
            "type": "message_delta",
            "delta": {"stop_reason": _reason(turn), "stop_sequence": None},
            "usage": {"output_tokens": turn.usage.output},
        }
    )
    events.append({"type": "message_stop"})
    return [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events]


def blocks(turn: Turn) -> list[dict[str, Any]]:
    text = [{"type": "text", "text": turn.text}] if turn.text else []
    return text + [
        {"type": "tool_use", "id": f"toolu_{call.id}", "name": call.tool.name, "input": call.args}
        for call in turn.calls
    ]


def _message(turn: Turn, asked: Asked, content: list, used: dict) -> dict[str, Any]:
    return {
        "id": f"msg_{turn.id}", "type": "message", "role": "assistant", "model": asked.model, "content": content, "stop_sequence": None,
        "usage": used,
    }  # fmt: skip


def _reason(turn: Turn) -> str:
    return "tool_use" if turn.calls else "end_turn"


def error(status: int) -> dict[str, Any]:
    kinds = {
        400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error",
        413: "request_too_large", 429: "rate_limit_error", 529: "overloaded_error",
    }  # fmt: skip
    kind = kinds.get(status, "api_error" if status >= 500 else "invalid_request_error")
    return {"type": "error", "error": {"type": kind, "message": "a scripted fault"}, "request_id": "req_fake"}
