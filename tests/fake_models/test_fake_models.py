"""The scripted model: what each API's client reads from it, how it finds its step and its tools, and its
faults on the wire.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest

from tests.fake_models import FOR_EVER, Call, FakeModels, Fault, Script, Step, Usage, load, made
from tests.waiting import BOUND_S, until

ROOT = Path(__file__).parents[2]
USAGE = Usage(input=100, cached_read=40, cached_write=8, output=30, reasoning=12)
SCRIPT = Script(
    (
        Step("Let me see.", (Call("claim_task", {"task": "T1"}), Call(shell="git status")), USAGE),
        Step("", (Call("push", {"fence": {"$int": r'"fence": (\d+)'}}),)),
        Step("All done."),
    ),
)
CLAIM, PUSH, SHELL = "mcp__board__claim_task", "mcp__board__push", "Bash"


class Api:
    """How a client of one API asks, and reads an answer: (text, calls as (name, arguments), usage)."""

    def __init__(self, name: str, tools: tuple[str, ...] = (CLAIM, PUSH, SHELL)):
        self.name, self.tools = name, tools

    def path(self, *, stream: bool) -> str:
        gemini = "/v1beta/models/gemini-fake:" + (
            "streamGenerateContent?alt=sse" if stream else "generateContent"
        )
        return {
            "anthropic": "/v1/messages",
            "responses": "/v1/responses",
            "chat": "/v1/chat/completions",
            "gemini": gemini,
        }[self.name]

    def body(self, done: int = 0, *, stream: bool = True, output: str = '{"fence": 7}') -> dict:
        """The request after so many turns with a tool call."""
        schema = {"type": "object", "properties": {}}
        if self.name == "anthropic":
            turns = [
                [
                    {
                        "role": "assistant",
                        "content": [{"type": "tool_use", "id": f"t{n}", "name": CLAIM, "input": {}}],
                    },
                    {
                        "role": "user",
                        "content": [{"type": "tool_result", "tool_use_id": f"t{n}", "content": output}],
                    },
                ]
                for n in range(done)
            ]
            messages = [{"role": "user", "content": "Work."}, *sum(turns, [])]
            return {
                "model": "claude-fake",
                "max_tokens": 99,
                "stream": stream,
                "messages": messages,
                "tools": [{"name": name, "input_schema": schema} for name in self.tools],
            }
        if self.name == "responses":
            items = [
                [
                    {"type": "function_call", "call_id": f"c{n}", "name": CLAIM, "arguments": "{}"},
                    {"type": "function_call_output", "call_id": f"c{n}", "output": output},
                ]
                for n in range(done)
            ]
            return {
                "model": "gpt-fake",
                "stream": stream,
                "input": [{"role": "user", "content": "Work."}, *sum(items, [])],
                "tools": [{"type": "function", "name": name, "parameters": schema} for name in self.tools],
            }
        if self.name == "chat":
            turns = [
                [
                    {
                        "role": "assistant",
                        "tool_calls": [{"id": f"c{n}", "function": {"name": CLAIM, "arguments": "{}"}}],
                    },
                    {"role": "tool", "tool_call_id": f"c{n}", "content": output},
                ]
                for n in range(done)
            ]
            options = {"stream_options": {"include_usage": True}} if stream else {}
            return {
                "model": "gpt-fake",
                "stream": stream,
                "messages": [{"role": "user", "content": "Work."}, *sum(turns, [])],
                "tools": [
                    {"type": "function", "function": {"name": name, "parameters": schema}}
                    for name in self.tools
                ],
            } | options
        turns = [
            [
                {"role": "model", "parts": [{"functionCall": {"name": CLAIM, "args": {}}}]},
                {
                    "role": "user",
                    "parts": [{"functionResponse": {"name": CLAIM, "response": {"output": output}}}],
                },
            ]
            for n in range(done)
        ]
        declared = [{"name": name, "parametersJsonSchema": schema} for name in self.tools]
        return {
            "contents": [{"role": "user", "parts": [{"text": "Work."}]}, *sum(turns, [])],
            "tools": [{"functionDeclarations": declared}],
        }

    def ask(self, url: str, done: int = 0, *, stream: bool = True, **more) -> httpx2.Response:
        return httpx2.post(
            url + self.path(stream=stream),
            json=self.body(done, stream=stream, **more),
            timeout=BOUND_S,
            verify=False,
        )

    def read(self, response: httpx2.Response, *, stream: bool = True) -> tuple[str, list, dict]:
        assert response.status_code == 200, response.text
        events = (
            [json.loads(line[6:]) for line in response.text.splitlines() if line.startswith("data: {")]
            if stream
            else [response.json()]
        )
        return READERS[self.name](events, stream)


def read_anthropic(events: list[dict], stream: bool) -> tuple[str, list, dict]:
    if not stream:
        blocks, used = events[0]["content"], events[0]["usage"]
        return (
            "".join(b["text"] for b in blocks if b["type"] == "text"),
            [(b["name"], b["input"]) for b in blocks if b["type"] == "tool_use"],
            used,
        )
    text = "".join(e["delta"]["text"] for e in events if e.get("delta", {}).get("type") == "text_delta")
    calls = []
    for start in (
        e for e in events if e["type"] == "content_block_start" and e["content_block"]["type"] == "tool_use"
    ):
        parts = [
            e["delta"]["partial_json"]
            for e in events
            if e["type"] == "content_block_delta" and e["index"] == start["index"]
        ]
        calls.append((start["content_block"]["name"], json.loads("".join(parts))))
    return (
        text,
        calls,
        events[0]["message"]["usage"] | next(e["usage"] for e in events if e["type"] == "message_delta"),
    )


def read_responses(events: list[dict], stream: bool) -> tuple[str, list, dict]:
    if stream:
        assert [e["sequence_number"] for e in events] == list(range(len(events)))
        deltas = "".join(e["delta"] for e in events if e["type"] == "response.output_text.delta")
        done = [e["item"] for e in events if e["type"] == "response.output_item.done"]
        last = events[-1]["response"]
        assert events[-1]["type"] == "response.completed" and last["output"] == done
    else:
        last = events[0]
    text = "".join(item["content"][0]["text"] for item in last["output"] if item["type"] == "message")
    assert not stream or deltas == text
    return (
        text,
        [
            (item["name"], json.loads(item["arguments"]))
            for item in last["output"]
            if item["type"] == "function_call"
        ],
        last["usage"],
    )


def read_chat(events: list[dict], stream: bool) -> tuple[str, list, dict]:
    if not stream:
        message = events[0]["choices"][0]["message"]
        return (
            message["content"] or "",
            [
                (c["function"]["name"], json.loads(c["function"]["arguments"]))
                for c in message.get("tool_calls", ())
            ],
            events[0]["usage"],
        )
    deltas = [choice["delta"] for event in events for choice in event["choices"]]
    found: dict[int, list[str]] = {}
    for call in (call for delta in deltas for call in delta.get("tool_calls", ())):
        known = found.setdefault(call["index"], [call["function"].get("name", ""), ""])
        known[1] += call["function"]["arguments"]
    return (
        "".join(delta.get("content") or "" for delta in deltas),
        [(name, json.loads(args)) for name, args in found.values()],
        events[-1]["usage"],
    )


def read_gemini(events: list[dict], stream: bool) -> tuple[str, list, dict]:
    parts = [part for event in events for part in event["candidates"][0]["content"]["parts"]]
    calls = [
        (part["functionCall"]["name"], part["functionCall"]["args"])
        for part in parts
        if "functionCall" in part
    ]
    assert events[-1]["candidates"][0]["finishReason"] == "STOP"
    return "".join(part.get("text", "") for part in parts), calls, events[-1]["usageMetadata"]


READERS = {"anthropic": read_anthropic, "responses": read_responses, "chat": read_chat, "gemini": read_gemini}
APIS = [Api(name) for name in READERS]
TOLD = {
    "anthropic": {
        "input_tokens": 100,
        "cache_read_input_tokens": 40,
        "cache_creation_input_tokens": 8,
        "output_tokens": 30,
    },
    "responses": {
        "input_tokens": 148,
        "input_tokens_details": {"cached_tokens": 40},
        "output_tokens": 30,
        "output_tokens_details": {"reasoning_tokens": 12},
        "total_tokens": 178,
    },
    "chat": {
        "prompt_tokens": 148,
        "completion_tokens": 30,
        "total_tokens": 178,
        "prompt_tokens_details": {"cached_tokens": 40},
        "completion_tokens_details": {"reasoning_tokens": 12},
    },
    "gemini": {
        "promptTokenCount": 148,
        "cachedContentTokenCount": 40,
        "candidatesTokenCount": 18,
        "thoughtsTokenCount": 12,
        "totalTokenCount": 178,
    },
}
each_api = pytest.mark.parametrize("api", APIS, ids=lambda api: api.name)


@each_api
@pytest.mark.parametrize("stream", [True, False])
def test_a_step_says_its_text_calls_its_tools_and_tells_its_usage(api: Api, stream: bool):
    with FakeModels(SCRIPT) as models:
        text, calls, used = api.read(api.ask(models.url, stream=stream), stream=stream)
    assert (text, calls) == ("Let me see.", [(CLAIM, {"task": "T1"}), (SHELL, {"command": "git status"})])
    assert used == TOLD[api.name]


@each_api
def test_the_step_follows_from_the_transcript_so_that_a_try_again_and_another_server_stay_in_step(api: Api):
    with FakeModels(SCRIPT) as models, FakeModels(SCRIPT) as fresh:
        answers = [
            api.read(api.ask(where.url, done))[:2] for where in (models, fresh) for done in (1, 1, 2, 5)
        ]
    second, third, after = ("", [(PUSH, {"fence": 7})]), ("All done.", []), ("Done.", [])
    assert answers == [second, second, third, after] * 2


@each_api
def test_a_request_without_our_tools_is_a_side_request_and_gets_a_short_text(api: Api):
    with FakeModels(SCRIPT) as models:
        text, calls, _ = api.read(Api(api.name, tools=("WebFetch", "Bash")).ask(models.url))
        assert (text, calls, [each.answered for each in models.requests]) == ("Fine.", [], ["side"])


def test_calls_of_one_turn_count_once_however_their_outputs_are_ordered():
    api = Api("responses")
    calls = [
        {"type": "function_call", "call_id": f"call_fake_0_{n}", "name": CLAIM, "arguments": "{}"}
        for n in (0, 1)
    ]
    outputs = [
        {"type": "function_call_output", "call_id": f"call_fake_0_{n}", "output": '{"fence": 3}'}
        for n in (0, 1)
    ]
    with FakeModels(SCRIPT) as models:
        for items in ([*calls, *outputs], [calls[0], outputs[0], calls[1], outputs[1]]):
            response = httpx2.post(
                models.url + "/v1/responses", json=api.body() | {"input": items}, verify=False
            )
            assert api.read(response)[1] == [(PUSH, {"fence": 3})]


NAMES = {
    "claude": ("anthropic", "mcp__harness__claim_task", "Bash", "command"),
    "gemini": ("gemini", "mcp_harness_claim_task", "run_shell_command", "command"),
    "opencode": ("chat", "harness_claim_task", "bash", "command"),
    "qwen": ("chat", "mcp__harness__claim_task", "run_shell_command", "command"),
    "codex": ("responses", "harness_claim_task", "exec_command", "cmd"),
}


@pytest.mark.parametrize("client", NAMES)
def test_tools_are_called_by_the_names_that_the_client_gave_them(client: str):
    name, tool, shell, argument = NAMES[client]
    api = Api(name, tools=("pre_claim_task_x", shell, tool))
    with FakeModels(SCRIPT) as models:
        assert api.read(api.ask(models.url))[1] == [(tool, {"task": "T1"}), (shell, {argument: "git status"})]


def test_what_a_shell_demands_besides_its_command_is_filled_in():
    api = Api("chat")
    body = api.body()
    body["tools"][2]["function"]["parameters"] = {
        "type": "object",
        "required": ["command", "is_background", "description"],
    }
    with FakeModels(Script((Step(calls=(Call(shell="ls"),)),))) as models:
        response = httpx2.post(models.url + api.path(stream=True), json=body, verify=False)
    assert api.read(response)[1] == [
        (SHELL, {"command": "ls", "is_background": False, "description": "a step of the script"})
    ]


def test_a_missing_tool_is_said_in_words():
    api = Api("anthropic", tools=(PUSH,))
    with FakeModels(SCRIPT) as models:
        assert api.read(api.ask(models.url))[0] == f"fake model: no tool claim_task, shell; offered: {PUSH}"


def post_responses(models: FakeModels, body: dict) -> list[dict]:
    response = httpx2.post(
        models.url + "/v1/responses", json={"model": "gpt-fake", "stream": True} | body, verify=False
    )
    return json.loads([line for line in response.text.splitlines() if line.startswith("data: ")][-1][6:])[
        "response"
    ]["output"]


ONE = Script((Step("Now.", (Call("claim_task", {"task": "T1"}),)), Step("End.")))
NAMESPACE = {
    "type": "namespace",
    "name": "mcp__board",
    "tools": [{"type": "function", "name": "claim_task", "parameters": {}}],
}
USER = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Work."}]}


def test_codex_gets_its_call_with_the_namespace():
    with FakeModels(ONE) as models:
        said, call = post_responses(models, {"input": [USER], "tools": [NAMESPACE]})
    assert (call["type"], call["namespace"], call["name"], json.loads(call["arguments"])) == (
        "function_call",
        "mcp__board",
        "claim_task",
        {"task": "T1"},
    )


def test_codex_with_deferred_tools_searches_first_and_the_search_is_no_step():
    with FakeModels(ONE) as models:
        (search,) = post_responses(models, {"input": [USER], "tools": [{"type": "tool_search"}]})
        assert (search["type"], search["execution"], search["arguments"]["query"]) == (
            "tool_search_call",
            "client",
            "claim_task",
        )
        found = {"type": "tool_search_output", "call_id": search["call_id"], "tools": [NAMESPACE]}
        _, call = post_responses(models, {"input": [USER, search, found], "tools": [{"type": "tool_search"}]})
        assert call["name"] == "claim_task"
        (said,) = post_responses(
            models, {"input": [USER, search, found, call], "tools": [{"type": "tool_search"}]}
        )
    assert said["content"][0]["text"] == "End."


def test_codex_in_code_mode_gets_javascript():
    offered = {
        "type": "additional_tools",
        "tools": [
            {
                "type": "namespace",
                "name": "functions",
                "tools": [
                    {"type": "custom", "name": "exec", "description": "tools.mcp__board__claim_task(...)"}
                ],
            }
        ],
    }
    with FakeModels(ONE) as models:
        _, call = post_responses(models, {"input": [offered, USER]})
        assert (call["type"], call["namespace"], call["name"]) == ("custom_tool_call", "functions", "exec")
        assert call["input"] == 'text(await tools.mcp__board__claim_task({"task": "T1"}))'
        done = {"type": "custom_tool_call_output", "call_id": call["call_id"], "output": "ok"}
        (said,) = post_responses(models, {"input": [offered, USER, call, done]})
    assert said["content"][0]["text"] == "End."


def test_claude_with_deferred_tools_searches_by_the_listed_name():
    api = Api("anthropic")
    body = api.body(stream=False) | {"tools": [{"name": "ToolSearch", "input_schema": {}}]}
    body["messages"][0]["content"] = (
        "<available-deferred-tools>\nmcp__board__claim_task\n</available-deferred-tools>"
    )
    with FakeModels(ONE) as models:
        searched = httpx2.post(models.url + "/v1/messages", json=body, verify=False).json()
        (call,) = searched["content"]
        assert (call["name"], call["input"]["query"]) == ("ToolSearch", f"select:{CLAIM}")
        found = [{"type": "tool_reference", "tool_name": CLAIM}]
        body["messages"] += [
            {"role": "assistant", "content": [call]},
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": call["id"], "content": found}],
            },
        ]
        body["tools"].append({"name": CLAIM, "input_schema": {}, "defer_loading": True})
        _, calls, _ = api.read(
            httpx2.post(models.url + "/v1/messages", json=body, verify=False), stream=False
        )
    assert calls == [(CLAIM, {"task": "T1"})]


def test_qwen_calls_what_its_search_has_shown_through_its_relay():
    api = Api("chat", tools=("tool_search", "tool_call"))
    body = api.body(stream=False)
    body["messages"][0]["content"] = "Deferred tools: mcp__board__claim_task"
    with FakeModels(ONE) as models:
        search = httpx2.post(models.url + "/v1/chat/completions", json=body, verify=False).json()["choices"][
            0
        ]["message"]
        body["messages"] += [
            search,
            {
                "role": "tool",
                "tool_call_id": search["tool_calls"][0]["id"],
                "content": "<functions>mcp__board__claim_task</functions>",
            },
        ]
        _, calls, _ = api.read(
            httpx2.post(models.url + "/v1/chat/completions", json=body, verify=False), stream=False
        )
        assert calls == [("tool_call", {"name": CLAIM, "arguments": {"task": "T1"}})]
        body["tools"].pop()
        said, calls, _ = api.read(
            httpx2.post(models.url + "/v1/chat/completions", json=body, verify=False), stream=False
        )
    assert (calls, said.startswith("fake model: no tool claim_task")) == ([], True), (
        "a search that found nothing is not repeated for ever"
    )


def test_tokens_are_counted_without_a_turn():
    with FakeModels(SCRIPT) as models:
        counted = httpx2.post(
            models.url + "/v1/messages/count_tokens", json=Api("anthropic").body(), verify=False
        ).json()
        gemini = httpx2.post(
            models.url + "/v1beta/models/gemini-fake:countTokens", json=Api("gemini").body(), verify=False
        ).json()
        assert (counted, gemini, models.turns) == ({"input_tokens": 148}, {"totalTokens": 148}, [])


def test_gemini_streams_a_json_array_to_whoever_did_not_ask_for_events():
    with FakeModels(Script((Step("One two"),))) as models:
        response = httpx2.post(
            models.url + "/v1beta/models/gemini-fake:streamGenerateContent",
            json=Api("gemini").body(),
            verify=False,
        )
    assert (
        "".join(part["candidates"][0]["content"]["parts"][0]["text"] for part in response.json()) == "One two"
    )


@each_api
def test_the_first_two_tries_of_a_step_fail_as_scripted_and_the_third_is_answered(api: Api):
    faults = (Fault(status=429, headers={"Retry-After": "3"}, tries=2), Fault(status=529, body="so busy"))
    with FakeModels(Script((Step("One."), Step("Two.", faults=faults)), turns="any")) as models:
        assert api.read(api.ask(models.url))[0] == "One."
        answers = [api.ask(models.url, 1) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [429, 429, 529, 200]
        assert (
            answers[0].headers["retry-after"] == "3"
            and "a scripted fault" in answers[0].json()["error"]["message"]
        )
        assert answers[2].text == "so busy"
        assert [each.answered for each in models.requests] == ["turn", "fault", "fault", "fault", "turn"]


def test_a_fault_of_the_script_meets_the_requests_in_their_order_and_an_empty_one_lets_pass():
    script = Script((Step("One."),), faults=(Fault(tries=2), Fault(status=500, tries=FOR_EVER)))
    with FakeModels(script) as models:
        assert [APIS[0].ask(models.url).status_code for _ in range(5)] == [200, 200, 500, 500, 500]


@pytest.mark.parametrize("fault", [Fault(cut=True), Fault(reset=True)], ids=["cut", "reset"])
@pytest.mark.parametrize("stream", [True, False])
def test_a_broken_answer_has_begun_and_does_not_end(fault: Fault, stream: bool):
    with FakeModels(Script((Step("One two three.", faults=(fault,)),))) as models:
        api = APIS[0]
        with pytest.raises(httpx2.TransportError):  # a reset may overtake what was sent
            api.ask(models.url, stream=stream)
        assert models.requests[0].sent and not models.requests[0].finished
        assert api.ask(models.url, stream=stream).status_code == 200


def test_a_reset_before_the_first_byte_leaves_no_answer():
    with FakeModels(Script(faults=(Fault(reset=True, after=0),))) as models:
        with pytest.raises(httpx2.TransportError):
            APIS[0].ask(models.url)
        assert models.requests[0].sent == b""


@pytest.mark.parametrize("fault", [Fault(stall=0.3), Fault(delay=0.3)], ids=["stall", "delay"])
def test_after_a_stall_or_a_delay_the_answer_comes_whole(fault: Fault):
    with FakeModels(Script((Step("One two.", faults=(fault,)),))) as models:
        began = time.monotonic()
        text, _, _ = APIS[0].read(APIS[0].ask(models.url))
        assert time.monotonic() - began >= 0.3 and text == "One two."


def test_a_stall_comes_after_the_first_events():
    fault = Fault(stall=BOUND_S)
    with (
        FakeModels(Script((Step("One two.", faults=(fault,)),))) as models,
        httpx2.stream(
            "POST", models.url + APIS[0].path(stream=True), json=APIS[0].body(), verify=False
        ) as response,
    ):
        pieces, heard = response.iter_raw(), b""
        while heard.count(b"event: ") < fault.after:
            heard += next(pieces)
        [asked] = models.requests
        assert heard == asked.sent and not asked.finished


def test_a_delay_comes_before_the_first_byte():
    with FakeModels(Script((Step("One two.", faults=(Fault(delay=BOUND_S),)),))) as models:
        with pytest.raises(httpx2.ReadTimeout):
            httpx2.post(
                models.url + APIS[0].path(stream=True),
                json=APIS[0].body(),
                timeout=httpx2.Timeout(BOUND_S, read=0.1),
                verify=False,
            )
        [asked] = until(lambda: models.requests)
        assert asked.sent == b"" and not asked.finished


def test_a_client_that_leaves_ends_the_answer():
    with FakeModels(Script((Step("word " * 200, pace=0.02, deltas=200),))) as models:
        with httpx2.stream(
            "POST", models.url + "/v1/messages", json=APIS[0].body(), verify=False
        ) as response:
            next(response.iter_raw())
        told = until(lambda: models.requests[0].sent)
        assert not models.requests[0].finished and told.count(b"text_delta") < 100


def test_scripts_are_told_apart_by_a_text_in_the_request():
    with FakeModels([Script((Step("For T2."),), match="T2"), Script((Step("For all."),))]) as models:
        bodies = [
            Api("chat").body(stream=False) | {"messages": [{"role": "user", "content": f"Task {task}"}]}
            for task in ("T2", "T3")
        ]
        told = [
            httpx2.post(models.url + "/v1/chat/completions", json=body, verify=False).json()
            for body in bodies
        ]
    assert [each["choices"][0]["message"]["content"] for each in told] == ["For T2.", "For all."]


def test_a_script_is_read_from_json_and_toml(tmp_path: Path):
    (tmp_path / "a.json").write_text(
        json.dumps(
            {
                "steps": [
                    {
                        "say": "Hm",
                        "calls": [{"tool": "push", "args": {"fence": 1}}],
                        "usage": {"input": 5},
                        "faults": [{"status": 500}],
                    }
                ]
            }
        )
    )
    (tmp_path / "a.toml").write_text(
        '[[steps]]\nsay = "Hm"\ncalls = [{tool = "push", args = {fence = 1}}]\nusage = {input = 5}\nfaults = [{status = 500}]\n'
    )
    wanted = Script((Step("Hm", (Call("push", {"fence": 1}),), Usage(input=5), (Fault(status=500),)),))
    assert load(tmp_path / "a.json") == load(tmp_path / "a.toml") == [wanted]
    with pytest.raises(ValueError, match="Step has no sai"):
        made(Script, {"steps": [{"sai": "Hm"}]})


def test_it_runs_by_itself_and_tells_each_request(tmp_path: Path):
    script = tmp_path / "script.json"
    script.write_text('{"steps": [{"say": "By itself."}]}')
    argv = [
        sys.executable,
        "-m",
        "tests.fake_models",
        "--script",
        str(script),
        "--bodies",
        str(tmp_path / "bodies"),
    ]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = json.loads(process.stdout.readline())["url"]
            assert APIS[2].read(APIS[2].ask(url))[0] == "By itself."
            told = json.loads(process.stdout.readline())
        finally:
            process.terminate()
    assert (told["api"], told["answered"], told["finished"], told["text"]) == (
        "chat",
        "turn",
        True,
        "By itself.",
    )
    assert json.loads((tmp_path / "bodies/0001.json").read_text())["model"] == "gpt-fake"
