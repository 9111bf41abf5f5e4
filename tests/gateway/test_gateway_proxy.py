"""Requests through a running server: passed on byte for byte, counted, tried again where that is safe, and
nothing else let through.
"""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.fake_models import FOR_EVER, FakeModels, Fault, Script, Step, Usage
from tests.waiting import until

from .place import FORMS, KEY, Place, Request, asking, place

USAGE = Usage(input=900, cached_read=100, output=20, reasoning=5)
COUNTS = {"input": 1000, "cached_read": 100, "output": 20}


def scripted(say: str, *faults: Fault, **more) -> Script:
    """A script for the requests that hold `say`, so that the tests of this file share a server."""
    return Script((Step(say, usage=USAGE, faults=faults, **more),), match=f"<{say}>", turns="any")


SCRIPTS = (
    Script((Step("Well done.", usage=USAGE),), turns="any"),
    scripted("cut", Fault(cut=True, after=1, tries=FOR_EVER)),
    scripted("slow", Fault(stall=600, after=2, tries=FOR_EVER)),
    scripted("shaky", Fault(status=500), Fault(reset=True, after=0)),
    scripted("empty", Fault(cut=True, after=0)),
    scripted("broken", Fault(status=503, tries=FOR_EVER)),
    scripted(
        "wrong",
        Fault(
            status=400,
            headers={"x-echo": f"Bearer {KEY}"},
            body={"error": {"message": f"bad thing near {KEY}, sorry"}},
            tries=FOR_EVER,
        ),
    ),
    scripted("elsewhere", Fault(status=307, headers={"location": "http://127.0.0.1:9/"}, tries=FOR_EVER)),
)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with FakeModels(SCRIPTS) as models, place(tmp_path_factory.mktemp("proxy"), models) as made:
        yield made


def about(say: str, form: str = "messages", **more) -> Request:
    request = asking(form, **more)
    return Request(
        request.account, request.path, json.loads(json.dumps(request.body).replace("Go on.", f"<{say}>"))
    )


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_passes_byte_for_byte_and_is_counted(here: Place, form: str, stream: bool):
    agent = here.agent(f"{form}-{stream}")
    answer = here.ask(agent, asking(form, stream=stream))
    assert (answer.status_code, answer.content) == (200, here.models.requests[-1].sent)
    assert answer.headers["content-type"].startswith("text/event-stream" if stream else "application/json")
    [counted] = here.counted(agent)
    assert {name: counted[name] for name in COUNTS} == COUNTS
    assert (
        counted["outcome"],
        counted["known"],
        counted["partial"],
        counted["tries"],
        counted["session"],
    ) == ("ok", True, False, 1, agent.session)
    assert counted["cost_usd"] > 0 and counted["took_ms"] >= counted["first_byte_ms"]


def test_the_body_goes_upstream_untouched_with_our_key_and_none_of_the_clients_credentials(here: Place):
    agent = here.agent("strict")
    body = (
        b'{ "model":"gpt-5" ,\n "input": "\\ud83d", "unknown": [1.0, 1e3, {"b":1,"a":2}],"stream" : false}  '
    )
    sent = {
        "content-type": "application/json; charset=utf-8",
        "x-api-key": "client",
        "cookie": "a=b",
        "openai-organization": "theirs",
        "x-special": "kept",
        "user-agent": "cli/1",
    }
    with here.http(agent) as http:
        assert (
            http.post(
                "/openai/v1/responses?key=client&other=%20x&flag", content=body, headers=sent
            ).status_code
            == 200
        )
    got = here.models.requests[-1].request
    assert got.body == body and got.target == "/v1/responses?other=%20x&flag"
    assert (
        got.header("authorization"),
        got.header("accept-encoding"),
        got.header("user-agent"),
        got.header("x-special"),
    ) == (f"Bearer {KEY}", "identity", "cli/1", "kept")
    assert [
        got.header(name) for name in ("x-api-key", "x-goog-api-key", "cookie", "openai-organization")
    ] == [None] * 4
    assert agent.token not in str(got)


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({"x-api-key": "TOKEN"}, ""),
        ({"x-goog-api-key": "TOKEN"}, ""),
        ({}, "key=TOKEN"),
        ({"authorization": "bearer TOKEN"}, ""),
    ],
    ids=["anthropic", "gemini", "query", "bearer"],
)
def test_the_token_is_found_where_a_client_puts_its_key(here: Place, headers: dict, query: str):
    agent, request = here.agent("placed"), asking("generate", stream=False)
    url = f"{here.server.url}/llm/gemini{request.path}?{query.replace('TOKEN', agent.token)}"
    given = {name: value.replace("TOKEN", agent.token) for name, value in headers.items()}
    assert httpx2.post(url, json=request.body, headers=given, verify=False).status_code == 200
    assert here.models.requests[-1].request.header("x-goog-api-key") == KEY and agent.token not in str(
        here.models.requests[-1].request
    )
    assert (
        httpx2.get(
            f"{here.server.url}/api/status?{query.replace('TOKEN', agent.token)}",
            headers={k: v for k, v in given.items() if k != "authorization"},
            verify=False,
        ).status_code
        == 401
    )


def test_strangers_and_other_roles_reach_no_model(here: Place):
    before = len(here.models.requests)
    answer = httpx2.post(
        f"{here.server.url}/llm/anthropic/v1/messages",
        json={},
        headers={"x-api-key": "hs_none"},
        verify=False,
    )
    assert answer.status_code == 401 and answer.json()["error"]["type"] == "authentication_error"
    with here.server.http("admin") as http:
        assert http.post("/llm/anthropic/v1/messages", json=asking("messages").body).status_code == 403
    assert len(here.models.requests) == before


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "anthropic/v1/complete", 404),
        ("POST", "anthropic/v1/messages/batches", 404),
        ("GET", "anthropic/v1/messages", 405),
        ("POST", "openai/v1/files", 404),
        ("GET", "openai/v1/responses", 405),
        ("POST", "openai/v1/responses/../files", 404),
        ("POST", "openai/v1/responses%2f..%2ffiles", 404),
        ("POST", "gemini/v1beta/models/x:batchGenerateContent", 404),
        ("POST", "gemini/v1beta/models/..%2f..%2ffiles:generateContent", 404),
        ("DELETE", "gemini/v1beta/models/x:generateContent", 405),
        ("POST", "unknown/v1/messages", 404),
    ],
)
def test_what_is_not_listed_goes_no_further(here: Place, method: str, path: str, status: int):
    agent, before = here.agent("prober"), len(here.models.requests)
    with here.http(agent) as http:
        answer = http.request(method, f"{here.server.url}/llm/{path}", json={"model": "x"})
    assert answer.status_code == status and answer.json()["error"]["message"]
    assert len(here.models.requests) == before


def test_a_probe_is_answered_here_and_models_are_listed_by_the_vendor(here: Place):
    agent = here.agent("looker")
    with here.http(agent) as http:
        assert (
            http.head(f"{here.server.url}/llm/anthropic").status_code
            == http.head("/anthropic/").status_code
            == 200
        )
        assert http.get("/openai/v1/models").json()["object"] == "list"
    assert (
        here.counted(agent)[0] | {"cost_usd": 0.0, "form": "list", "partial": False} == here.counted(agent)[0]
    )


def test_counting_tokens_costs_nothing(here: Place):
    agent = here.agent("counter")
    answer = here.ask(
        agent, Request("anthropic", "/v1/messages/count_tokens", asking("messages", stream=False).body)
    )
    assert answer.status_code == 200 and answer.json()["input_tokens"] > 0
    [counted] = here.counted(agent)
    assert (counted["input"], counted["cost_usd"], counted["known"], counted["form"]) == (
        0,
        0.0,
        True,
        "count",
    )


def test_a_model_without_a_price_is_counted_and_its_cost_unknown(here: Place):
    agent = here.agent("cheap")
    here.ask(agent, asking("messages", model="nobodys-model"))
    [counted] = here.counted(agent)
    assert (counted["input"], counted["cost_usd"]) == (1000, None)
    [row] = [row for row in here.api("/api/spending")["agents"] if row["agent"] == agent.name]
    assert (row["tokens"], row["unpriced"], row["unknown"]) == (1020, 1, 0)


def test_a_chat_stream_that_tells_no_usage_is_counted_as_unknown(here: Place):
    agent, request = here.agent("silent"), asking("chat")
    del request.body["stream_options"]
    answer = here.ask(agent, request)
    assert (
        answer.status_code == 200
        and json.dumps(request.body).encode() != b""
        and "stream_options" not in here.models.requests[-1].body
    )
    [counted] = here.counted(agent)
    assert (counted["known"], counted["cost_usd"], counted["outcome"], counted["partial"]) == (
        False,
        None,
        "ok",
        False,
    )
    [row] = [row for row in here.api("/api/spending")["agents"] if row["agent"] == agent.name]
    assert row["unknown"] == 1


def test_a_client_that_leaves_is_counted_for_what_it_saw(here: Place):
    agent, request = here.agent("leaver"), about("slow")
    with (
        here.http(agent) as http,
        http.stream("POST", f"/anthropic{request.path}", json=request.body) as answer,
    ):
        assert b"message_start" in next(answer.iter_raw())
    [counted] = here.counted(agent)
    assert (counted["outcome"], counted["partial"], counted["input"], counted["known"]) == (
        "aborted",
        True,
        1000,
        True,
    )


@pytest.mark.parametrize("form", FORMS)
def test_a_stream_cut_after_its_beginning_is_cut_for_the_client_too(here: Place, form: str):
    agent, before = here.agent(f"cut-{form}"), len(here.models.requests)
    with pytest.raises(httpx2.RemoteProtocolError):
        here.ask(agent, about("cut", form))
    [counted] = here.counted(agent)
    assert (counted["outcome"], counted["partial"], counted["tries"]) == ("cut", True, 1) and len(
        here.models.requests
    ) == before + 1


@pytest.mark.parametrize(("say", "tries"), [("shaky", 3), ("empty", 2)])
def test_a_failure_before_the_first_byte_is_tried_again(here: Place, say: str, tries: int):
    agent = here.agent(say)
    answer = here.ask(agent, about(say))
    assert answer.status_code == 200 and answer.content == here.models.requests[-1].sent
    [counted] = here.counted(agent)
    assert (counted["tries"], counted["outcome"], counted["input"]) == (tries, "ok", 1000)


def test_a_lasting_failure_is_passed_on_as_it_is(here: Place):
    agent, before = here.agent("unlucky"), len(here.models.requests)
    answer = here.ask(agent, about("broken"))
    assert answer.status_code == 503 and answer.content == here.models.requests[-1].sent
    assert len(here.models.requests) == before + 3 and here.counted(agent)[0]["outcome"] == "error"


def test_an_error_that_quotes_the_key_is_passed_on_without_it(here: Place):
    answer = here.ask(here.agent("quoter"), about("wrong"))
    assert answer.status_code == 400 and answer.json()["error"]["message"] == "bad thing near (key), sorry"
    assert answer.headers["x-echo"] == "Bearer (key)"


def test_nobody_is_sent_elsewhere(here: Place):
    answer = here.ask(here.agent("redirected"), about("elsewhere"))
    assert answer.status_code == 502 and "location" not in answer.headers and answer.json()["type"] == "error"


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"model": 3}', b'"x"'])
def test_a_body_that_cannot_be_read_is_refused_in_the_apis_own_words(here: Place, body: bytes):
    agent, before = here.agent("mumbler"), len(here.models.requests)
    with here.http(agent) as http:
        answer = http.post("/anthropic/v1/messages", content=body)
    assert (answer.status_code, answer.json()["error"]["type"], len(here.models.requests)) == (
        400,
        "invalid_request_error",
        before,
    )


def test_a_background_response_which_nobody_could_count_is_refused(here: Place):
    answer = here.ask(here.agent("hider"), asking("responses", background=True))
    assert answer.status_code == 400 and "background" in answer.json()["error"]["message"]


def test_a_request_under_a_lease_is_the_tasks_and_keeps_the_lease(here: Place):
    agent = here.agent("holder")
    fence = agent.call("claim_task", task="T02")["fence"]
    here.server.clock.ahead_ms += 30_000
    here.ask(agent, asking("messages"))
    [counted] = here.counted(agent)
    assert (counted["task"], counted["fence"]) == ("T02", fence)
    [row] = [row for row in here.api("/api/status")["agents"] if row["agent"] == agent.name]
    assert row["lease_left_s"] >= 55 and row["spent"]["tokens"] == 1020
    agent.call("release_task", fence=fence, outcome="abandoned")


def test_the_sums_are_the_requests_and_outlive_the_server(here: Place):
    agent = here.agent("summed")
    for form in FORMS:
        here.ask(agent, asking(form))
    here.counted(agent, len(FORMS))
    before = here.api("/api/spending")
    requests = [one for one in here.requests() if one["outcome"] != "refused"]
    assert before["total"]["requests"] == len(requests) >= len(FORMS)
    for name in ("input", "output", "cached_read"):
        assert (
            before["total"][name]
            == sum(one[name] for one in requests)
            == sum(row[name] for row in before["agents"])
            == sum(row[name] for row in before["models"])
        )
    here.server.stop()
    here.server.start()
    assert here.api("/api/spending") == before
    assert here.server.world.ledger.spent("run", "").tokens == before["total"]["tokens"]


def test_an_upstream_that_is_not_there_is_said_to_be_so(tmp_path: Path):
    class Nobody:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            url = f"http://127.0.0.1:{taken.getsockname()[1]}"

    with place(tmp_path, Nobody) as nowhere:
        agent = nowhere.agent()
        answer = nowhere.ask(agent, asking("chat", stream=False))
        assert (
            answer.status_code == 502
            and answer.json()["error"]["code"] == "server_error"
            and "ClientConnectorError" in answer.json()["error"]["message"]
        )
        assert (
            nowhere.counted(agent)[0] | {"outcome": "error", "tries": 3, "status": 502}
            == nowhere.counted(agent)[0]
        )
        until(lambda: nowhere.server.world.accounts.by_name["openai"].in_flight == 0)


def test_a_stream_that_the_servers_end_breaks_off_is_counted(tmp_path: Path):
    with FakeModels(SCRIPTS) as models, place(tmp_path, models) as made:
        agent, request = made.agent(), about("slow")
        agent.call("claim_task", task="T02")
        with (
            made.http(agent) as http,
            http.stream("POST", f"/anthropic{request.path}", json=request.body) as answer,
        ):
            next(answer.iter_raw())
            made.server.stop()
        made.server.start()
        [counted] = made.counted(agent)
        assert (counted["outcome"], counted["partial"], counted["input"], counted["task"]) == (
            "aborted",
            True,
            1000,
            "T02",
        )


def test_the_last_request_of_a_killed_session_is_its_tasks(here: Place):
    agent, request = here.agent("killed"), about("slow", "chat")
    agent.call("claim_task", task="T02")
    with here.http(agent) as http, http.stream("POST", f"/openai{request.path}", json=request.body) as answer:
        next(answer.iter_raw())
        with here.server.http("runner") as runner:
            runner.post(f"/api/sessions/{agent.session}/end", json={"outcome": "crashed"})
    assert (
        here.counted(agent)[0] | {"outcome": "aborted", "task": "T02", "session": agent.session}
        == here.counted(agent)[0]
    )
