"""Owns the shapes of Gemini's generateContent, streamGenerateContent and countTokens. Rule: pure."""

import json
from typing import Any

from tests.fake_models.script import Usage
from tests.fake_models.transcript import Asked, Tool, plain, words
from tests.fake_models.turn import Turn, pieces

API = "gemini"
STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


def read(body: dict[str, Any], model: str, method: str, *, sse: bool) -> Asked:
    marks = []
    for content in body.get("contents", []):
        for part in content.get("parts", []):
            if "functionCall" in part:
                marks.append(("call", part["functionCall"].get("id") or ""))
            elif "functionResponse" in part:
                marks.append(("output", plain(part["functionResponse"].get("response"))))
    declared = [tool for group in body.get("tools") or [] for tool in group.get("functionDeclarations", ())]
    tools = [Tool(tool["name"], required=tuple(_schema(tool).get("required", ()))) for tool in declared]
    streaming = method == "streamGenerateContent"
    return Asked(
        API, model, streaming, tuple(tools), tuple(marks), words(body), method == "countTokens", {"sse": sse}
    )


def _schema(tool: dict[str, Any]) -> dict[str, Any]:
    return tool.get("parametersJsonSchema") or tool.get("parameters") or {}


def usage(used: Usage) -> dict[str, Any]:
    told = {
        "promptTokenCount": used.prompt,
        "candidatesTokenCount": used.output - used.reasoning,
        "totalTokenCount": used.prompt + used.output,
    }
    cached = {"cachedContentTokenCount": used.cached_read} if used.cached_read else {}
    return told | cached | ({"thoughtsTokenCount": used.reasoning} if used.reasoning else {})


def whole(turn: Turn, asked: Asked) -> dict[str, Any]:
    if asked.counting:
        return {"totalTokens": turn.usage.prompt}
    text = [{"text": turn.text}] if turn.text else []
    return _chunk(turn, asked, text + _calls(turn), "STOP") | {"usageMetadata": usage(turn.usage)}


def stream(turn: Turn, asked: Asked) -> list[bytes]:
    parts = [[{"text": piece}] for piece in pieces(turn.text, turn.deltas)] if turn.text else []
    parts += [[call] for call in _calls(turn)]
    before = {"usageMetadata": {"promptTokenCount": turn.usage.prompt, "totalTokenCount": turn.usage.prompt}}
    chunks = [_chunk(turn, asked, part, None) | before for part in parts]
    chunks.append(_chunk(turn, asked, [{"text": ""}], "STOP") | {"usageMetadata": usage(turn.usage)})
    if asked.options.get("sse"):
        return [f"data: {json.dumps(chunk)}\r\n\r\n".encode() for chunk in chunks]
    texts = [json.dumps(chunk, indent=2).encode() for chunk in chunks]
    return [
        (b"[" if index == 0 else b",\r\n") + text + (b"]" if index == len(texts) - 1 else b"")
        for index, text in enumerate(texts)
    ]


def _calls(turn: Turn) -> list[dict[str, Any]]:
    return [{"functionCall": {"name": call.tool.name, "args": call.args}} for call in turn.calls]


def _chunk(turn: Turn, asked: Asked, parts: list, reason: str | None) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": parts}, "index": 0}
    if reason:
        candidate["finishReason"] = reason
    return {"candidates": [candidate], "modelVersion": asked.model, "responseId": turn.id}


def error(status: int) -> dict[str, Any]:
    return {
        "error": {
            "code": status,
            "message": "a scripted fault",
            "status": STATUS.get(status, "INTERNAL" if status >= 500 else "INVALID_ARGUMENT"),
        }
    }
