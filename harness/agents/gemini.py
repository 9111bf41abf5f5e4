"""Owns kind "gemini": Gemini CLI with a prompt, and what its stream-json says. Rule: pure.

Tried with 0.61.0; docs/agents.md tells what works.
"""

import json
from collections.abc import Mapping

from harness.agents import said
from harness.agents.base import TOKEN, AgentEvent, Launch, Mark, Seat
from harness.agents.client import Client, model, tools
from harness.connect import clients

MODEL = "gemini-2.5-pro"  # without a name it asks a router before every prompt and chooses for itself
SETTINGS = {
    "general": {"enableAutoUpdate": False, "enableAutoUpdateNotification": False},
    "privacy": {"usageStatisticsEnabled": False},
    "security": {"auth": {"selectedType": "gemini-api-key"}},
    "telemetry": {"enabled": False},
}


class Gemini(Client):
    kind = "gemini"

    def launch(self, seat: Seat, files: Mapping[str, str]) -> Launch:
        argv = (
            "gemini",
            "--output-format",
            "stream-json",
            "--yolo",
            "--skip-trust",
            *model(seat, "-m", MODEL),
            f"--prompt={seat.prompt}",
        )
        env = {
            "GOOGLE_GEMINI_BASE_URL": self.api(seat),
            "GEMINI_API_KEY": TOKEN,
            "GEMINI_CLI_NO_RELAUNCH": "true",  # else it starts itself a second time, for more memory
            **seat.spec.env,
        }
        settings = {**SETTINGS, **json.loads(tools(seat, clients.gemini, "${HARNESS_TOKEN}"))}
        return Launch(argv, env, {".gemini/settings.json": json.dumps(settings, indent=2)})

    def parse(self, line: str) -> AgentEvent | None:
        told = said.record(line)
        if told is None:
            return said.plain(line)
        match told.get("type"):
            case "init":
                return AgentEvent(Mark.SAID, str(told.get("model")))
            case "message" if told.get("role") == "assistant":
                text = str(told.get("content") or "").strip()[: said.TEXT_MAX]
                return AgentEvent(Mark.ASKED if text.endswith("?") else Mark.SAID, text) if text else None
            case "tool_use":
                return said.call(told.get("tool_name"), told.get("parameters"))
            case "error":
                return AgentEvent(Mark.SAID, str(told.get("message"))[: said.TEXT_MAX])
            case "result":
                return _result(told)
        return None


def _result(told: Mapping) -> AgentEvent:
    if told.get("status") != "success":
        error = told.get("error")
        return said.trouble(str(error.get("message") if isinstance(error, dict) else error))
    used = told.get("stats") if isinstance(told.get("stats"), dict) else {}
    return AgentEvent(Mark.RESULT, said.tokens(used.get("input_tokens"), used.get("output_tokens")) or "done")
