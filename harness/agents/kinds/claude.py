"""Owns kind "claude": Claude Code in its print mode, and what its stream-json says. Rule: pure.

docs/agents.md tells with which version it was tried, and what works.
"""

from collections.abc import Mapping
from typing import Any

from harness.agents import last_words
from harness.agents.base import HOME, TOKEN, AgentEvent, AgentKind, Launch, Mark, Program, Seat
from harness.agents.program import ProgramAdapter, model_option, tools
from harness.connect import clients
from harness.connect.clients import Door, Setting

MCP_FILE = "claude-mcp.json"
QUIET = {
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_AUTOUPDATER": "1",
    "DISABLE_ERROR_REPORTING": "1",
    "DISABLE_TELEMETRY": "1",
}
CONNECT_MS = "60000"  # to our tools; a busy machine may need more than its own 30 s


class ClaudeCode(ProgramAdapter):
    def launch(self, seat: Seat, files: Mapping[str, str]) -> Launch:
        argv = (
            "claude",
            "-p",
            "--output-format",
            "stream-json",
            "--verbose",
            "--dangerously-skip-permissions",
            "--strict-mcp-config",
            "--mcp-config",
            str(HOME / MCP_FILE),
            *model_option(seat, "--model"),
            "--",  # options that take a list would swallow the prompt
            seat.prompt,
        )
        env = {
            "ANTHROPIC_BASE_URL": self.models_url(seat),
            "ANTHROPIC_AUTH_TOKEN": TOKEN,
            "MCP_TIMEOUT": CONNECT_MS,
            **QUIET,
            **seat.spec.env,
        }
        return Launch(argv, env, {MCP_FILE: tools(seat, setting, "${HARNESS_TOKEN}")})

    def parse(self, line: str) -> AgentEvent | None:
        record = last_words.record(line)
        if record is None:
            return last_words.plain(line)
        match record.get("type"), record.get("subtype"):
            case "system", "init":
                return _start(record)
            case "system", "api_retry":
                return _retry(record)
            case "assistant", _:
                return turn(record)
            case "result", _:
                return result(record)
        return None


def setting(door: Door) -> Setting:
    """Return its own configuration of our tools."""
    # With only `url` it takes the entry for stdio; without alwaysLoad the tools are hidden behind a search.
    entry = {
        "type": "http",
        "url": door.mcp_url,
        "headers": door.headers,
        "timeout": clients.TOOL_TIMEOUT_S * 1000,
        "alwaysLoad": True,
    }
    also = ("claude --mcp-config .mcp.json --strict-mcp-config",)
    return Setting(".mcp.json", clients.SERVERS, entry, also)


def turn(record: Mapping[str, Any]) -> AgentEvent | None:
    """Return what the model said or called: a call, if there is one. Qwen Code tells it in the same form."""
    blocks = last_words.table(record.get("message")).get("content") or ()
    events = [event for block in blocks if isinstance(block, dict) and (event := _block(block))]
    calls = [event for event in events if event.mark in (Mark.TOOL, Mark.ASKED)]
    return next(iter(calls or events), None)


def result(record: Mapping[str, Any]) -> AgentEvent:
    """Return how the run ended. A failed one says `subtype: success` too, so `is_error` decides; what it says
    is under `result` or `error`.
    """
    error = record.get("error")
    reason = error.get("message") if isinstance(error, dict) else error
    text = str(record.get("result") or reason or record.get("subtype") or "")
    if record.get("is_error"):
        status = record.get("api_error_status")
        return last_words.trouble(f"{status}: {text}" if status and str(status) not in text else text)
    return last_words.ending(text, _tokens(last_words.table(record.get("usage"))))


def _start(record: Mapping[str, Any]) -> AgentEvent:
    servers = record.get("mcp_servers") or ()
    states = ", ".join(f"{server.get('name')} {server.get('status')}" for server in servers)
    return AgentEvent(Mark.SAID, f"{record.get('model')}; tools: {states or 'none'}")


def _retry(record: Mapping[str, Any]) -> AgentEvent:
    wait_s = float(record.get("retry_delay_ms") or 0) / 1000
    answer = f"the model answered {record.get('error_status')}"
    return AgentEvent(Mark.SAID, f"{answer}; try {record.get('attempt')} in {wait_s:.0f} s")


def _block(block: Mapping[str, Any]) -> AgentEvent | None:
    match block.get("type"):
        case "text" if text := str(block.get("text", "")).strip():
            return AgentEvent(Mark.SAID, text[: last_words.TEXT_MAX])
        case "tool_use":
            event = last_words.call(block.get("name"), block.get("input"))
            return AgentEvent(Mark.ASKED, event.text) if block.get("name") == "AskUserQuestion" else event
    return None


def _tokens(usage: Mapping[str, Any]) -> str:
    """Return what the run used, in words; what came from a cache was read too."""
    cached = (usage.get("cache_creation_input_tokens"), usage.get("cache_read_input_tokens"))
    read = usage.get("input_tokens")
    if isinstance(read, int):
        read += sum(number for number in cached if isinstance(number, int))
    return last_words.tokens(read, usage.get("output_tokens"))


PROGRAM = Program(command="claude", account="anthropic", api="Anthropic Messages")
KIND = AgentKind(
    name="claude",
    title="Claude Code",
    image="claude",
    adapter=ClaudeCode(PROGRAM),
    program=PROGRAM,
    client=setting,
)
