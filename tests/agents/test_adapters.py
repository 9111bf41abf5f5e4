"""What each kind is started with, and what its lines mean: as recorded from the real programs, cut to what
matters. No container.
"""

import json
import tomllib

import pytest

from harness.agents import last_words
from harness.agents.base import TOKEN, AgentEvent, Launch, Mark, Seat
from harness.agents.kinds import KINDS, PROGRAMS
from mcp_server.config import AgentSpec

HERE = "http://127.0.0.1:8765"


def launched(kind: str, **spec: object) -> Launch:
    return KINDS[kind].adapter.launch(Seat("ada-1", AgentSpec("ada", kind, **spec), prompt="- Do it."), {})  # type: ignore[arg-type]


def parsed(kind: str, told: object) -> AgentEvent | None:
    return KINDS[kind].adapter.parse(told if isinstance(told, str) else json.dumps(told))


@pytest.mark.parametrize("kind", PROGRAMS)
def test_a_vendors_program_is_told_its_prompt_and_sent_to_the_gateway_and_our_tools(kind: str) -> None:
    launch = launched(kind, model="m-1", account="other", env={"EXTRA": "1"})
    everything = "\n".join([*launch.argv, *launch.env.values(), *launch.files.values()])
    assert launch.argv[0] == KINDS[kind].adapter.probe(AgentSpec("ada", kind)) == KINDS[kind].program.command
    assert launch.argv[-1] in ("- Do it.", "--prompt=- Do it."), (
        "a prompt that begins with a dash would be taken for an option"
    )
    assert f"{HERE}/llm/other" in everything
    assert f"{HERE}/mcp" in everything
    assert "m-1" in everything
    assert launch.env["EXTRA"] == "1"


@pytest.mark.parametrize("kind", PROGRAMS)
def test_the_token_is_only_named_never_written(kind: str) -> None:
    launch = launched(kind)
    names = [name for name, value in launch.env.items() if value == TOKEN]
    assert names or any("HARNESS_TOKEN" in text for text in launch.files.values())
    assert all("HARNESS_TOKEN" in text for text in launch.files.values())
    assert not any("key" in name.lower() and value not in (TOKEN,) for name, value in launch.env.items())


@pytest.mark.parametrize("kind", PROGRAMS)
def test_a_table_without_an_account_asks_its_vendors(kind: str) -> None:
    launch, vendor = launched(kind), KINDS[kind].program.account
    assert KINDS[kind].account_of(AgentSpec("ada", kind)) == vendor
    assert f"{HERE}/llm/{vendor}" in "\n".join([*launch.env.values(), *launch.files.values()])


def test_codex_has_a_provider_of_its_own_and_stops_without_our_tools() -> None:
    config = tomllib.loads(launched("codex").files[".codex/config.toml"])
    assert config["model_provider"] not in ("openai", "oss")
    assert config["model_providers"][config["model_provider"]]["base_url"] == f"{HERE}/llm/openai/v1"
    (server,) = config["mcp_servers"].values()
    assert (server["required"], server["bearer_token_env_var"]) == (True, "HARNESS_TOKEN")
    assert (config["features"]["plugins"], config["features"]["unbounded_connection_retries"]) == (
        False,
        False,
    )


def test_qwen_waits_for_our_tools_on_a_busy_machine_too() -> None:
    (server,) = json.loads(launched("qwen").files[".qwen/settings.json"])["mcpServers"].values()
    assert server["discoveryTimeoutMs"] >= 60_000, "after its own 5 s it goes on without them"


def test_gemini_always_names_a_model() -> None:
    assert "-m" in launched("gemini").argv, "else it asks a router before each prompt"


RATE = "account anthropic: requests are used up; it may be asked again in 3600 s."
LINES = [
    ("claude", {"type": "system", "subtype": "init", "model": "m", "mcp_servers": [{"name": "harness", "status": "failed"}]}, Mark.SAID, "harness failed"),
    ("claude", {"type": "assistant", "message": {"content": [{"type": "text", "text": "I see."}]}}, Mark.SAID, "I see."),
    ("claude", {"type": "assistant", "message": {"content": [{"type": "text", "text": "So:"}, {"type": "tool_use", "name": "Bash", "input": {"command": "ls"}}]}}, Mark.TOOL, 'Bash {"command": "ls"}'),
    ("claude", {"type": "assistant", "message": {"content": [{"type": "tool_use", "name": "AskUserQuestion", "input": {"questions": []}}]}}, Mark.ASKED, "AskUserQuestion"),
    ("claude", {"type": "system", "subtype": "api_retry", "attempt": 1, "max_retries": 10, "retry_delay_ms": 3100, "error_status": 429}, Mark.SAID, "429; try 1 in 3 s"),
    ("claude", {"type": "result", "subtype": "success", "is_error": False, "result": "Done.", "usage": {"input_tokens": 800, "cache_read_input_tokens": 200, "output_tokens": 80}}, Mark.RESULT, "Done. (1,000 tokens read, 80 written)"),
    ("claude", {"type": "result", "subtype": "success", "is_error": False, "result": "Which of the two?", "usage": {}}, Mark.ASKED, "Which of the two?"),
    ("claude", {"type": "result", "subtype": "success", "is_error": True, "api_error_status": 429, "result": f"API Error: Request rejected (429) · {RATE}"}, Mark.QUOTA, "3600 s"),
    ("claude", {"type": "result", "subtype": "success", "is_error": True, "api_error_status": 400, "result": "Credit balance is too low"}, Mark.QUOTA, "400: Credit"),
    ("claude", {"type": "result", "subtype": "success", "is_error": True, "result": "Not logged in · Please run /login"}, Mark.AUTH, "Not logged in"),
    ("claude", {"type": "result", "subtype": "error_during_execution", "is_error": True}, Mark.ERROR, "error_during_execution"),
    ("codex", {"type": "item.completed", "item": {"id": "item_1", "type": "agent_message", "text": "I take the task."}}, Mark.SAID, "I take the task."),
    ("codex", {"type": "item.started", "item": {"type": "mcp_tool_call", "server": "harness", "tool": "claim_task", "arguments": {"task": "T01"}}}, Mark.TOOL, 'claim_task {"task": "T01"}'),
    ("codex", {"type": "item.started", "item": {"type": "command_execution", "command": "/bin/bash -lc ls"}}, Mark.TOOL, "shell /bin/bash -lc ls"),
    ("codex", {"type": "item.completed", "item": {"type": "error", "message": "Model metadata for `m` not found."}}, Mark.SAID, "Model metadata"),
    ("codex", {"type": "turn.completed", "usage": {"input_tokens": 800, "cached_input_tokens": 0, "output_tokens": 80}}, Mark.RESULT, "800 tokens read, 80 written"),
    ("codex", {"type": "error", "message": "Reconnecting... 2/5 (stream disconnected before completion: Rate limit)"}, Mark.SAID, "Reconnecting"),
    ("codex", {"type": "turn.failed", "error": {"message": "Quota exceeded. Check your plan and billing details."}}, Mark.QUOTA, "Quota exceeded"),
    ("codex", {"type": "turn.failed", "error": {"message": "unexpected status 401 Unauthorized: invalid token"}}, Mark.AUTH, "401"),
    ("gemini", {"type": "tool_use", "tool_name": "mcp_harness_claim_task", "parameters": {"task": "T01"}}, Mark.TOOL, "mcp_harness_claim_task"),
    ("gemini", {"type": "message", "role": "assistant", "content": "I take t", "delta": True}, Mark.SAID, "I take t"),
    ("gemini", {"type": "result", "status": "success", "stats": {"total_tokens": 440, "input_tokens": 400, "output_tokens": 40}}, Mark.RESULT, "400 tokens read, 40 written"),
    ("gemini", {"type": "result", "status": "error", "error": {"type": "Error", "message": "You have exhausted your daily quota on this model."}}, Mark.QUOTA, "daily quota"),
    ("opencode", {"type": "text", "part": {"type": "text", "text": "Done."}}, Mark.SAID, "Done."),
    ("opencode", {"type": "tool_use", "part": {"tool": "harness_push", "state": {"input": {"fence": 1}}}}, Mark.TOOL, 'harness_push {"fence": 1}'),
    ("opencode", {"type": "step_finish", "part": {"reason": "stop", "tokens": {"input": 100, "output": 10, "cache": {"read": 5, "write": 0}}}}, Mark.RESULT, "105 tokens read, 10 written"),
    ("opencode", {"type": "error", "error": {"name": "APIError", "data": {"message": "Rate limit reached"}}}, Mark.QUOTA, "APIError Rate limit"),
    ("opencode", {"type": "error", "error": {"name": "APIError", "data": {"message": "the token is not one of this server's", "statusCode": 401}}}, Mark.AUTH, "APIError 401 the token"),
    ("qwen", {"type": "assistant", "message": {"content": [{"type": "tool_use", "name": "mcp__harness__push", "input": {}}]}}, Mark.TOOL, "mcp__harness__push"),
    ("qwen", {"type": "result", "subtype": "error_during_execution", "is_error": True, "error": {"message": "[API Error: 429 You exceeded your current quota]"}}, Mark.QUOTA, "429"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "line", "mark", "text"), LINES)
def test_a_line_becomes_an_event(kind: str, line: dict, mark: Mark, text: str) -> None:
    event = parsed(kind, line)
    assert event is not None
    assert event.mark is mark
    assert text in event.text


@pytest.mark.parametrize("kind", PROGRAMS)
@pytest.mark.parametrize(
    "line",
    [
        "",
        "{",
        "[1]",
        "{}",
        '{"type": 3}',
        '{"type": "assistant", "message": 5}',
        '{"type": "item.completed", "item": 5}',
        '{"type": "result"}',
        '{"type": "tool_use", "part": []}',
        '{"type":"result","usage":7}',
        '{"type": "turn.failed"}',
        "null",
        "Attempt 1 failed with status 429. Retrying",
    ],
)
def test_no_line_breaks_a_parser_or_decides_by_a_try_that_failed(kind: str, line: str) -> None:
    event = parsed(kind, line)
    assert event is None or event.mark in (Mark.SAID, Mark.ERROR, Mark.RESULT, Mark.TOOL)


@pytest.mark.parametrize(
    ("text", "wait_s", "until_ms"),
    [
        (RATE, 3600, None),
        ("Rate limit reached for gpt-5 on tokens per min. Please try again in 1m12.5s.", 72.5, None),
        ("You've hit your usage limit. Try again in 2 hours 5 minutes.", 7500, None),
        ("You exceeded your current quota. Please retry in 45.2s.", 45.2, None),
        ("rate_limit_error: retry after 30 seconds", 30, None),
        ("Claude AI usage limit reached|1790000000", None, 1_790_000_000_000),
        ('{"error":{"type":"usage_limit_reached","resets_at":1790000000}}', None, 1_790_000_000_000),
        ("quota exceeded; it resets at 2026-11-22T15:00:00Z", None, 1_795_359_600_000),
        ("5-hour limit reached ∙ resets 3pm", None, None),
        ("429 Too Many Requests", None, None),
    ],
)
def test_a_quotas_end_is_read_from_its_words(text: str, wait_s: float | None, until_ms: int | None) -> None:
    event = last_words.trouble(text)
    assert event.mark is Mark.QUOTA
    assert (event.wait_s, event.wait_until_ms) == (pytest.approx(wait_s) if wait_s else None, until_ms)


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        ("budget: session S3 has used up its tokens (1,000 of 1,000); commit what you have", Mark.ERROR),
        ("400 the budget of the run is used up: quota", Mark.ERROR),
        ("API key not valid. Please pass a valid API key.", Mark.AUTH),
        ("Internal Server Error", Mark.ERROR),
        ("", Mark.ERROR),
    ],
)
def test_trouble_that_is_no_quota_is_not_waited_out(text: str, mark: Mark) -> None:
    assert last_words.trouble(text).mark is mark
