"""Owns kind "qwen": Qwen Code on any OpenAI-compatible account; its stream-json has Claude Code's form. Rule:
pure.

Tried with 0.24.4; docs/agents.md tells what works.
"""

import json
from collections.abc import Mapping

from harness.agents import claude, said
from harness.agents.base import TOKEN, AgentEvent, Launch, Mark, Seat
from harness.agents.client import Client, tools
from harness.connect import clients

MODEL = "qwen3-coder-plus"
DISCOVERY_MS = (
    60_000  # its own 5 s are too few for a busy machine, and without our tools it goes on all the same
)
IDLE_MS = str(clients.TOOL_TIMEOUT_S * 1000)  # of a tool call that says nothing: else it ends after 300 s
SETTINGS = {
    "general": {"enableAutoUpdate": False, "disableAutoUpdate": True},
    "privacy": {"usageStatisticsEnabled": False},
    "security": {"auth": {"selectedType": "openai"}},
    "telemetry": {"enabled": False},
    "tools": {"toolSearch": {"enabled": False}},  # else our tools hide behind a search
}


class Qwen(Client):
    kind = "qwen"

    def launch(self, seat: Seat, files: Mapping[str, str]) -> Launch:
        argv = (
            "qwen",
            "--output-format",
            "stream-json",
            "--yolo",
            "--auth-type",
            "openai",
            f"--prompt={seat.prompt}",
        )
        env = {
            "OPENAI_BASE_URL": f"{self.api(seat)}/v1",
            "OPENAI_API_KEY": TOKEN,
            "OPENAI_MODEL": seat.spec.model or MODEL,
            "QWEN_CODE_MCP_TOOL_IDLE_TIMEOUT_MS": IDLE_MS,
            **seat.spec.env,
        }
        # Its entry for a server is that of Gemini CLI, from which it comes.
        settings = {**SETTINGS, **json.loads(tools(seat, clients.gemini, "${HARNESS_TOKEN}"))}
        for server in settings["mcpServers"].values():
            server["discoveryTimeoutMs"] = DISCOVERY_MS
        return Launch(argv, env, {".qwen/settings.json": json.dumps(settings, indent=2)})

    def parse(self, line: str) -> AgentEvent | None:
        told = said.record(line)
        if told is None:
            return said.plain(line)
        match told.get("type"), told.get("subtype"):
            case "system", "init":
                return AgentEvent(Mark.SAID, str(told.get("model")))
            case "assistant", _:
                return claude.turn(told)
            case "result", _:
                return claude.result(told)
        return None
