"""Owns kind "codex": Codex CLI by `codex exec --json`, and what its lines say. Rule: pure.

docs/agents.md tells with which version it was tried, and what works.
"""

import json
from collections.abc import Mapping
from typing import Any

from harness.agents import last_words
from harness.agents.base import AgentEvent, AgentKind, Launch, Mark, Program, Seat
from harness.agents.program import ProgramAdapter, model_option, tools
from harness.connect import clients
from harness.connect.clients import Door, Setting

STARTUP_TIMEOUT_S = 30
# A provider of its own name: the built-in one tries a WebSocket first. Without plugins = false it asks for
# some at every start; without unbounded_connection_retries = false it waits for ever for a server that is
# away.
CONFIG = """\
model_provider = "gateway"
check_for_update_on_startup = false

[model_providers.gateway]
name = "gateway"
base_url = {base_url}
wire_api = "responses"
env_key = "HARNESS_TOKEN"

[analytics]
enabled = false

[feedback]
enabled = false

[otel]
exporter = "none"
metrics_exporter = "none"

[features]
plugins = false
unbounded_connection_retries = false

{tools}
"""


class CodexCli(ProgramAdapter):
    def launch(self, seat: Seat, files: Mapping[str, str]) -> Launch:
        argv = (
            "codex",
            "exec",
            "--json",
            "--skip-git-repo-check",
            "--dangerously-bypass-approvals-and-sandbox",
            *model_option(seat, "--model"),
            "--",
            seat.prompt,
        )
        base_url = json.dumps(f"{self.models_url(seat)}/v1")
        config = CONFIG.format(base_url=base_url, tools=tools(seat, setting, ""))
        return Launch(argv, dict(seat.spec.env), {".codex/config.toml": config})

    def parse(self, line: str) -> AgentEvent | None:
        record = last_words.record(line)
        if record is None:
            return last_words.plain(line)
        item = last_words.table(record.get("item"))
        match record.get("type"):
            case "item.started":
                return _start(item)
            case "item.completed":
                return _completion(item)
            case "turn.completed":
                usage = last_words.table(record.get("usage"))
                used = last_words.tokens(usage.get("input_tokens"), usage.get("output_tokens"))
                return AgentEvent(Mark.RESULT, used or "done")
            case "turn.failed":
                return last_words.trouble(last_words.message(record.get("error")))
            case "error":  # each try that failed; the last one is told again by turn.failed
                return _remark(record.get("message"))
        return None


def setting(door: Door) -> Setting:
    """Return its own configuration of our tools."""
    # It ignores `headers`; required = true is the only way in which any client stops without its tools.
    entry = {
        "url": door.mcp_url,
        "bearer_token_env_var": clients.TOKEN_VARIABLE,
        "required": True,
        "startup_timeout_sec": STARTUP_TIMEOUT_S,
        "tool_timeout_sec": clients.TOOL_TIMEOUT_S,
    }
    also = (f"export {clients.TOKEN_VARIABLE}={door.token}", "codex")
    return Setting("~/.codex/config.toml", ("mcp_servers",), entry, also)


def _start(item: Mapping[str, Any]) -> AgentEvent | None:
    match item.get("type"):
        case "command_execution":
            return last_words.call("shell", str(item.get("command")))
        case "mcp_tool_call":
            return last_words.call(item.get("tool"), item.get("arguments"))
    return None


def _completion(item: Mapping[str, Any]) -> AgentEvent | None:
    match item.get("type"):
        case "agent_message":
            return last_words.speech(item.get("text"))
        case "file_change":
            return last_words.call("edit", item.get("changes"))
        case "error":
            return _remark(item.get("message"))
    return None


def _remark(message: object) -> AgentEvent:
    return AgentEvent(Mark.SAID, str(message)[: last_words.TEXT_MAX])


PROGRAM = Program(command="codex", account="openai", api="OpenAI Responses")
KIND = AgentKind(
    name="codex",
    title="Codex CLI",
    image="codex",
    adapter=CodexCli(PROGRAM),
    program=PROGRAM,
    client=setting,
)
