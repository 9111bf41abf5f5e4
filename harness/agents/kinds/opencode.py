"""Owns kind "opencode": `opencode run` on any OpenAI-compatible account, and what its lines say. Rule: pure.

docs/agents.md tells with which version it was tried, and what works.
"""

import json
from collections.abc import Mapping

from harness.agents import last_words
from harness.agents.base import AgentEvent, AgentKind, Launch, Mark, Program, Seat
from harness.agents.program import ProgramAdapter, tools
from harness.connect import clients
from harness.connect.clients import Door, Setting

MODEL = "gpt-5"
PROVIDER = "gateway"
CONFIG_FILE = ".config/opencode/opencode.json"
QUIET = {
    "OPENCODE_DISABLE_AUTOUPDATE": "true",
    "OPENCODE_DISABLE_MODELS_FETCH": "true",
    "OPENCODE_DISABLE_LSP_DOWNLOAD": "true",
}


class Opencode(ProgramAdapter):
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
            "options": {"baseURL": f"{self.models_url(seat)}/v1", "apiKey": "{env:HARNESS_TOKEN}"},
            "models": {name: {"name": name}},
        }
        config = {
            "$schema": "https://opencode.ai/config.json",
            "autoupdate": False,
            "share": "disabled",
            "permission": "allow",
            "provider": {PROVIDER: provider},
            "small_model": f"{PROVIDER}/{name}",  # for the session's title; else it looks for one of its own
            **json.loads(tools(seat, setting, "{env:HARNESS_TOKEN}")),
        }
        return Launch(argv, {**QUIET, **seat.spec.env}, {CONFIG_FILE: json.dumps(config, indent=2)})

    def parse(self, line: str) -> AgentEvent | None:
        record = last_words.record(line)
        if record is None:
            return last_words.plain(line)
        part = last_words.table(record.get("part"))
        match record.get("type"):
            case "text":
                return last_words.speech(part.get("text"))
            case "tool_use":
                return last_words.call(part.get("tool"), last_words.table(part.get("state")).get("input"))
            case "step_finish" if part.get("reason") == "stop":
                return AgentEvent(Mark.RESULT, _tokens(part.get("tokens")) or "done")
            case "error":
                return last_words.trouble(_message(record.get("error")))
        return None


def setting(door: Door) -> Setting:
    """Return its own configuration of our tools."""
    # Without oauth = false it starts an OAuth discovery; its default time limit is 60 s.
    entry = {
        "type": "remote",
        "url": door.mcp_url,
        "enabled": True,
        "headers": door.headers,
        "oauth": False,
        "timeout": clients.TOOL_TIMEOUT_S * 1000,
    }
    return Setting("opencode.json", ("mcp",), entry, ("opencode",))


def _tokens(value: object) -> str:
    """Return what a step used, in words; what came from a cache was read too."""
    usage = last_words.table(value)
    cache = last_words.table(usage.get("cache"))
    parts = [usage.get("input"), cache.get("read", 0), cache.get("write", 0)]
    numbers = [number for number in parts if isinstance(number, int)]
    read = sum(numbers) if len(numbers) == len(parts) else None
    return last_words.tokens(read, usage.get("output"))


def _message(error: object) -> str:
    if not isinstance(error, dict):
        return str(error)
    inner = error["data"] if isinstance(error.get("data"), dict) else error
    words = (error.get("name"), inner.get("statusCode"), inner.get("message"))
    return " ".join(str(word) for word in words if word)


PROGRAM = Program(command="opencode", account="openai", api="OpenAI Chat", any_model=True)
KIND = AgentKind(
    name="opencode",
    title="opencode",
    image="opencode",
    adapter=Opencode(PROGRAM),
    program=PROGRAM,
    client=setting,
)
