"""What was used comes to a sum, a price, a report and a span; and many streams at once take no more memory
than few.
"""

import gc
import threading
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx2
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from harness.show import report, spending_table
from mcp_server.edge.model_proxy import telemetry
from mcp_server.models import prices
from mcp_server.models.accounts import Account
from mcp_server.models.apis import BASE_URLS, Call, Form, ModelApi
from mcp_server.models.budgets import Scope
from mcp_server.models.keys import AccountKey
from mcp_server.models.ledger import Ledger
from mcp_server.models.usage import BODY_BYTES_MAX, LINE_BYTES_MAX, Usage, UsageReader
from mcp_server.store.model_requests import ModelRequest
from mcp_server.wire.reports import SpendingReport
from tests.fake_models import FakeModels, Script, Step
from tests.fake_models import Usage as Told
from tests.server import toy
from tests.server.wide import settled
from tests.waiting import BOUND_S, until

from .place import KEY, Place, asking, place

STREAMS = 64


# -- the reader's bounds


@pytest.mark.parametrize(
    ("content_type", "limit"), [("text/event-stream", LINE_BYTES_MAX), ("application/json", BODY_BYTES_MAX)]
)
def test_what_is_too_large_to_be_held_is_not_read_and_stays_unknown(content_type: str, limit: int):
    reader = UsageReader(Form.MESSAGES, content_type=content_type)
    piece = b"data: " + b"x" * (1 << 20)
    for _ in range((limit >> 20) + 2):
        reader.feed(piece)
    assert len(reader._pending) == 0
    reader.feed(b'\n\nevent: x\ndata: {"type":"message_delta","usage":{"output_tokens":5}}\n\n')
    reader.end()
    assert reader.usage == Usage()


@pytest.mark.parametrize("encoding", ["br", "zstd", "unheard-of"])
def test_a_packed_answer_that_cannot_be_unpacked_stays_unknown(encoding: str):
    reader = UsageReader(Form.CHAT, content_type="application/json", content_encoding=encoding)
    reader.feed(b'{"usage":{"prompt_tokens":1}}')
    reader.end()
    assert not reader.usage.is_known


def test_a_gzipped_answer_is_counted():
    import gzip

    packed = gzip.compress(b'{"model":"m","usage":{"prompt_tokens":7,"completion_tokens":2}}')
    reader = UsageReader(Form.CHAT, content_type="application/json", content_encoding="gzip")
    for byte in packed:
        reader.feed(bytes([byte]))
    reader.end()
    assert (reader.usage.input, reader.usage.output, reader.usage.complete) == (7, 2, True)


def test_a_bomb_of_zeros_is_not_unpacked():
    import gzip

    bomb = gzip.compress(b"0" * (BODY_BYTES_MAX * 8))
    reader = UsageReader(Form.CHAT, content_type="application/json", content_encoding="gzip")
    tracemalloc.start()
    try:
        reader.feed(bomb)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < BODY_BYTES_MAX * 4 and not reader._pending and not reader.usage.is_known


# -- prices


@pytest.mark.parametrize(
    ("api", "model", "usage", "usd"),
    [
        (ModelApi.ANTHROPIC, "claude-sonnet-4-5", Usage(1000, 200, 10, 100, is_known=True), 0.0039675),
        (ModelApi.OPENAI, "gpt-5", Usage(1000, 0, 0, 100, is_known=True), 0.00225),
        (ModelApi.GEMINI, "gemini-2.5-pro", Usage(1000, 0, 0, 100, is_known=True), 0.00225),
        (ModelApi.GEMINI, "gemini-2.5-pro", Usage(), None),
        (ModelApi.OPENAI, "nobodys-model", Usage(5, is_known=True), None),
        (ModelApi.OPENAI, None, Usage(5, is_known=True), None),
        (ModelApi.OPENAI, "nobodys-model", Usage(is_known=True), 0.0),
        (ModelApi.OPENAI, "gpt-5", Usage(5, 500, is_known=True), None),
    ],
)
def test_a_price_is_the_lists_or_unknown(api: ModelApi, model: str | None, usage: Usage, usd: float | None):
    found = prices.cost_usd(api, BASE_URLS[api], model, usage)
    assert found == (None if usd is None else pytest.approx(usd))


# -- the ledger


def test_what_streams_is_charged_once_however_often_it_is_seen():
    ledger, keys = Ledger(), ((Scope.SESSION, "S1"), (Scope.RUN, ""))
    one, two = ledger.begin(keys), ledger.begin(keys[1:])
    for tokens in (10, 10, 25):
        ledger.see(one, tokens, tokens / 100)
    ledger.see(two, 5, 0.0)
    ledger.end(one)
    ledger.end(two)
    session, run = ledger.spent(Scope.SESSION, "S1"), ledger.spent(Scope.RUN, "")
    assert (session.tokens, session.requests, run.tokens, run.requests) == (
        25,
        1,
        30,
        2,
    ) and session.cost_usd == pytest.approx(0.25)


# -- the report


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Place]:
    with (
        FakeModels(Script((Step("Good.", usage=Told(input=1000, output=100)),), turns="any")) as models,
        place(tmp_path, models) as made,
    ):
        yield made


def test_a_landed_change_costs_what_all_its_holders_spent_on_it(here: Place, tmp_path: Path):
    runner = toy.LocalRunner(here.server.url, here.server.token("runner"))
    try:
        first, second = here.agent("worker-1"), here.agent("worker-2")
        here.ask(first, asking("messages"))  # before any task: nobody's landing
        fence = first.call("claim_task", task="T02")["fence"]
        here.ask(first, asking("messages"))
        here.ask(first, asking("chat", model="nobodys-model"))
        first.call("release_task", fence=fence, outcome="abandoned")
        fence = second.call("claim_task", task="T02")["fence"]
        here.ask(second, asking("generate"))
        commit = second.commit(second.clone(tmp_path / "two"), {"count/x": "1\n"})
        landed = settled(second, "push", fence=fence, commit=commit, summary="Count x")
        assert landed["status"] == "landed"
        here.ask(second, asking("messages"))
    finally:
        runner.close()
    told = here.api("/api/spending", "runner")
    [one] = told["landed"]
    assert (one["task"], one["agent"], one["commit"], one["requests"], one["tokens"], one["unpriced"]) == (
        "T02",
        "worker-2",
        landed["main"],
        3,
        3300,
        1,
    )
    assert one["cost_usd"] == pytest.approx(0.0045 + 0.00225)
    found = report.of_spending(SpendingReport.of_json(told))
    assert (found.total.requests, found.in_landings.requests) == (
        5,
        3,
    ) and found.usd_per_landing == pytest.approx(3 * 0.0045 + 0.00225)
    assert [row.agent for row in found.agents] == ["worker-1", "worker-2"]
    assert [row.model for row in found.models] == ["claude-sonnet-4-5", "gemini-2.5-pro", "nobodys-model"]
    line = spending_table.last_line(found)
    assert (
        "5,500 tokens in 5 requests" in line
        and "at least: 1 requests without a price" in line
        and "per landed change" in line
    )
    assert [spending_table.usd(row) for row in found.models] == ["0.0135 USD", "0.0022 USD", "cost unknown"]


def test_without_any_request_there_is_nothing_to_show(here: Place):
    found = report.of_spending(SpendingReport.of_json(here.api("/api/spending")))
    assert spending_table.tables(found) == [] and found.usd_per_landing is None


# -- spans

ENDED = ModelRequest(
    began_ms=1, agent="a", session="S1", task="T1", fence=1, account="anthropic", form="messages", model="m", status=200, outcome="ok", input=10, cached_read=4,
    cached_write=1, output=5, reasoning=2, counted=True, partial=False, cost_usd=0.5, tries=1, waited_ms=0, first_byte_ms=3, took_ms=20,
)  # fmt: skip
ACCOUNT = Account("anthropic", ModelApi.ANTHROPIC, "http://models.example:81", AccountKey(KEY), lambda: 0)


def test_a_request_is_a_span_by_the_genai_conventions():
    kept, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    telemetry.Spans(provider).model_request(
        ACCOUNT, Call(ModelApi.ANTHROPIC, Form.MESSAGES, "POST", "/v1/messages"), ENDED
    )
    [span] = kept.get_finished_spans()
    assert (
        span.name == "chat m" and span.end_time - span.start_time == 20_000_000 and span.kind.name == "CLIENT"
    )
    wanted = {
        "gen_ai.operation.name": "chat", "gen_ai.provider.name": "anthropic", "gen_ai.request.model": "m", "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.output_tokens": 5, "gen_ai.usage.cache_read.input_tokens": 4, "server.address": "models.example", "server.port": 81, "harness.task": "T1",
    }  # fmt: skip
    assert {name: span.attributes[name] for name in wanted} == wanted and KEY not in str(span.to_json())


def test_spans_reach_a_collector(tmp_path: Path):
    """In a process of its own: the spans of a process go to one place for good."""
    import subprocess
    import sys

    got: list[tuple[str, bytes]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as collector:
        threading.Thread(target=collector.serve_forever, daemon=True).start()
        program = (
            "from mcp_server.edge.model_proxy import telemetry\nfrom opentelemetry import trace\nfrom tests.gateway.test_gateway_usage import *\n"
            f"telemetry.export('http://127.0.0.1:{collector.server_port}', 'toy')\n"
            "telemetry.Spans().model_request(ACCOUNT, Call(ModelApi.ANTHROPIC, Form.MESSAGES, 'POST', '/v1/messages'), ENDED)\n"
            "trace.get_tracer_provider().shutdown()\n"
        )
        subprocess.run(
            [sys.executable, "-c", program], check=True, timeout=BOUND_S, cwd=Path(__file__).parents[2]
        )
        collector.shutdown()
    [(path, body)] = got
    assert (
        path == "/v1/traces"
        and b"chat m" in body
        and b"gen_ai.usage.input_tokens" in body
        and KEY.encode() not in body
    )


# -- many at once


def test_64_streams_at_once_pass_whole_and_take_little_memory(tmp_path: Path):
    """Each sends 4 MB: were answers gathered anywhere, it would show."""
    events, event = (
        64,
        b"event: content_block_delta\ndata: "
        + b'{"type":"content_block_delta","delta":{"text":"'
        + b"x" * 65_000
        + b'"}}\n\n',
    )
    start = b'event: message_start\ndata: {"type":"message_start","message":{"model":"claude-sonnet-4-5","usage":{"input_tokens":10,"output_tokens":1}}}\n\n'
    end = b'event: message_delta\ndata: {"type":"message_delta","usage":{"output_tokens":7}}\n\nevent: message_stop\ndata: {"type":"message_stop"}\n\n'
    whole = len(start) + events * len(event) + len(end)

    class Large(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.send_header("content-length", str(whole))
            self.end_headers()
            for piece in (start, *[event] * events, end):
                self.wfile.write(piece)

        def log_message(self, *_) -> None:
            pass

    class Listening(ThreadingHTTPServer):
        request_queue_size = 256

    with Listening(("127.0.0.1", 0), Large) as upstream:
        upstream.url = f"http://127.0.0.1:{upstream.server_port}"  # type: ignore[attr-defined]
        threading.Thread(target=upstream.serve_forever, daemon=True).start()
        with place(tmp_path, upstream) as made:
            agents = [made.agent(f"agent-{number}") for number in range(8)]

            def read(number: int) -> int:
                with (
                    made.http(agents[number % 8]) as http,
                    http.stream("POST", "/anthropic/v1/messages", json=asking("messages").body) as answer,
                ):
                    return sum(len(piece) for piece in answer.iter_raw())

            assert read(0) == whole
            gc.collect()
            tracemalloc.start()
            try:
                before = tracemalloc.get_traced_memory()[0]
                tracemalloc.reset_peak()
                with ThreadPoolExecutor(STREAMS) as pool:
                    assert list(pool.map(read, range(STREAMS))) == [whole] * STREAMS
                peak = tracemalloc.get_traced_memory()[1] - before
            finally:
                tracemalloc.stop()
            # 64 streams of 4 MB; a megabyte each are the buffers of four sockets' ends, which all run in this
            # process.
            assert peak < STREAMS << 20, f"{peak >> 20} MB"
            print(f"peak {peak >> 20} MB")
            sums = until(
                lambda: (
                    total
                    if (total := made.api("/api/spending")["total"])["requests"] == STREAMS + 1
                    else None
                )
            )
            assert (sums["requests"], sums["input"], sums["output"], sums["partial"]) == (65, 650, 455, 0)
        upstream.shutdown()


def test_no_library_logs_the_key_even_when_asked_for_everything(
    here: Place, caplog: pytest.LogCaptureFixture
):
    import logging

    caplog.set_level(logging.DEBUG)
    agent = here.agent()
    answer = httpx2.post(
        f"{here.server.url}/llm/gemini{asking('generate').path}&key={agent.token}",
        json=asking("generate").body,
        verify=False,
    )
    assert answer.status_code == 200
    assert any("httpcore2" in record.name for record in caplog.records) and KEY not in caplog.text
