"""Owns kind "claude": Claude Code in its print mode, and what its stream-json says. Rule: pure.

Tried with 2.1.330; docs/agents.md tells what works.
"""

from collections.abc import Mapping
from typing import Any

from harness.agents import said
from harness.agents.base import HOME, TOKEN, AgentEvent, Launch, Mark, Seat
from harness.agents.client import Client, model, tools
from harness.connect import clients

MCP_FILE = "claude-mcp.json"
QUIET = {
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_AUTOUPDATER": "1",
    "DISABLE_ERROR_REPORTING": "1",
    "DISABLE_TELEMETRY": "1",
}
CONNECT_MS = "60000"  # to our tools; a busy machine may need more than its own 30 s


class Claude(Client):
    kind = "claude"

    def launch(self, seat: Seat, files: Mapping[str, str]) -> Launch:
        argv = (
            "claude", "-p", "--output-format", "stream-json", "--verbose", "--dangerously-skip-permissions", "--strict-mcp-config",
            "--mcp-config", str(HOME / MCP_FILE), *model(seat, "--model"),
            "--", seat.prompt,  # options that take a list would swallow the prompt
        )  # fmt: skip
        env = {
            "ANTHROPIC_BASE_URL": self.api(seat),
            "ANTHROPIC_AUTH_TOKEN": TOKEN,
            "MCP_TIMEOUT": CONNECT_MS,
            **QUIET,
            **seat.spec.env,
        }
        return Launch(argv, env, {MCP_FILE: tools(seat, clients.claude, "${HARNESS_TOKEN}")})

    def parse(self, line: str) -> AgentEvent | None:
        told = said.record(line)
        if told is None:
            return said.plain(line)
        match told.get("type"), told.get("subtype"):
            case "system", "init":
                servers = ", ".join(
                    f"{server.get('name')} {server.get('status')}" for server in told.get("mcp_servers") or ()
                )
                return AgentEvent(Mark.SAID, f"{told.get('model')}; tools: {servers or 'none'}")
            case "system", "api_retry":
                wait_s = float(told.get("retry_delay_ms") or 0) / 1000
                return AgentEvent(
                    Mark.SAID,
                    f"the model answered {told.get('error_status')}; try {told.get('attempt')} in {wait_s:.0f} s",
                )
            case "assistant", _:
                return turn(told)
            case "result", _:
                return result(told)
        return None


def turn(told: Mapping[str, Any]) -> AgentEvent | None:
    """What the model said or called; qwen tells it in the same form."""
    message = told.get("message")
    blocks = message.get("content") if isinstance(message, dict) else None
    found = [event for block in blocks or () if isinstance(block, dict) and (event := _block(block))]
    calls = [event for event in found if event.mark in (Mark.TOOL, Mark.ASKED)]
    return next(iter(calls or found), None)


def _block(block: Mapping[str, Any]) -> AgentEvent | None:
    match block.get("type"):
        case "text" if str(block.get("text", "")).strip():
            return AgentEvent(Mark.SAID, str(block["text"]).strip()[: said.TEXT_MAX])
        case "tool_use":
            event = said.call(block.get("name"), block.get("input"))
            return AgentEvent(Mark.ASKED, event.text) if block.get("name") == "AskUserQuestion" else event
    return None


def result(told: Mapping[str, Any]) -> AgentEvent:
    """How the run ended. A failed one says `subtype: success` too, so `is_error` decides; what it says is
    under `result` or `error`.
    """
    used = told.get("usage") if isinstance(told.get("usage"), dict) else {}
    cached = sum(
        number
        for key in ("cache_creation_input_tokens", "cache_read_input_tokens")
        if isinstance(number := used.get(key), int)
    )
    read = used.get("input_tokens")
    text = str(told.get("result") or _message(told.get("error")) or told.get("subtype") or "")
    if told.get("is_error"):
        status = told.get("api_error_status")
        return said.trouble(f"{status}: {text}" if status and str(status) not in text else text)
    return said.ending(
        text, said.tokens(read + cached if isinstance(read, int) else None, used.get("output_tokens"))
    )


def _message(error: object) -> object:
    return error.get("message") if isinstance(error, dict) else error
