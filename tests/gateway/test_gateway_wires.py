"""Recorded answers of each API through a running server: whatever the pieces, the client gets these bytes and
the counts are right.
"""

import itertools
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.waiting import until

from .place import KEY, Place, place
from .recorded import ALL, BY_NAME, Recorded
from .replay import Plan, Replay
from .test_usage_reading import split

each = pytest.mark.parametrize("wire", ALL, ids=lambda wire: wire.name)
numbers = itertools.count()
WAITED_S = 10


class Here:
    """One server over one replaying upstream, and one agent that asks over one connection."""

    def __init__(self, made: Place, upstream: Replay):
        self.place, self.upstream = made, upstream
        self.agent = made.agent()
        self.http = made.http(self.agent)

    def ask(self, wire: Recorded, plan: Plan) -> tuple[httpx2.Response, dict]:
        """The answer and what was counted for it."""
        self.upstream.plan = plan
        model = f"n{next(numbers)}"
        answer = self.http.post(
            f"/{wire.path}", json=wire.request | {"model": model, "mark": model}, headers={"x-mark": model}
        )
        return answer, self.last()

    def last(self) -> dict:
        number = len(self.upstream.requests)
        return until(lambda: found if len(found := self.place.requests()) >= number else None)[-1]


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Here]:
    with Replay() as upstream, place(tmp_path_factory.mktemp("wires"), upstream) as made:
        yield Here(made, upstream)


def plan(wire: Recorded, pieces: list[bytes], **more) -> Plan:
    return Plan([piece for piece in pieces if piece], wire.content_type, **more)


@each
def test_the_bytes_and_the_status_and_the_headers_are_the_vendors(here: Here, wire: Recorded):
    answer, counted = here.ask(wire, plan(wire, [wire.data], sized=not wire.sse))
    assert (answer.status_code, answer.content) == (200, wire.data)
    assert answer.headers["content-type"] == wire.content_type
    assert (
        answer.headers["request-id"] == "req_011CSHoEeqs5C35K2UUqR7Fy"
        and answer.headers["x-ratelimit-remaining-requests"] == "59"
    )
    assert "content-length" in answer.headers or wire.sse
    assert {name: counted[name] for name in wire.counts} == wire.counts
    assert (counted["known"], counted["outcome"]) == (wire.known or "count" in wire.name, "ok")
    assert counted["partial"] is not wire.complete
    assert counted["model"] == (wire.usage.get("model") or wire.call.model or counted["model"])


@each
@given(places=st.lists(st.integers(0, 1 << 14), max_size=10))
@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_any_chunking_comes_out_as_the_same_bytes_and_the_same_counts(
    here: Here, wire: Recorded, places: list[int]
):
    answer, counted = here.ask(wire, plan(wire, split(wire.data, places)))
    assert answer.content == wire.data
    assert {name: counted[name] for name in wire.counts} == wire.counts


@each
def test_one_byte_at_a_time_is_no_different(here: Here, wire: Recorded):
    data = wire.data[:700]
    answer, _ = here.ask(wire, plan(wire, [data[at : at + 1] for at in range(len(data))]))
    assert answer.content == data


@each
def test_the_request_goes_upstream_as_it_came_but_for_the_credentials(here: Here, wire: Recorded):
    here.ask(wire, plan(wire, [wire.data]))
    sent = here.upstream.requests[-1]
    account, _, path = wire.path.partition("/")
    assert (sent.method, sent.target) == ("POST", f"/{path}")
    given = dict(sent.headers)
    assert given["x-mark"].encode() in sent.body and given["accept-encoding"] == "identity"
    shown = {
        "anthropic": ("x-api-key", KEY),
        "openai": ("authorization", f"Bearer {KEY}"),
        "gemini": ("x-goog-api-key", KEY),
    }[account]
    assert [
        (name, value)
        for name, value in sent.headers
        if name in ("authorization", "x-api-key", "x-goog-api-key", "cookie", "proxy-authorization")
    ] == [shown]
    assert here.agent.token not in str(sent)


@pytest.mark.parametrize("wire", [one for one in ALL if one.sse], ids=lambda wire: wire.name)
def test_every_event_is_there_before_the_next_one_is_made(here: Here, wire: Recorded):
    end = b"\r\n\r\n" if b"\r\n\r\n" in wire.data else b"\n\n"
    events = [event + end for event in wire.data.split(end) if event]
    gates = [threading.Event() for _ in events]
    here.upstream.plan = plan(wire, events, gates=gates)
    got = b""
    with here.http.stream("POST", f"/{wire.path}", json=wire.request, timeout=WAITED_S) as answer:
        pieces = answer.iter_raw()
        for number, gate in enumerate(gates):
            gate.set()
            whole = b"".join(events[: number + 1])
            while len(got) < len(whole):
                got += next(pieces)
            assert got == whole, f"event {number} and no more"


def read_into(got: list[bytes], answer: httpx2.Response) -> None:
    """What has come stays, should the rest not come."""
    for piece in answer.iter_raw():
        got.append(piece)


@each
@pytest.mark.parametrize("share", [0.3, 0.7, 0.99])
def test_a_cut_answer_is_cut_for_the_client_and_counted_as_far_as_it_came(
    here: Here, wire: Recorded, share: float
):
    here.upstream.plan = plan(
        wire, split(wire.data[: int(len(wire.data) * share)], [100, 200, 5_000]), cut=True
    )
    got: list[bytes] = []
    with (
        here.http.stream("POST", f"/{wire.path}", json=wire.request) as answer,
        pytest.raises(httpx2.TransportError),
    ):
        read_into(got, answer)
    assert wire.data.startswith(b"".join(got)) and len(b"".join(got)) >= min(
        100, len(here.upstream.plan.pieces[0])
    )
    counted = here.last()
    assert (counted["outcome"], counted["partial"], counted["tries"]) == ("cut", True, 1)
    assert all(counted[name] <= wire.counts[name] for name in wire.counts)


def test_what_was_told_before_a_cut_counts(here: Here):
    wire = BY_NAME["messages-stream"]
    here.upstream.plan = plan(wire, [wire.data[: wire.data.index(b"message_delta") - 8]], cut=True)
    with pytest.raises(httpx2.TransportError):
        here.http.post(f"/{wire.path}", json=wire.request)
    counted = here.last()
    assert (counted["input"], counted["cached_read"], counted["output"], counted["known"]) == (
        2776,
        2048,
        2,
        True,
    )


def test_a_client_that_leaves_is_left_by_the_gateway_too_and_what_it_saw_is_counted(here: Here):
    wire = BY_NAME["messages-stream"]
    first = wire.data.index(b"event: content_block_start")
    gates = [threading.Event(), threading.Event()]
    gates[0].set()
    here.upstream.plan = plan(wire, [wire.data[:first], wire.data[first:]], gates=gates)
    before = len(here.upstream.left)
    with here.http.stream("POST", f"/{wire.path}", json=wire.request) as answer:
        assert next(answer.iter_raw()) == wire.data[:first]
    counted = here.last()
    gates[1].set()
    assert (counted["outcome"], counted["partial"], counted["input"], counted["output"]) == (
        "aborted",
        True,
        2776,
        2,
    )
    until(lambda: len(here.upstream.left) > before)


ERRORS = {
    "anthropic/v1/messages": (
        400,
        b'{"type":"error","error":{"type":"invalid_request_error","message":"max_tokens: required"},"request_id":"req_1"}',
    ),
    "openai/v1/responses": (
        404,
        b'{\n  "error": {"message": "The model `x` does not exist", "type": "invalid_request_error", "param": null, "code": "model_not_found"}\n}',
    ),
    "gemini/v1beta/models/x:generateContent": (
        403,
        b'{"error": {"code": 403, "message": "denied", "status": "PERMISSION_DENIED"}}\n',
    ),
}


@pytest.mark.parametrize("path", ERRORS)
def test_an_error_that_is_the_clients_is_passed_on_as_it_is(here: Here, path: str):
    status, body = ERRORS[path]
    here.upstream.plan = Plan([body[:20], body[20:]], "application/json", status)
    answer = here.http.post(f"/{path}", json={"model": "x", "contents": []})
    assert (answer.status_code, answer.content, answer.headers["request-id"]) == (
        status,
        body,
        "req_011CSHoEeqs5C35K2UUqR7Fy",
    )
    counted = here.last()
    assert (counted["outcome"], counted["status"], counted["input"], counted["output"]) == (
        "error",
        status,
        0,
        0,
    )


def test_a_body_of_any_bytes_that_are_json_goes_up_unchanged(here: Here):
    wire = BY_NAME["chat"]
    raw = '{ "model" :"m",\t"unknown": [1.0, 1e400, "\\ud800", "ü", {"deep": {}}],\n "stream" : false , "messages":[], "n": 12345678901234567890 }  '.encode()
    here.upstream.plan = plan(wire, [wire.data])
    answer = here.http.post(
        f"/{wire.path}", content=raw, headers={"content-type": "application/json; charset=utf-8"}
    )
    assert (answer.content, here.upstream.requests[-1].body) == (wire.data, raw)


def test_an_answer_of_many_megabytes_passes_whole(here: Here, tmp_path: Path):
    wire = BY_NAME["chat-stream"]
    filler = b'data: {"choices":[{"index":0,"delta":{"content":"' + b"x" * 60_000 + b'"}}]}\n\n'
    here.upstream.plan = plan(wire, [*[filler] * 300, wire.data])
    answer = here.http.post(f"/{wire.path}", json=wire.request)
    assert answer.content == filler * 300 + wire.data
    assert here.last()["input"] == 1117
