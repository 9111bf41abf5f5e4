"""Owns the shapes of OpenAI's Chat Completions API. Rule: pure."""

import json
from typing import Any

from tests.fake_models.responses import error as error  # the two share their errors
from tests.fake_models.script import Usage
from tests.fake_models.transcript import SEARCH_NAMES, Asked, Invocation, Tool, plain, words
from tests.fake_models.turn import Turn, pieces

API = "chat"


def read(body: dict[str, Any]) -> Asked:
    marks = []
    for message in body.get("messages", []):
        marks += [("call", call["id"]) for call in message.get("tool_calls") or []]
        if message.get("role") == "tool":
            marks.append(("output", plain(message.get("content"))))
    tools = [_tool(tool["function"]) for tool in body.get("tools") or [] if "function" in tool]
    options = {"usage": bool((body.get("stream_options") or {}).get("include_usage"))}
    return Asked(
        API,
        body.get("model", ""),
        bool(body.get("stream")),
        tuple(tools),
        tuple(marks),
        words(body),
        options=options,
    )


def _tool(function: dict[str, Any]) -> Tool:
    kind = "search" if function["name"] in SEARCH_NAMES else "function"
    return Tool(
        function["name"], kind=kind, required=tuple((function.get("parameters") or {}).get("required", ()))
    )


def usage(used: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": used.prompt, "completion_tokens": used.output, "total_tokens": used.prompt + used.output,
        "prompt_tokens_details": {"cached_tokens": used.cached_read},
        "completion_tokens_details": {"reasoning_tokens": used.reasoning},
    }  # fmt: skip


def whole(turn: Turn, asked: Asked) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": turn.text or None}
    if turn.calls:
        message["tool_calls"] = [_call(call) for call in turn.calls]
    choice = {"index": 0, "message": message, "finish_reason": _reason(turn), "logprobs": None}
    return _about(turn, asked, "chat.completion") | {"choices": [choice], "usage": usage(turn.usage)}


def stream(turn: Turn, asked: Asked) -> list[bytes]:
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": piece} for piece in pieces(turn.text, turn.deltas)] if turn.text else []
    for index, call in enumerate(turn.calls):
        begun = _call(call)
        arguments = begun["function"].pop("arguments")
        deltas.append(
            {"tool_calls": [{"index": index, **begun, "function": begun["function"] | {"arguments": ""}}]}
        )
        deltas += [
            {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}
            for piece in pieces(arguments, turn.deltas)
        ]
    about = _about(turn, asked, "chat.completion.chunk")
    chunks = [about | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    chunks.append(about | {"choices": [{"index": 0, "delta": {}, "finish_reason": _reason(turn)}]})
    if asked.options.get("usage"):
        chunks = [chunk | {"usage": None} for chunk in chunks] + [
            about | {"choices": [], "usage": usage(turn.usage)}
        ]
    return [*(f"data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks), b"data: [DONE]\n\n"]


def _call(call: Invocation) -> dict[str, Any]:
    return {
        "id": f"call_{call.id}",
        "type": "function",
        "function": {"name": call.tool.name, "arguments": json.dumps(call.args)},
    }


def _about(turn: Turn, asked: Asked, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{turn.id}",
        "object": kind,
        "created": 1_790_000_000,
        "model": asked.model,
        "system_fingerprint": "fp_fake",
    }


def _reason(turn: Turn) -> str:
    return "tool_calls" if turn.calls else "stop"
