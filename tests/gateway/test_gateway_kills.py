"""A server killed with -9 while requests are under way: the next one counts each of them, once."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx2
import pytest

from mcp_server.models import under_way
from tests.fake_models import FOR_EVER, FakeModels, Fault, Script, Step, Usage
from tests.waiting import BOUND_S, until

from .place import KEY, MODELS, asking, config
from .process import Process, serving

USAGE = Usage(input=1000, output=100)
SCRIPTS = (
    Script(
        (Step("one two", usage=USAGE, faults=(Fault(stall=600, after=1, tries=FOR_EVER),)),),
        match="<streams>",
        turns="any",
    ),
    Script((Step("one two", usage=USAGE, delay=600),), match="<thinks>", turns="any"),
    Script((Step("one two", usage=USAGE),), turns="any"),
)


@pytest.fixture
def models() -> Iterator[FakeModels]:
    with FakeModels(SCRIPTS) as models:
        yield models


@contextmanager
def server(root: Path, models: FakeModels, gateway: str = "") -> Iterator[Process]:
    key = root / "key"
    if not key.exists():
        key.touch(mode=0o600)
        key.write_text(KEY)
    with serving(root, config(models.url, key, gateway=gateway)) as running:
        yield running


def kill(running: Process) -> None:
    running.process.kill()
    running.process.wait(30)


def ask(running: Process, token: str, say: str = "at once", form: str = "messages") -> httpx2.Response:
    request = asking(form)
    return httpx2.post(
        f"{running.url}/llm/{request.account}{request.path}",
        content=json_of(request.body, say),
        headers={"x-api-key": token},
        timeout=BOUND_S,
        trust_env=False,
    )


def json_of(body: dict, say: str) -> bytes:
    return json.dumps(body).replace("Go on.", f"<{say}>").encode()


def in_background(ask: Callable[[], object]) -> threading.Thread:
    def until_killed() -> None:
        with suppress(httpx2.HTTPError):
            ask()

    thread = threading.Thread(target=until_killed)
    thread.start()
    return thread


def test_requests_under_way_when_the_server_is_killed_are_counted_as_lost(tmp_path: Path, models: FakeModels):
    with server(tmp_path, models) as running:
        agent = running.session("worker-1")
        assert ask(running, agent["token"]).status_code == 200
        asking = [
            in_background(lambda say=say, form=form: ask(running, agent["token"], say, form))
            for say in ("streams", "thinks")
            for form in ("messages", "chat", "responses")
        ]
        until(lambda: len(models.requests) == 7)
        kill(running)
    for thread in asking:
        thread.join(30)
    for _ in range(2):  # what was counted by one start is not counted by the next
        with server(tmp_path, models) as again:
            events = again.events("model_request", 7)
            assert [event["data"]["outcome"] for event in events].count("lost") == 6 and len(events) == 7
            total = again.get("/api/spending")["total"]
            assert (total["requests"], total["unknown"], total["partial"], total["tokens"]) == (7, 6, 6, 1100)
            kill(again)
    lost = [event for event in events if event["data"]["outcome"] == "lost"]
    assert {(event["agent"], event["session"]) for event in lost} == {("worker-1", agent["session"])}
    assert {event["data"]["model"] for event in lost} == {MODELS["anthropic"], MODELS["openai"]}
    assert {(event["data"]["known"], event["data"]["cost_usd"]) for event in lost} == {(False, None)}


def test_a_lost_request_counts_towards_the_budget(tmp_path: Path, models: FakeModels):
    limits = "[gateway.budget]\nrequests = 1"
    with server(tmp_path, models, limits) as running:
        agent = running.session("worker-1")
        asking = in_background(lambda: ask(running, agent["token"], "streams"))
        until(lambda: models.requests)
        kill(running)
    asking.join(30)
    with server(tmp_path, models, limits) as again:
        assert (
            ask(again, agent["token"])
            .json()["error"]["message"]
            .startswith("1 requests of 1 requests of the run are used up")
        )


def test_a_request_that_was_recorded_and_is_still_noted_is_counted_once(tmp_path: Path, models: FakeModels):
    """The server died between the two."""
    notes = tmp_path / "state" / under_way.FILE
    with server(tmp_path, models) as running:
        agent = running.session("worker-1")
        assert notes.read_bytes() == b""
        noted: list[bytes] = []
        models.on_request = lambda _: noted.append(notes.read_bytes())
        assert ask(running, agent["token"]).status_code == 200
        until(lambda: under_way.left(notes.parent) == [])
        kill(running)
    notes.write_bytes(noted[0])
    assert [note.agent for note in under_way.left(notes.parent)] == ["worker-1"]
    with server(tmp_path, models) as again:
        assert [event["data"]["outcome"] for event in again.events("model_request")] == ["ok"]


def test_what_is_refused_here_is_not_noted_and_slots_are_used_again(tmp_path: Path, models: FakeModels):
    notes = tmp_path / "state" / under_way.FILE
    with server(tmp_path, models, "[gateway.budget]\nrequests = 3") as running:
        token = running.session("worker-1")["token"]
        assert [ask(running, token).status_code for _ in range(5)] == [200, 200, 200, 400, 400]
        until(lambda: under_way.left(notes.parent) == [])
        assert notes.stat().st_size == under_way.SLOT_BYTES
