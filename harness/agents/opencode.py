"""Owns kind "opencode": `opencode run` on any OpenAI-compatible account, and what its lines say. Rule: pure.

Tried with 1.18.33; docs/agents.md tells what works.
"""

import json
from collections.abc import Mapping
from typing import Any

from harness.agents import said
from harness.agents.base import AgentEvent, Launch, Mark, Seat
from harness.agents.client import Client, tools
from harness.connect import clients

MODEL = "gpt-5"
PROVIDER = "gateway"
CONFIG_FILE = ".config/opencode/opencode.json"
QUIET = {
    "OPENCODE_DISABLE_AUTOUPDATE": "true",
    "OPENCODE_DISABLE_MODELS_FETCH": "true",
    "OPENCODE_DISABLE_LSP_DOWNLOAD": "true",
}


class Opencode(Client):
    kind = "opencode"

    def launch(self, seat: Seat, files: Mapping[str, str]) -> Launch:
        name = seat.spec.model or MODEL
        argv = (
            "opencode",
            "run",
            "--format",
            "json",
            "--auto",
            "--model",
            f"{PROVIDER}/{name}",
            "--",
            seat.prompt,
        )
        provider = {
            "npm": "@ai-sdk/openai-compatible",  # comes with the program
            "name": PROVIDER,
            "options": {"baseURL": f"{self.api(seat)}/v1", "apiKey": "{env:HARNESS_TOKEN}"},
            "models": {name: {"name": name}},
        }
        config = {
            "$schema": "https://opencode.ai/config.json",
            "autoupdate": False,
            "share": "disabled",
            "permission": "allow",
            "provider": {PROVIDER: provider},
            "small_model": f"{PROVIDER}/{name}",  # for the session's title; else it looks for one of its own
            **json.loads(tools(seat, clients.opencode, "{env:HARNESS_TOKEN}")),
        }
        return Launch(argv, {**QUIET, **seat.spec.env}, {CONFIG_FILE: json.dumps(config, indent=2)})

    def parse(self, line: str) -> AgentEvent | None:
        told = said.record(line)
        if told is None:
            return said.plain(line)
        part = told["part"] if isinstance(told.get("part"), dict) else {}
        match told.get("type"):
            case "text":
                text = str(part.get("text") or "").strip()[: said.TEXT_MAX]
                return AgentEvent(Mark.ASKED if text.endswith("?") else Mark.SAID, text) if text else None
            case "tool_use":
                state = part.get("state")
                return said.call(part.get("tool"), state.get("input") if isinstance(state, dict) else None)
            case "step_finish" if part.get("reason") == "stop":
                return AgentEvent(Mark.RESULT, _used(part.get("tokens")) or "done")
            case "error":
                return said.trouble(_message(told.get("error")))
        return None


def _used(told: Any) -> str:
    if not isinstance(told, dict):
        return ""
    cache = told["cache"] if isinstance(told.get("cache"), dict) else {}
    read = [told.get("input"), cache.get("read", 0), cache.get("write", 0)]
    return said.tokens(
        sum(read) if all(isinstance(number, int) for number in read) else None, told.get("output")
    )


def _message(error: Any) -> str:
    if not isinstance(error, dict):
        return str(error)
    inner = error["data"] if isinstance(error.get("data"), dict) else error
    return " ".join(
        str(word) for word in (error.get("name"), inner.get("statusCode"), inner.get("message")) if word
    )
