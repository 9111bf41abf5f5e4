"""Spans of a whole server at a collector: model requests and tool calls, by the GenAI and MCP conventions."""

import asyncio
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.fake_models import FakeModels, Script, Step, Usage
from tests.waiting import BOUND_S

from .place import KEY, asking, config
from .process import serving


class Collector(ThreadingHTTPServer):
    """OTLP over HTTP; `spans` are all attributes of each, with its name."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Post)
        self.spans: list[dict] = []
        self.raw = b""


class _Post(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.raw += body
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for span in (span for scope in resource.scope_spans for span in scope.spans):
                values = {
                    one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes
                }
                self.server.spans.append({"name": span.name} | values)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


async def call(url: str, token: str) -> None:
    http = httpx2.AsyncClient(headers={"authorization": f"Bearer {token}"}, trust_env=False, timeout=BOUND_S)
    async with http, Client(streamable_http_client(f"{url}/mcp", http_client=http)) as client:
        await client.call_tool("list_tasks", {})


def test_a_server_that_stops_has_told_its_collector_of_every_model_request_and_tool_call(
    tmp_path: Path, collector: Collector
):
    key = tmp_path / "key"
    key.touch(mode=0o600)
    key.write_text(KEY)
    script = Script(
        (Step("A secret answer.", usage=Usage(input=900, cached_read=100, output=20)),), turns="any"
    )
    with FakeModels(script) as models:
        toml = config(models.url, key, gateway=f'otlp_endpoint = "http://127.0.0.1:{collector.server_port}"')
        with serving(tmp_path, toml) as server:
            made, request = server.session("worker-1"), asking("messages")
            http = {"headers": {"x-api-key": made["token"]}, "trust_env": False, "timeout": 60}
            assert (
                httpx2.post(
                    f"{server.url}/llm/anthropic{request.path}", json=request.body, **http
                ).status_code
                == 200
            )
            asyncio.run(call(server.url, made["token"]))
    [asked] = [span for span in collector.spans if span.get("gen_ai.operation.name") == "chat"]
    wanted = {
        "gen_ai.provider.name": "anthropic",
        "gen_ai.usage.input_tokens": 1000,
        "gen_ai.usage.output_tokens": 20,
        "harness.agent": "worker-1",
        "harness.session": made["session"],
    }
    assert wanted.items() <= asked.items()
    [called] = [span for span in collector.spans if span.get("gen_ai.operation.name") == "execute_tool"]
    assert (called["mcp.method.name"], called["gen_ai.tool.name"]) == ("tools/call", "list_tasks")
    assert not any(
        text in collector.raw
        for text in (KEY.encode(), made["token"].encode(), b"A secret answer", b"Go on.")
    )
