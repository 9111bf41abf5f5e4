"""Owns kind "qwen": Qwen Code on any OpenAI-compatible account; its stream-json has Claude Code's form.

Rule: pure. docs/agents.md tells with which version it was tried, and what works.
"""

import json
from collections.abc import Mapping

from harness.agents import last_words
from harness.agents.base import TOKEN, AgentEvent, AgentKind, Launch, Mark, Program, Seat
from harness.agents.kinds import claude, gemini
from harness.agents.program import ProgramAdapter, tools
from harness.connect import clients

MODEL = "qwen3-coder-plus"
# Its own 5 s are too few for a busy machine, and without our tools it goes on all the same.
DISCOVERY_MS = 60_000
IDLE_MS = str(clients.TOOL_TIMEOUT_S * 1000)  # of a tool call that says nothing: else it ends after 300 s
SETTINGS = {
    "general": {"enableAutoUpdate": False, "disableAutoUpdate": True},
    "privacy": {"usageStatisticsEnabled": False},
    "security": {"auth": {"selectedType": "openai"}},
    "telemetry": {"enabled": False},
    "tools": {"toolSearch": {"enabled": False}},  # else our tools hide behind a search
}


class QwenCode(ProgramAdapter):
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
            "OPENAI_BASE_URL": f"{self.models_url(seat)}/v1",
            "OPENAI_API_KEY": TOKEN,
            "OPENAI_MODEL": seat.spec.model or MODEL,
            "QWEN_CODE_MCP_TOOL_IDLE_TIMEOUT_MS": IDLE_MS,
            **seat.spec.env,
        }
        # Its entry for a server is that of Gemini CLI, from which it comes.
        settings = {**SETTINGS, **json.loads(tools(seat, gemini.setting, "${HARNESS_TOKEN}"))}
        for server in settings["mcpServers"].values():
            server["discoveryTimeoutMs"] = DISCOVERY_MS
        return Launch(argv, env, {".qwen/settings.json": json.dumps(settings, indent=2)})

    def parse(self, line: str) -> AgentEvent | None:
        record = last_words.record(line)
        if record is None:
            return last_words.plain(line)
        match record.get("type"), record.get("subtype"):
            case "system", "init":
                return AgentEvent(Mark.SAID, str(record.get("model")))
            case "assistant", _:
                return claude.turn(record)
            case "result", _:
                return claude.result(record)
        return None


PROGRAM = Program(command="qwen", account="openai", api="OpenAI Chat", any_model=True)
KIND = AgentKind(
    name="qwen",
    title="Qwen Code",
    image="qwen",
    adapter=QwenCode(PROGRAM),
    program=PROGRAM,
)
