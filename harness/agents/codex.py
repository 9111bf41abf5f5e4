"""Owns kind "codex": Codex CLI by `codex exec --json`, and what its lines say. Rule: pure.

Tried with 0.169.0; docs/agents.md tells what works.
"""

import json
from collections.abc import Mapping
from typing import Any

from harness.agents import said
from harness.agents.base import AgentEvent, Launch, Mark, Seat
from harness.agents.client import Client, model, tools
from harness.connect import clients

# A provider of its own name: the built-in one tries a WebSocket first. Without plugins = false it asks for
# some at every start;
# without unbounded_connection_retries = false it waits for ever for a server that is away.
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


class Codex(Client):
    kind = "codex"

    def launch(self, seat: Seat, files: Mapping[str, str]) -> Launch:
        argv = (
            "codex", "exec", "--json", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox",
            *model(seat, "--model"), "--", seat.prompt,
        )  # fmt: skip
        config = CONFIG.format(
            base_url=json.dumps(f"{self.api(seat)}/v1"), tools=tools(seat, clients.codex, "")
        )
        return Launch(argv, dict(seat.spec.env), {".codex/config.toml": config})

    def parse(self, line: str) -> AgentEvent | None:
        told = said.record(line)
        if told is None:
            return said.plain(line)
        item = told.get("item")
        match told.get("type"):
            case "item.started" if isinstance(item, dict):
                return _begun(item)
            case "item.completed" if isinstance(item, dict):
                return _done(item)
            case "turn.completed":
                used = told.get("usage") if isinstance(told.get("usage"), dict) else {}
                return AgentEvent(
                    Mark.RESULT, said.tokens(used.get("input_tokens"), used.get("output_tokens")) or "done"
                )
            case "turn.failed":
                error = told.get("error")
                return said.trouble(str(error.get("message") if isinstance(error, dict) else error))
            case "error":  # each try that failed; the last one is told again by turn.failed
                return AgentEvent(Mark.SAID, str(told.get("message"))[: said.TEXT_MAX])
        return None


def _begun(item: Mapping[str, Any]) -> AgentEvent | None:
    match item.get("type"):
        case "command_execution":
            return said.call("shell", str(item.get("command")))
        case "mcp_tool_call":
            return said.call(item.get("tool"), item.get("arguments"))
    return None


def _done(item: Mapping[str, Any]) -> AgentEvent | None:
    match item.get("type"):
        case "agent_message":
            text = str(item.get("text", "")).strip()[: said.TEXT_MAX]
            return AgentEvent(Mark.ASKED if text.endswith("?") else Mark.SAID, text) if text else None
        case "file_change":
            return said.call("edit", item.get("changes"))
        case "error":
            return AgentEvent(Mark.SAID, str(item.get("message"))[: said.TEXT_MAX])
    return None
