"""Owns the OpenTelemetry spans of model requests, by the GenAI conventions; the MCP SDK makes those of tool
calls by itself.

Rule: without an endpoint nothing is made; a span holds numbers and names, never a prompt, an answer or a key.
"""

import time
from typing import Any
from urllib.parse import urlsplit

from opentelemetry import trace
from opentelemetry.trace import SpanKind, Status, StatusCode, TracerProvider

from mcp_server.models.accounts import Account
from mcp_server.models.apis import Call, Form, ModelApi
from mcp_server.store.model_requests import ModelRequest

PROVIDERS = {ModelApi.ANTHROPIC: "anthropic", ModelApi.OPENAI: "openai", ModelApi.GEMINI: "gcp.gemini"}
OPERATIONS = {Form.GENERATE: "generate_content", Form.COUNT: "count_tokens", Form.LIST: "list_models"}
NS_PER_MS = 1_000_000
FLUSH_MS = 2_000  # a server that stops waits no longer for a collector


class Spans:
    """Spans of a provider; without one the process's own, which is none unless `export` was called."""

    def __init__(self, provider: TracerProvider | None = None):
        self._provider = provider or trace.get_tracer_provider()
        self._tracer = self._provider.get_tracer("harness.gateway")

    def model_request(self, account: Account, call: Call, request: ModelRequest) -> None:
        """One span for a request that has just ended."""
        ended_ns = time.time_ns()
        operation = OPERATIONS.get(call.form, "chat")
        span = self._tracer.start_span(
            f"{operation} {request.model or ''}".strip(),
            kind=SpanKind.CLIENT,
            start_time=ended_ns - request.took_ms * NS_PER_MS,
        )
        if span.is_recording():
            for name, value in _attributes(account, operation, request).items():
                if value is not None:
                    span.set_attribute(name, value)
            if request.outcome != "ok":
                span.set_attribute(
                    "error.type",
                    str(request.status) if request.outcome == "error" and request.status else request.outcome,
                )
                span.set_status(Status(StatusCode.ERROR))
        span.end(ended_ns)

    def flush(self) -> None:
        """Sends what is still to be sent, of all that this process traces, or gives up after FLUSH_MS."""
        if (
            flush := getattr(self._provider, "force_flush", None)
        ) is not None:  # the SDK's, which is there where an endpoint is
            flush(FLUSH_MS)


def _attributes(account: Account, operation: str, request: ModelRequest) -> dict[str, Any]:
    address = urlsplit(account.base_url)
    tokens = {
        "gen_ai.usage.input_tokens": request.input,
        "gen_ai.usage.output_tokens": request.output,
        "gen_ai.usage.cache_read.input_tokens": request.cached_read,
        "gen_ai.usage.cache_creation.input_tokens": request.cached_write,
        "gen_ai.usage.reasoning.output_tokens": request.reasoning,
    }
    return (tokens if request.counted else {}) | {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": PROVIDERS[account.api],
        "gen_ai.request.model": request.model,
        "server.address": address.hostname,
        "server.port": address.port or (443 if address.scheme == "https" else 80),
        "http.response.status_code": request.status,
        "harness.account": account.name,
        "harness.agent": request.agent,
        "harness.session": request.session,
        "harness.task": request.task,
        "harness.cost_usd": request.cost_usd,
        "harness.waited_ms": request.waited_ms,
    }


def export(endpoint: str, run: str) -> None:
    """From here on all spans of this process are sent to an OTLP collector (HTTP, protobuf). Call once."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider as Sending
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    address = endpoint.rstrip("/")
    exporter = OTLPSpanExporter(
        endpoint=address if address.endswith("/v1/traces") else f"{address}/v1/traces"
    )
    provider = Sending(resource=Resource.create({"service.name": "harness", "harness.run": run}))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
