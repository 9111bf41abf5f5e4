"""The MCP tools over real HTTP in both protocol eras: schemas, strict arguments, answers in time and in size,
repeatability.
"""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from mcp_server.core.task import Task
from mcp_server.edge.mcp_tools import engine, tools
from mcp_server.edge.mcp_tools.engine import present
from mcp_server.store import tasks as task_rows
from tests.waiting import BOUND_S, until

from . import toy, wide
from .conftest import NO_TLS, Agent, Server
from .wide import refused, settled

TOOLS = {
    "claim_task",
    "release_task",
    "run_oracle",
    "push",
    "submit_report",
    "list_tasks",
    "create_task",
    "read_progress",
    "read_notes",
    "write_note",
}
ANSWER_CHARACTERS = 8_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with wide.serving(tmp_path_factory.mktemp("tools")) as made, wide.running(made):
        yield made


def in_client(agent: Agent, act):
    """What `act(client)` gives, with a client of the SDK's connected as the agent."""

    async def connected():
        headers, url = {"Authorization": f"Bearer {agent.token}"}, f"{agent.server.url}/mcp"
        async with (
            httpx2.AsyncClient(headers=headers, timeout=BOUND_S, verify=NO_TLS) as http,
            Client(streamable_http_client(url, http_client=http), mode=agent.mode) as client,
        ):
            return await act(client)

    return asyncio.run(connected())


def raw(
    agent: Agent, tool: str, arguments: dict, timeout: float = 60, body: bytes | None = None
) -> httpx2.Response:
    """One call as bytes on the wire, in the older era, so that nothing of the SDK's client is in between."""
    call = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": tool, "arguments": arguments},
    }
    headers = {
        "Authorization": f"Bearer {agent.token}",
        "Accept": "application/json, text/event-stream",
        "Content-Type": "application/json",
        "MCP-Protocol-Version": "2025-06-18",
    }
    return httpx2.post(
        f"{agent.server.url}/mcp",
        content=body or json.dumps(call),
        headers=headers,
        timeout=timeout,
        verify=NO_TLS,
    )


# -- what a client is shown


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_every_tool_is_described_annotated_and_strict(server: Server, mode: str):
    one = server.agent(f"looker-{mode}")
    one.mode = mode
    listed = in_client(one, lambda client: client.list_tools()).tools
    assert {tool.name for tool in listed} == TOOLS
    for tool in listed:
        assert tool.description and tool.input_schema["additionalProperties"] is False
        assert (
            tool.annotations is not None
            and tool.annotations.idempotent_hint
            and tool.annotations.destructive_hint is False
        )
        assert tool.annotations.read_only_hint == tool.name.startswith(("read_", "list_"))


def test_a_session_that_lists_the_tools_or_calls_one_is_known_to_have_seen_them(server: Server):
    for name, act in {
        "lister": lambda client: client.list_tools(),
        "caller": lambda client: client.call_tool("list_tasks", {}),
    }.items():
        one = server.agent(name)
        with server.http() as http:
            assert http.get(f"/api/sessions/{one.session}").json()["tools_listed"] is False
            in_client(one, act)
            assert http.get(f"/api/sessions/{one.session}").json()["tools_listed"] is True


@pytest.mark.parametrize(("mode", "number"), [("auto", 1), ("legacy", 2)])
def test_a_whole_round_works_in_either_era_and_every_call_may_be_repeated(
    server: Server, tmp_path: Path, mode: str, number: int
):
    one, task = server.agent(f"round-{mode}"), f"M{number:02}"
    one.mode = mode
    claimed = one.call("claim_task", task=task)
    assert (
        claimed["status"] == "leased"
        and claimed["task"]["id"] == task
        and claimed["paths"] == [f"m{number:02}/**"]
    )
    again = one.call("claim_task", task=task)
    assert (again["fence"], one.call("claim_task")["fence"]) == (claimed["fence"], claimed["fence"])
    assert json.loads(again["text"]) == {
        key: value for key, value in again.items() if key not in ("text", "is_error")
    }
    fence = claimed["fence"]
    commit = one.commit(one.clone(tmp_path / "one"), {f"m{number:02}/new": "1\n"})
    with server.http() as http:
        until(lambda: http.get("/api/status").json()["suites"]["words"]["cases"], "main to be measured")
    first = settled(one, "run_oracle", fence=fence)
    assert first["status"] == "passed" and first["suites"]["words"]["counts"] == {
        "cases": 4,
        "executed": 4,
        "compared": 4,
        "passed": 2,
        "failed": 2,
    }
    assert first == settled(one, "run_oracle", fence=fence)
    landed = settled(one, "push", fence=fence, commit=commit, summary="New")
    assert landed["status"] == "landed" and landed == one.call(
        "push", fence=fence, commit=commit, summary="New"
    )
    released = one.call("release_task", fence=fence, outcome="done")
    assert released["status"] == "released" and "landed" in released["note"]
    assert released == one.call("release_task", fence=fence, outcome="done")
    for _ in range(2):
        assert one.call("write_note", topic=f"round/{mode}", text="hello")["status"] == "written"
    assert one.call("read_notes", topic=f"round/{mode}")["text"].count("hello") == 1
    made = [one.call("create_task", title=f"New {mode}", module="m05", brief="do") for _ in range(2)]
    assert made[0] == made[1] and made[0]["status"] == "created"
    listed = one.call("list_tasks")
    assert listed["done"] >= 1 and made[0]["task"] in [task["id"] for task in listed["tasks"]]
    assert task in one.call("read_progress")["text"]
    with server.http() as http:
        assert [
            commit["trailers"].get("Task") for commit in http.get("/api/commits").json()["commits"]
        ].count(task) == 1


def test_a_landing_tells_what_changed_against_main(server: Server, tmp_path: Path):
    with server.http() as http:
        until(lambda: http.get("/api/status").json()["suites"]["words"]["cases"])  # main is measured
    one = server.agent("changer")
    fence = one.call("claim_task", task="M03")["fence"]
    one.commit(one.clone(tmp_path / "one"), {"m03/filter": "FROM=A-Z\nTO=a-z\n"})
    told = settled(one, "run_oracle", fence=fence, scope="full")["suites"]["words"]
    assert told["against_main"] == {"newly_passing": 0, "newly_failing": 1, "newly_failing_cases": ["up/0"]}
    assert settled(one, "run_oracle", fence=fence, cases=["up/1"])["status"] == "passed"
    one.call("release_task", fence=fence, outcome="abandoned")


# -- arguments

RIGHT = {
    "claim_task": {},
    "release_task": {"fence": 1, "outcome": "done"},
    "run_oracle": {},
    "push": {"fence": 1, "commit": "a" * 40, "summary": "s"},
    "submit_report": {"fence": 1, "markdown": "m"},
    "list_tasks": {},
    "create_task": {"title": "t", "module": "m01", "brief": "b"},
    "read_progress": {},
    "read_notes": {},
    "write_note": {"topic": "t", "text": "x"},
}
WRONG = [
    ("claim_task", {"task": 7}),
    ("claim_task", {"module": ["m01"]}),
    ("release_task", {"fence": "first", "outcome": "done"}),
    ("release_task", {"fence": 0, "outcome": "done"}),
    ("release_task", {"fence": 2**70, "outcome": "done"}),
    ("release_task", {"fence": 1, "outcome": "won"}),
    ("release_task", {"fence": 1}),
    ("run_oracle", {"scope": "half"}),
    ("run_oracle", {"cases": {"a": 1}}),
    ("run_oracle", {"fence": -1}),
    ("push", {"fence": 1, "commit": "a" * 40}),
    ("push", {"fence": 1, "patch": ["a"], "summary": "s"}),
    ("push", {"fence": 1.5, "commit": "a" * 40, "summary": "s"}),
    ("create_task", {"title": "t", "module": "m01", "brief": None}),
    ("create_task", {"title": "t", "module": "m01", "brief": "b", "paths": [1]}),
    ("write_note", {"topic": "t"}),
]


@pytest.mark.parametrize("tool", sorted(TOOLS))
def test_an_unknown_argument_is_refused_by_name_logged_and_changes_nothing(server: Server, tool: str):
    one = server.agent(f"typist-{tool.replace('_', '-')}")
    answer = refused(one.call(tool, **RIGHT[tool], agent="admin"), "bad_request")
    assert "agent" in answer["happened"]
    [event] = server.events(kind="tool_call", agent=one.name)
    assert (event["data"]["tool"], event["data"]["status"], event["data"]["code"]) == (
        tool,
        "refused",
        "bad_request",
    )
    assert event["data"]["args"]["arguments"]["agent"] == "admin"
    with server.http() as http:
        assert not [
            row
            for row in http.get("/api/status").json()["agents"]
            if row["agent"] == one.name and row["task"]
        ]


@pytest.mark.parametrize(
    ("tool", "arguments"),
    WRONG,
    ids=lambda value: value if isinstance(value, str) else "-".join(map(str, value.values()))[:30],
)
def test_arguments_of_a_wrong_type_or_missing_are_refused(server: Server, tool: str, arguments: dict):
    refused(server.agent("wrong").call(tool, **arguments), "bad_request")


def test_an_unknown_tool_is_refused_and_logged(server: Server):
    one = server.agent("explorer")
    answer = raw(one, "drop_database", {}).text
    assert "bad_request" in answer and "drop_database" in answer
    assert [event["data"]["tool"] for event in server.events(kind="tool_call", agent="explorer")] == [
        "drop_database"
    ]


@pytest.mark.parametrize(
    "text", ["\\u0000 nul", "\\ud800 half a character", "\\ufffe", "a\\r\\nb", "\\u202e"]
)
def test_any_text_that_json_can_carry_is_answered(server: Server, text: str):
    one = server.agent("poet")
    body = (
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"write_note","arguments":{"topic":"odd","text":"%s"}}}'
        % text.encode()
    )
    answer = raw(one, "write_note", {}, body=body)
    assert answer.status_code in (200, 400) and "Error executing tool" not in answer.text
    assert one.call("read_notes", topic="odd")["is_error"] is False


# -- who is who


def test_a_lease_belongs_to_the_token_whatever_the_arguments_say(server: Server):
    one, other = server.agent("owner"), server.agent("thief")
    fence = one.call("claim_task", task="M04")["fence"]
    refused(other.call("release_task", fence=fence, outcome="abandoned"), "not_leased")
    refused(other.call("push", fence=fence, commit="a" * 40, summary="mine"), "not_leased")
    refused(other.call("run_oracle", fence=fence), "not_leased")
    assert one.call("claim_task")["fence"] == fence
    one.call("release_task", fence=fence, outcome="abandoned")


# -- refusals that need no gate


def test_claims_are_refused_by_name_with_something_else_to_do(server: Server):
    one, other = server.agent("first"), server.agent("second")
    fence = one.call("claim_task", task="M00")["fence"]
    held = refused(other.call("claim_task", task="M00"), "held")
    assert "first" in held["holds"] and "claim_task(task=" in held["next"]
    assert "M00" in refused(other.call("claim_task", task="X00"), "overlap")["holds"]
    assert "M00" in refused(other.call("claim_task", task="Y00"), "no_task")["holds"]
    refused(other.call("claim_task", task="Z99"), "unknown_task")
    refused(other.call("claim_task", module="nowhere"), "no_task")
    refused(one.call("claim_task", task="M06"), "held")
    assert one.call("release_task", fence=fence, outcome="abandoned")["status"] == "released"


def test_a_lease_that_is_not_ones_own_or_over_is_refused_by_every_tool_that_takes_a_fence(
    server: Server, tmp_path: Path
):
    one = server.agent("late")
    fence = one.call("claim_task", task="M06")["fence"]
    commit = one.commit(one.clone(tmp_path / "one"), {"m06/x": "1\n"})
    one.call("release_task", fence=fence, outcome="abandoned")
    stale = refused(one.call("push", fence=fence, commit=commit, summary="late"), "stale_fence")
    assert "abandoned" in stale["happened"] and "not leased to anybody" in stale["holds"]
    refused(one.call("run_oracle", fence=fence), "stale_fence")
    refused(one.call("push", fence=999_999, commit=commit, summary="none"), "not_leased")
    refused(one.call("run_oracle", fence=999_999), "not_leased")
    refused(one.call("release_task", fence=999_999, outcome="done"), "not_leased")


def test_release_wants_a_landing_for_done_and_a_short_reason_for_blocked(server: Server):
    one = server.agent("blocker")
    fence = one.call("claim_task", task="M07")["fence"]
    refused(one.call("release_task", fence=fence, outcome="done"), "nothing_to_land")
    refused(one.call("release_task", fence=fence, outcome="blocked", note=" "), "bad_request")
    refused(one.call("release_task", fence=fence, outcome="blocked", note="x" * 3_000), "too_large")
    assert one.call("claim_task")["fence"] == fence
    for _ in range(2):
        assert (
            one.call("release_task", fence=fence, outcome="blocked", note="the interface is missing")[
                "status"
            ]
            == "released"
        )
    blocked = refused(one.call("claim_task", task="M07"), "no_task")
    assert "the interface is missing" in blocked["holds"]


def test_commits_that_the_server_does_not_have_or_that_are_no_full_ids_are_unknown(
    server: Server, tmp_path: Path
):
    one, other = server.agent("pusher"), server.agent("stranger")
    fence = one.call("claim_task", task="M08")["fence"]
    refused(one.call("run_oracle", fence=fence), "commit_unknown")
    mine = one.commit(one.clone(tmp_path / "one"), {"m08/x": "1\n"})
    theirs = other.commit(other.clone(tmp_path / "other"), {"m08/x": "2\n"})
    for wrong in (
        "a" * 40,
        theirs,
        mine[:12],
        mine.upper() if mine.upper() != mine else "A" * 40,
        "main",
        "--all",
        "x" * 5_000,
        toy.git("rev-parse", f"{mine}^{{tree}}", cwd=tmp_path / "one"),
    ):
        refused(one.call("push", fence=fence, commit=wrong, summary="no"), "commit_unknown")
        if wrong:
            refused(one.call("run_oracle", fence=fence, commit=wrong), "commit_unknown")
    for summary in ("", "  ", "x" * 2_001):
        refused(one.call("push", fence=fence, commit=mine, summary=summary), "bad_request")
    refused(one.call("run_oracle", fence=fence, cases=["nothing/*"]), "bad_request")
    one.call("release_task", fence=fence, outcome="abandoned")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"module": "nowhere"}, "no module"),
        ({"title": ""}, "a title has"),
        ({"brief": "x" * 8_001}, "a brief"),
        ({"needs": ["T99"]}, "unknown tasks"),
        ({"paths": ["m09/**"]}, "leave module"),
        ({"paths": ["/etc/**"]}, "relative"),
        ({"paths": ["m05/../**"]}, "'..'"),
        ({"paths": ["m05/x"] * 51}, "at most"),
    ],
)
def test_a_proposal_that_makes_no_sense_is_refused_and_makes_no_task(server: Server, change: dict, said: str):
    one = server.agent("planner")
    before = one.call("list_tasks")["open"]
    proposal = {"title": f"Plan {said}", "module": "m05", "brief": "do"} | change
    assert said in refused(one.call("create_task", **proposal), "bad_request")["happened"]
    assert one.call("list_tasks")["open"] == before


# -- in time


def test_a_call_that_has_to_wait_sends_progress_and_answers_in_time_and_the_next_joins(tmp_path: Path):
    with wide.serving(tmp_path, wait_s=1.0) as server, wide.running(server) as runner:
        one = server.agent("waiter")
        fence = one.call("claim_task", task="M01")["fence"]
        commit = one.commit(one.clone(tmp_path / "one"), {"m01/x": "1\n"})
        runner.hold.clear()
        heard: list[float] = []

        async def note(progress: float, total: float | None, message: str | None) -> None:
            heard.append(progress)

        for tool, arguments, word in (
            ("run_oracle", {"fence": fence}, "running"),
            ("push", {"fence": fence, "commit": commit, "summary": "x"}, "testing"),
        ):
            for mode in ("auto", "legacy"):
                one.mode = mode
                heard.clear()
                result = in_client(
                    one,
                    lambda client, tool=tool, arguments=arguments: client.call_tool(
                        tool, arguments, progress_callback=note
                    ),
                )
                assert result.structured_content["status"] == word and len(heard) > 1
                assert heard == sorted(heard)
        assert one.call("push", fence=fence, commit=commit, summary="x")["submission"] == 1
        refused(one.call("release_task", fence=fence, outcome="abandoned"), "held")
        refused(
            one.call(
                "push", fence=fence, commit=toy.git("rev-parse", "HEAD^", cwd=tmp_path / "one"), summary="x"
            ),
            "held",
        )
        runner.hold.set()
        assert settled(one, "push", fence=fence, commit=commit, summary="x")["status"] == "landed"
        runs = [job for job in runner.jobs if job["kind"] == "run"]
        assert len({job["job"] for job in runs}) == len(runs) <= 2  # main, and this tree once for both tools


def test_the_waiting_time_is_below_the_shortest_time_out_of_clients():
    assert engine.WAIT_S == 45 and engine.PROGRESS_S < 10


def test_a_call_dropped_at_any_moment_and_made_again_ends_in_the_same_state(server: Server, tmp_path: Path):
    one = server.agent("dropper")
    clone = None
    for number, delay_s in enumerate((0.002, 0.02, 0.06, 0.15), 20):
        task, name = f"M{number}", f"m{number}"
        drop(one, "claim_task", {"task": task}, delay_s)
        fence = one.call("claim_task", task=task)["fence"]
        clone = clone or one.clone(tmp_path / "one")
        commit = one.commit(clone, {f"{name}/x": "1\n"})
        drop(one, "push", {"fence": fence, "commit": commit, "summary": task}, delay_s)
        assert settled(one, "push", fence=fence, commit=commit, summary=task)["status"] == "landed"
        drop(one, "release_task", {"fence": fence, "outcome": "done"}, delay_s)
        assert one.call("release_task", fence=fence, outcome="done")["status"] == "released"
        toy.git("fetch", "-q", "origin", cwd=clone)
        toy.git("reset", "-q", "--hard", "origin/main", cwd=clone)
    assert (
        len(server.events(kind="landed", agent="dropper"))
        == 4
        == len(server.events(kind="lease_granted", agent="dropper"))
    )
    calls = server.events(kind="tool_call", agent="dropper")
    assert "dropped" in [event["data"]["status"] for event in calls if event["data"]["tool"] == "push"]
    drop(one, "write_note", {"topic": "dropped", "text": "once"}, 0.01)
    one.call("write_note", topic="dropped", text="once")
    assert one.call("read_notes", topic="dropped")["text"].count("once") == 1


def drop(agent: Agent, tool: str, arguments: dict, after_s: float) -> None:
    """Sends the call and closes the connection after a while, answered or not."""
    with suppress(httpx2.TimeoutException):
        raw(agent, tool, arguments, timeout=httpx2.Timeout(10, read=after_s))


def test_many_agents_that_claim_the_same_task_at_once_have_one_winner(server: Server):
    agents = [server.agent(f"racer-{number}") for number in range(6)]
    barrier, answers = threading.Barrier(len(agents)), {}

    def race(agent: Agent) -> None:
        barrier.wait()
        answers[agent.name] = agent.call("claim_task", task="M30")

    threads = [threading.Thread(target=race, args=(agent,)) for agent in agents]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    winners = [name for name, answer in answers.items() if answer["status"] == "leased"]
    assert len(winners) == 1
    for name, answer in answers.items():
        if name not in winners:
            assert winners[0] in refused(answer, "held")["holds"]


# -- in size


def test_no_answer_is_longer_than_its_budget_and_each_says_what_was_cut(tmp_path: Path):
    with wide.serving(tmp_path, brief='"long"\n' * 5_000) as server:
        one = server.agent("reader")
        claimed = one.call("claim_task")
        assert len(claimed["text"]) <= ANSWER_CHARACTERS and "characters cut" in claimed["task"]["brief"]
        assert claimed["fence"] and claimed["paths"] and claimed["check"] and claimed["base"]
        assert server.world is not None
        with server.world.store.write() as tx:
            for number in range(500):
                task_rows.add(
                    tx, Task(f"N{number}", "t" * 190, "b", "m09", "toy", (f"m09/{'p' * 300}{number}",))
                )
        with server.http() as http:
            assert len(http.get("/api/tasks").json()["tasks"]) > 500
        for number in range(12):
            one.call("write_note", topic=f"topic/{number}", text="\N{SNOWMAN}\n" * 1_900)
        for tool in ("list_tasks", "read_notes", "read_progress"):
            answer = one.call(tool)
            assert len(answer["text"]) <= ANSWER_CHARACTERS and answer["text"].strip(), tool
        listed = one.call("list_tasks")
        assert (
            listed["left_out"] + len(listed["tasks"])
            == sum(listed[state] for state in ("open", "leased", "done", "blocked"))
            and len(listed["tasks"]) > 10
        )
        assert (
            "older notes" in one.call("read_notes")["text"]
            and "\N{SNOWMAN}" in one.call("read_notes")["text"]
        )
        assert len(one.call("claim_task", task="x" * 20_000)["text"]) <= ANSWER_CHARACTERS
        assert len(one.call("write_note", topic="x" * 20_000, text="x")["text"]) <= ANSWER_CHARACTERS


@pytest.mark.parametrize("function", [function for function, _ in tools.TOOLS], ids=lambda f: f.__name__)
def test_an_empty_string_counts_as_absent_for_every_optional_argument(function):
    tool = tools._strict(function, tools.READS)
    fields = tool.fn_metadata.arg_model.model_fields
    empty = dict.fromkeys(fields, "")
    needed = {name for name, field in fields.items() if field.is_required()}
    assert set(present(tool, empty)) == needed


def test_what_clients_send_for_nothing_is_nothing(server: Server):
    one = server.agent("blank")
    claimed = one.call("claim_task", task="", module="")
    assert claimed["status"] == "leased", claimed
    fence = claimed["fence"]
    paths = claimed["paths"][0].removesuffix("**")
    patch = f"--- /dev/null\n+++ b/{paths}blank\n@@ -0,0 +1 @@\n+1\n"
    answer = one.call("push", fence=fence, summary="", commit="", base="", patch=patch)
    assert "summary" in wide.refused(answer, "bad_request")["happened"]
    assert one.call("release_task", fence=fence, outcome="abandoned", note="")["status"] == "released"
    assert one.call("read_notes", topic="") == one.call("read_notes")


@pytest.mark.parametrize("dummy", [{"random_string": "x"}, {"dummy": ""}, {"anything": ""}])
def test_a_dummy_is_taken_by_a_tool_without_parameters_alone(server: Server, dummy: dict):
    one = server.agent("dummy")
    assert one.call("list_tasks", **dummy)["open"]
    assert not one.call("read_progress", **dummy)["is_error"]
    assert wide.refused(one.call("read_notes", **dummy), "bad_request")
    assert wide.refused(one.call("list_tasks", module="m01"), "bad_request")
