"""Owns kind "gemini": Gemini CLI with a prompt, and what its stream-json says. Rule: pure.

docs/agents.md tells with which version it was tried, and what works.
"""

import json
from collections.abc import Mapping
from typing import Any

from harness.agents import last_words
from harness.agents.base import TOKEN, AgentEvent, AgentKind, Launch, Mark, Program, Seat
from harness.agents.program import ProgramAdapter, model_option, tools
from harness.connect import clients
from harness.connect.clients import Door, Setting

MODEL = "gemini-2.5-pro"  # without a name it asks a router before every prompt and chooses for itself
SETTINGS = {
    "general": {"enableAutoUpdate": False, "enableAutoUpdateNotification": False},
    "privacy": {"usageStatisticsEnabled": False},
    "security": {"auth": {"selectedType": "gemini-api-key"}},
    "telemetry": {"enabled": False},
}


class GeminiCli(ProgramAdapter):
    def launch(self, seat: Seat, files: Mapping[str, str]) -> Launch:
        argv = (
            "gemini",
            "--output-format",
            "stream-json",
            "--yolo",
            "--skip-trust",
            *model_option(seat, "-m", MODEL),
            f"--prompt={seat.prompt}",
        )
        env = {
            "GOOGLE_GEMINI_BASE_URL": self.models_url(seat),
            "GEMINI_API_KEY": TOKEN,
            "GEMINI_CLI_NO_RELAUNCH": "true",  # else it starts itself a second time, for more memory
            **seat.spec.env,
        }
        settings = {**SETTINGS, **json.loads(tools(seat, setting, "${HARNESS_TOKEN}"))}
        return Launch(argv, env, {".gemini/settings.json": json.dumps(settings, indent=2)})

    def parse(self, line: str) -> AgentEvent | None:
        record = last_words.record(line)
        if record is None:
            return last_words.plain(line)
        match record.get("type"):
            case "init":
                return AgentEvent(Mark.SAID, str(record.get("model")))
            case "message" if record.get("role") == "assistant":
                return last_words.speech(record.get("content"))
            case "tool_use":
                return last_words.call(record.get("tool_name"), record.get("parameters"))
            case "error":
                return AgentEvent(Mark.SAID, str(record.get("message"))[: last_words.TEXT_MAX])
            case "result":
                return _result(record)
        return None


def setting(door: Door) -> Setting:
    """Return its own configuration of our tools."""
    # `httpUrl` means streamable HTTP, `url` the older SSE; without trust it asks before every call.
    entry = {
        "httpUrl": door.mcp_url,
        "headers": door.headers,
        "trust": True,
        "timeout": clients.TOOL_TIMEOUT_S * 1000,
    }
    return Setting(".gemini/settings.json", clients.SERVERS, entry, ("gemini",))


def _result(record: Mapping[str, Any]) -> AgentEvent:
    if record.get("status") != "success":
        return last_words.trouble(last_words.message(record.get("error")))
    usage = last_words.table(record.get("stats"))
    used = last_words.tokens(usage.get("input_tokens"), usage.get("output_tokens"))
    return AgentEvent(Mark.RESULT, used or "done")


PROGRAM = Program(command="gemini", account="gemini", api="Gemini")
KIND = AgentKind(
    name="gemini",
    title="Gemini CLI",
    image="gemini",
    adapter=GeminiCli(PROGRAM),
    program=PROGRAM,
    client=setting,
)
