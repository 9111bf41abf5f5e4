"""64 streams at once through a server process: they all arrive whole, and its memory stays where it is
however long they are.
"""

import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.fake_models import Request, Wire, WireServer
from tests.server import toy
from tests.waiting import BOUND_S, until

from .place import ACCOUNT, asking
from .process import Process, serving

STREAMS = 64
EVENT = (
    b"event: content_block_delta\ndata: "
    + b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"'
    + b"x" * 16_000
    + b'"}}\n\n'
)
START = b'event: message_start\ndata: {"type":"message_start","message":{"model":"claude-fake","usage":{"input_tokens":10,"output_tokens":1}}}\n\n'
END = b'event: message_delta\ndata: {"type":"message_delta","usage":{"output_tokens":7}}\n\nevent: message_stop\ndata: {"type":"message_stop"}\n\n'
SHORT, LONG = 20, 400  # events: 0.3 MB and 6.5 MB, so 20 MB and 420 MB in all
GROWTH_MB = 24.0  # the buffers of 64 connections, and what the allocator keeps; one twentieth of what passes
STALLED_MB = 64.0  # 64 connections with full buffers on both sides


class Long:
    """Sends so many large events to each request, as many as it was asked for."""

    def __init__(self) -> None:
        self.sent = 0

    async def __call__(self, request: Request, wire: Wire) -> None:
        await wire.start(200, [("content-type", "text/event-stream")])
        await wire.send(START)
        for _ in range(int(request.header("x-events") or 0)):
            await wire.send(EVENT)
            self.sent += len(EVENT)
        await wire.send(END)
        await wire.end()


@pytest.fixture
def upstream() -> Iterator[tuple[Long, WireServer]]:
    long = Long()
    with WireServer(long) as server:
        yield long, server


@pytest.fixture
def server(tmp_path: Path, upstream: tuple[Long, WireServer]) -> Iterator[Process]:
    key = tmp_path / "key"
    key.write_text("sk-test-0123456789abcdefghijklmnop")
    key.chmod(0o600)
    account = ACCOUNT.format(
        name="anthropic", api="anthropic", url=upstream[1].url, path="", key=key, more=""
    )
    with serving(tmp_path, toy.TOML + account) as made:
        yield made


def read(server: Process, token: str, events: int, got: list[int]) -> None:
    request = asking("messages")
    headers = {"authorization": f"Bearer {token}", "x-events": str(events)}
    with httpx2.stream(
        "POST",
        f"{server.url}/llm/{request.account}{request.path}",
        json=request.body,
        headers=headers,
        timeout=BOUND_S,
        verify=False,
    ) as answer:
        got.append(sum(len(piece) for piece in answer.iter_raw()))


def round_of(server: Process, tokens: list[str], events: int) -> float:
    """All streams at once; the most memory meanwhile."""
    got: list[int] = []
    threads = [threading.Thread(target=read, args=(server, token, events, got)) for token in tokens]
    for thread in threads:
        thread.start()
    most = 0.0
    while any(thread.is_alive() for thread in threads):
        most = max(most, server.resident_mb())
        threads[0].join(0.02)
    assert got == [len(START) + events * len(EVENT) + len(END)] * len(tokens)
    return most


@pytest.mark.slow
def test_memory_does_not_grow_with_what_passes(server: Process):
    tokens = [server.session(f"agent-{number}")["token"] for number in range(8)] * (STREAMS // 8)
    round_of(server, tokens, SHORT)
    short = round_of(server, tokens, SHORT)
    long = round_of(server, tokens, LONG)
    assert long - short < GROWTH_MB, (short, long)
    total = until(
        lambda: found if (found := server.get("/api/spending")["total"])["requests"] == 3 * STREAMS else None
    )
    assert (total["input"], total["output"], total["partial"]) == (1_920, 1_344, 0)
    assert all(event["data"]["outcome"] == "ok" for event in server.events("model_request"))


@pytest.mark.slow
def test_clients_that_do_not_read_hold_the_vendor_up_and_not_our_memory(
    server: Process, upstream: tuple[Long, WireServer]
):
    tokens = [server.session(f"agent-{number}")["token"] for number in range(8)] * (STREAMS // 8)
    before, request, long = server.resident_mb(), asking("messages"), upstream[0]
    clients = [httpx2.Client(timeout=BOUND_S, verify=False) for _ in tokens]
    answers = []
    for client, token in zip(clients, tokens):
        headers = {"authorization": f"Bearer {token}", "x-events": "4000"}
        built = client.build_request(
            "POST", f"{server.url}/llm/{request.account}{request.path}", json=request.body, headers=headers
        )
        answers.append(client.send(built, stream=True))
    seen = -1
    while seen != long.sent:  # until nothing more is taken from the vendor
        seen = long.sent
        threading.Event().wait(0.5)
    assert server.resident_mb() - before < STALLED_MB
    assert long.sent < STREAMS * 4_000 * len(EVENT) / 4
    for client in clients:
        client.close()
    ended = server.events("model_request", STREAMS)
    assert {event["data"]["outcome"] for event in ended} == {"aborted"} and all(
        event["data"]["input"] == 10 for event in ended
    )
