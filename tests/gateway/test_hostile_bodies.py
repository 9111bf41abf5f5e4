"""Bodies that are large, half or dense, and names that nobody answers for: what one agent holds is bounded, and
others are served meanwhile.
"""

import asyncio
import socket
import threading
from collections.abc import Iterator

import pytest

from mcp_server.edge.egress.resolver import THREADS_MAX, Resolver
from mcp_server.edge.model_proxy import bodies
from mcp_server.edge.model_proxy.bodies import Bodies, NoRoom
from mcp_server.models import apis
from mcp_server.models.apis import VALUES_MAX, Call, Form, ModelApi
from tests.server.test_hostile_connections import Neighbour, flood, port_of
from tests.waiting import BOUND_S, until, until_on_loop

from .place import config
from .process import Process, serving

MESSAGES = Call(ModelApi.ANTHROPIC, Form.MESSAGES, "POST", "/v1/messages")
MB = 1 << 20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    root = tmp_path_factory.mktemp("bodies")
    (root / "key").write_text("sk-test-0123456789abcdefghijklmnop")
    (root / "key").chmod(0o600)
    with serving(root, config("http://127.0.0.1:1", root / "key")) as made:
        yield made


def test_half_sent_bodies_hold_what_is_their_agents_and_no_more(server: Process):
    """30 x 12 MB of one agent: 64 MB of them are taken, whoever sends more is told, and memory stays."""
    token, port = server.session("sender")["token"], port_of(server)
    head = f"POST /llm/anthropic/v1/messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
    head += f"Content-Length: {39 * MB}\r\n\r\n"
    before_mb = server.resident_mb()
    with Neighbour(server, "small") as neighbour, flood(port, head.encode()) as attack:
        attack.add(30)
        part = b" " * MB
        for _ in range(12):
            for one in attack.open:
                send(one, part)
        told: list[bytes] = []
        until(lambda: told.extend(attack.answers()) or len(told) >= 20, "most of them to be told")
        neighbour.calls_on()
        grown_mb = server.resident_mb() - before_mb
    assert all(b"429" in one for one in told)
    assert grown_mb < 150, f"{grown_mb:.0f} MB"


def send(one: socket.socket, part: bytes) -> None:
    """Send it, unless the server has ended the connection."""
    try:
        one.sendall(part)
    except ConnectionError:
        return


def test_more_requests_than_one_agent_may_have_are_told_before_their_bodies_are_read(server: Process):
    token = server.session("crowd")["token"]
    head = f"POST /llm/anthropic/v1/messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
    with flood(port_of(server), f"{head}Content-Length: 1000\r\n\r\n".encode()) as attack:
        attack.add(33)
        (told,) = until(attack.answers, "the last one to be told")
    assert b"429" in told and b"32 requests under way" in told


def test_a_body_of_too_many_values_is_not_parsed():
    dense = b'{"model":"m","messages":[' + b"0," * (VALUES_MAX + 1) + b"0]}"
    assert apis.asked(MESSAGES, dense) is None
    assert apis.asked(MESSAGES, b"[" * (39 * MB)) is None


def test_a_body_of_the_largest_image_and_one_of_a_million_tokens_are_read():
    image = b'{"model":"m","stream":true,"messages":["' + b"iVBORw0KGgo" * (3 * MB) + b'"]}'
    facts = apis.asked(MESSAGES, image)
    assert facts is not None and facts.model == "m" and facts.stream
    code = b"def f(a, b):\\n    return {a: [b, 1]}\\n" * 30_000
    facts = apis.asked(MESSAGES, b'{"messages":["' + code + b'"],"model":"m"}')
    assert facts is not None and facts.model == "m"


def test_no_agent_takes_what_every_other_one_may_always_have():
    held = Bodies()
    for number in range(bodies.ALL_BYTES_MAX // bodies.AGENT_BYTES_MAX):
        held.take(f"greedy-{number}", bodies.AGENT_BYTES_MAX)
        with pytest.raises(NoRoom, match=f"of greedy-{number} that"):
            held.take(f"greedy-{number}", 1)
    with held.held("modest") as body:
        held.take("modest", bodies.ALWAYS_BYTES)
        body.size = bodies.ALWAYS_BYTES
        with pytest.raises(NoRoom, match="of all agents"):
            held.take("modest", 1)
    with held.held("modest"):
        held.take("modest", bodies.ALWAYS_BYTES)


# -- names and threads


def test_a_silent_name_holds_one_thread_and_delays_only_those_who_ask_for_it():
    speaks, asked = threading.Event(), []

    def look_up(host: str, port: int) -> list:
        asked.append(host)
        if host.startswith("silent"):
            speaks.wait(BOUND_S)
        return [(0, 0, 0, "", (f"10.0.0.{len(host)}", port))]

    async def body() -> None:
        resolve = Resolver(look_up)
        waiting = [asyncio.create_task(resolve("silent", 443)) for _ in range(30)]
        await until_on_loop(lambda: asked, "the first to be looked up")
        assert await resolve("speaks", 443) == ["10.0.0.6"]
        assert asked.count("silent") == 1
        waiting[0].cancel()
        more = [asyncio.create_task(resolve(f"silent-{number}", 443)) for number in range(2 * THREADS_MAX)]
        await asyncio.sleep(0)
        assert await asyncio.to_thread(lambda: "git and the gate go on") == "git and the gate go on"
        assert not any(one.done() for one in (*waiting[1:], *more)), "and nobody answered meanwhile"
        speaks.set()
        assert {tuple(found) for found in await asyncio.gather(*waiting[1:])} == {("10.0.0.6",)}
        await asyncio.gather(*more)
        assert await resolve("silent", 443) and asked.count("silent") == 2, "an answer is not kept"

    try:
        asyncio.run(body())
    finally:
        speaks.set()


def test_a_name_that_cannot_be_looked_up_is_an_error_each_time():
    def look_up(_host: str, _port: int) -> list:
        raise socket.gaierror("no such name")

    async def body() -> None:
        resolve = Resolver(look_up)
        for _ in range(2):
            with pytest.raises(OSError, match="no such name"):
                await resolve("nowhere", 443)

    asyncio.run(body())
