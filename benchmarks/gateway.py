"""`python -m benchmarks.gateway`: what the model gateway adds to the first byte of a stream, and what memory
it takes.

Rule: the same client asks the model directly, through a bare reverse proxy and through the gateway, in turns
within one run, so that the machine's mood is the same for all three.
"""

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks import command
from benchmarks.command import cpu_s, say
from benchmarks.gateway_parts import EVENTS
from benchmarks.project import REPO, make
from benchmarks.report import Figure
from benchmarks.server_memory import resident_mb
from harness.failure import Exit, VerbFailed
from harness.run.place import admin_client
from harness.run.server_process import start_server
from harness.run.state import DIRECTORY_NAME, StateDirectory

SOURCES = Path(__file__).resolve().parents[1]
FIRST_BYTE_MS_MAX = 3.0
STREAMS, MANY = 16, 64
AGENTS = 4
BODY = (
    b'{"model":"claude-sonnet-4-5","max_tokens":1000,"stream":true,"messages":[{"role":"user","content":"'
    + b"words " * 700
    + b'"}]}'
)  # 4 KB, as a short turn has
ACCOUNT = '\n[gateway.accounts.anthropic]\nbase_url = "{url}"\nkey_file = "{key}"\n'
WAYS = ("direct", "proxy", "gateway")
HOLD_EVENTS = 100  # 3 s, while the memory is looked at
MS = 1_000.0


@dataclass(frozen=True)
class Size:
    """`rounds` of every way, in turns; in each, every stream asks `asks` times."""

    rounds: int
    asks: int


FULL, QUICK = Size(rounds=6, asks=8), Size(rounds=1, asks=2)


@dataclass(frozen=True)
class Way:
    """Where a client asks, with which head; `pid` of the process between it and the model."""

    url: str
    path: str
    tokens: tuple[str, ...]  # of several agents, in turn
    pid: int


def _measured(quick: bool) -> tuple[list[Figure], dict[str, Any]]:
    machine = command.about()
    with standing() as ways:
        return measure(ways, QUICK if quick else FULL), machine


def measure(ways: dict[str, Way], size: Size) -> list[Figure]:
    first: dict[str, list[float]] = {name: [] for name in WAYS}
    busy_s = dict.fromkeys(WAYS, 0.0)
    for name in WAYS:  # connections, certificates, caches: not what is asked
        asyncio.run(streams(ways[name], STREAMS, 1))
    for number in range(size.rounds):
        say(f"round {number + 1} of {size.rounds}: {STREAMS} streams, {size.asks} times, each way")
        for name in WAYS[number % 3 :] + WAYS[: number % 3]:
            before = cpu_s(ways[name].pid)
            first[name] += asyncio.run(streams(ways[name], STREAMS, size.asks))
            busy_s[name] += cpu_s(ways[name].pid) - before
    say(f"{MANY} streams at once")
    memory = {name: asyncio.run(held(ways[name])) for name in ("proxy", "gateway")}
    cpu = {name: busy_s[name] / len(first[name]) * MS for name in WAYS}
    about = f"of {EVENTS + 2} events each; bare proxy {cpu['proxy']:.1f} ms"
    return [
        *latencies(first),
        Figure(
            "gateway_cpu_ms", cpu["gateway"], "ms", "processor time of a stream in the gateway", None, about
        ),
        *memories(memory),
    ]


def latencies(first: dict[str, list[float]]) -> list[Figure]:
    middle = {name: statistics.median(times) * MS for name, times in first.items()}
    worst = {name: statistics.quantiles(times, n=20)[-1] * MS for name, times in first.items()}
    added = {name: middle[name] - middle["direct"] for name in ("proxy", "gateway")}
    about = (
        f"median of {len(first['gateway'])}: gateway {middle['gateway']:.1f} ms, direct"
        f" {middle['direct']:.1f} ms"
    )
    beside = (
        f"median {middle['proxy']:.1f} ms; of 20 the slowest: proxy {worst['proxy']:.1f} ms, gateway"
        f" {worst['gateway']:.1f} ms, direct {worst['direct']:.1f} ms"
    )
    return [
        Figure(
            "gateway_added_ms",
            added["gateway"],
            "ms",
            f"first byte, added by the gateway, {STREAMS} streams",
            FIRST_BYTE_MS_MAX,
            about,
        ),
        Figure(
            "proxy_added_ms",
            added["proxy"],
            "ms",
            f"first byte, added by a bare proxy, {STREAMS} streams",
            None,
            beside,
        ),
        Figure(
            "gateway_over_proxy_ms",
            added["gateway"] - added["proxy"],
            "ms",
            "the gateway beside the bare proxy",
        ),
        *(Figure(f"{name}_first_byte_ms", middle[name], "ms") for name in WAYS),
        *(Figure(f"{name}_first_byte_p95_ms", worst[name], "ms") for name in WAYS),
    ]


def memories(memory: dict[str, tuple[float, float]]) -> list[Figure]:
    (bare_idle, bare), (idle, full) = memory["proxy"], memory["gateway"]
    about = (
        f"server {idle:.1f} MB before, {full:.1f} MB with them; bare proxy {bare_idle:.1f} MB and"
        f" {bare:.1f} MB"
    )
    return [
        Figure(
            "gateway_streams_mb", full - idle, "MB", f"memory of {MANY} streams in the gateway", None, about
        ),
        Figure("proxy_streams_mb", bare - bare_idle, "MB"),
        Figure("gateway_resident_mb", full, "MB"),
    ]


# -- the client: nothing but a socket, so that its own time is small


async def streams(way: Way, number: int, asks: int) -> list[float]:
    """Seconds to the first byte of every answer. The streams begin one after the other, as agents do, and run
    at once.
    """
    found = await asyncio.gather(
        *(_stream(way, index, asks, delay_s=index * 0.6 / number) for index in range(number))
    )
    return [time_s for times in found for time_s in times]


async def _stream(
    way: Way, index: int, asks: int, *, delay_s: float, events: int | None = None
) -> list[float]:
    await asyncio.sleep(delay_s)
    where, head = urlsplit(way.url), _head(way, way.tokens[index % len(way.tokens)], events)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    try:
        return [await _first_byte(reader, writer, head) for _ in range(asks)]
    finally:
        writer.close()


def _head(way: Way, token: str, events: int | None) -> bytes:
    lines = [
        f"POST {way.path} HTTP/1.1",
        f"Host: {urlsplit(way.url).netloc}",
        f"Authorization: Bearer {token}",
        "Content-Type: application/json",
        f"Content-Length: {len(BODY)}",
    ]
    return "\r\n".join([*lines, *([f"X-Events: {events}"] if events else []), "", ""]).encode()


async def _first_byte(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes) -> float:
    began = time.perf_counter()
    writer.write(head + BODY)
    got = await reader.readuntil(b"\r\n\r\n")
    if b" 200 " not in got.split(b"\r\n", 1)[0]:
        raise VerbFailed(f"{head.splitlines()[0]!r} was answered with {got[:200]!r}", Exit.INFRASTRUCTURE)
    await reader.readuntil(b"\r\n")
    await reader.readexactly(1)
    first = time.perf_counter() - began
    await reader.readuntil(b'message_stop"}\n\n\r\n0\r\n\r\n')
    return first


async def held(way: Way) -> tuple[float, float]:
    """The process's memory before, and the most while MANY streams are open."""
    before = resident_mb(way.pid)
    running = [
        asyncio.create_task(_stream(way, index, 1, delay_s=0, events=HOLD_EVENTS)) for index in range(MANY)
    ]
    most = before
    while not all(task.done() for task in running):
        most = max(most, resident_mb(way.pid))
        await asyncio.sleep(0.1)
    await asyncio.gather(*running)
    return before, most


# -- what is measured


@contextmanager
def standing() -> Iterator[dict[str, Way]]:
    """The model, the bare proxy and the server, each a process."""
    with ExitStack() as stack:
        model, model_pid = stack.enter_context(_part("model"))
        proxy, proxy_pid = stack.enter_context(_part("proxy", model))
        root = (
            Path(
                stack.enter_context(
                    tempfile.TemporaryDirectory(prefix="harness-bench-", ignore_cleanup_errors=True)
                )
            ).resolve()
            / REPO
        )
        config, key = make(root), root.parent / "key"
        key.touch(mode=0o600)
        key.write_text("sk-benchmark")
        config.write_text(config.read_text() + ACCOUNT.format(url=model, key=key))
        state = StateDirectory(root / DIRECTORY_NAME)
        state.prepare()
        server = start_server(config, state.root)
        stack.callback(server.stop)
        with admin_client(server.url, state) as admin:
            tokens = tuple(
                admin.create_session(f"bench-{number}", "command", door=False).token
                for number in range(1, AGENTS + 1)
            )
        path = "/v1/messages"
        yield {
            "direct": Way(model, path, tokens, model_pid),
            "proxy": Way(proxy, path, tokens, proxy_pid),
            "gateway": Way(server.url, f"/llm/anthropic{path}", tokens, server.pid),
        }


@contextmanager
def _part(*words: str) -> Iterator[tuple[str, int]]:
    argv: list[Any] = [sys.executable, "-m", "benchmarks.gateway_parts", *words]
    with subprocess.Popen(
        argv, cwd=SOURCES, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            if not url:
                raise VerbFailed(f"the {words[0]} did not start", Exit.INFRASTRUCTURE)
            yield url, process.pid
        finally:
            process.terminate()


if __name__ == "__main__":
    sys.exit(command.main("gateway", "What the model gateway costs, beside a bare reverse proxy.", _measured))
