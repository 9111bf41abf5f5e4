"""The egress proxy at a door: who may go where, what flows, how it ends, and that each connection is told."""

import asyncio
import base64
import os
from contextlib import suppress
from pathlib import Path

import pytest

from mcp_server.edge.egress.proxy import EgressLimits
from tests.waiting import until_on_loop

from .tunnels import HOST, opened, tried

FAST = EgressLimits(head_s=0.3, connect_s=0.3, idle_s=0.3, total_s=0.9, tunnels=2)


def test_bytes_go_both_ways_and_the_connection_is_told(tmp_path: Path):
    async def body() -> None:
        async with opened(tmp_path) as at:
            client = await at.client()
            status, headers, _ = await client.connect(f"{HOST}:{at.port}")
            assert status == 200 and not {"content-length", "transfer-encoding"} & set(headers)
            client.writer.write(b"\0ping\r\n\r\n")
            assert await client.read(9) == b"\0ping\r\n\r\n"
            client.writer.write_eof()
            assert await client.read() == b""
            told = await at.event()
            assert told.pop("ms") >= 0
            where = {"host": HOST, "port": at.port, "address": "127.0.0.1"}
            assert (
                told
                == {"kind": "egress", "agent": "worker-1", "status": "ok", "bytes_up": 9, "bytes_down": 9}
                | where
            )
            assert at.names.asked == [(HOST, at.port)]

    tried(body)


@pytest.mark.parametrize("spelling", ["{host}:{port}", "PACKAGES.Example:{port}", "{host}.:{port}"])
@pytest.mark.parametrize(
    "header",
    [
        "Bearer good",
        "basic " + base64.b64encode(b"good:").decode(),
        "Basic " + base64.b64encode(b"x:good").decode(),
    ],
)
def test_the_token_may_stand_where_clients_put_it_and_the_name_in_any_spelling(
    tmp_path: Path, spelling: str, header: str
):
    async def body() -> None:
        async with opened(tmp_path) as at:
            client = await at.client()
            where = spelling.format(host=HOST, port=at.port)
            assert (await client.connect(where, header=f"proxy-authorization: {header}\r\n"))[0] == 200
            assert at.names.asked == [(HOST, at.port)]

    tried(body)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Proxy-Authorization: Basic !!!\r\n",
        "Proxy-Authorization: Bearer wrong\r\n",
        "Proxy-Authorization: Bearer other\r\n",
        "Proxy-Authorization: Bearer boss\r\n",
        "Authorization: Bearer good\r\n",
        "Proxy-Authorization: Digest good\r\n",
        "Proxy-Authorization: Basic \xff\r\n",
    ],
    ids=[
        "none",
        "no base64",
        "unknown",
        "of another session",
        "of no agent",
        "the wrong header",
        "another scheme",
        "not ascii",
    ],
)
def test_without_the_token_of_this_door_nothing_is_looked_up_and_the_client_is_asked_for_it(
    tmp_path: Path, header: str
):
    async def body() -> None:
        async with opened(tmp_path) as at:
            client = await at.client()
            status, headers, _ = await client.connect(f"{HOST}:{at.port}", header=header)
            assert (status, headers["proxy-authenticate"]) == (407, 'basic realm="harness"')
            assert (at.names.asked, at.place.connections) == ([], 0)
            assert (await client.connect(f"{HOST}:{at.port}"))[0] == 200, (
                "the same connection may try again, as curl does"
            )

    tried(body)


def test_an_agent_that_is_not_named_may_go_nowhere(tmp_path: Path):
    async def body() -> None:
        async with opened(tmp_path, agents=("worker-2",)) as at:
            status, _, text = await (await at.client()).connect(f"{HOST}:{at.port}")
            assert status == 403 and "worker-1 may connect nowhere" in text
            assert (at.names.asked, at.place.connections) == ([], 0)
            assert (await at.event())["status"] == "agent"

    tried(body)


REFUSED = [
    ("evil.example:{port}", 403, "not_allowed"), ("{host}.evil.example:{port}", 403, "not_allowed"), ("evil{host}:{port}", 403, "not_allowed"), ("{host}:443", 403, "not_allowed"), ("{host}:80", 403, "not_allowed"),
    ("localhost:{port}", 403, "not_allowed"), ("127.0.0.1:{port}", 400, "unfit"), ("2130706433:{port}", 400, "unfit"), ("0x7f.1:{port}", 400, "unfit"), ("[::1]:{port}", 400, "unfit"), ("{host}", 400, "unfit"), ("{host}:0{port}", 400, "unfit"),
    ("user@{host}:{port}", 400, "unfit"), ("{host}:{port}@evil.example:{port}", 400, "unfit"), ("http://{host}:{port}/", 400, "unfit"), ("{host}%00.evil.example:{port}", 400, "unfit"), ("{host}..:{port}", 400, "unfit"), ("{host}:{port}:{port}", 400, "unfit"),
]  # fmt: skip


@pytest.mark.parametrize(("target", "status", "code"), REFUSED, ids=[target for target, *_ in REFUSED])
def test_every_other_place_is_refused_before_it_is_looked_up(
    tmp_path: Path, target: str, status: int, code: str
):
    async def body() -> None:
        async with opened(tmp_path) as at:
            client = await at.client()
            answered, _, _ = await client.connect(target.format(host=HOST, port=at.port))
            assert (answered, await client.read()) == (status, b"")
            told = await at.event()
            assert (told["status"], told["address"], told["bytes_up"]) == (code, None, 0)
            assert (at.names.asked, at.place.connections) == ([], 0)

    tried(body)


@pytest.mark.parametrize(
    "raw",
    [b"CONNECT packages.example:443\0 HTTP/1.1\r\n\r\n", b"CONNECT packages.example :443 HTTP/1.1\r\n\r\n", b"CONNECT b\xc3\xbc.example:443 HTTP/1.1\r\nHost: x\r\n\r\n", b"CONNECT a:1 HTTP/1.1\r\n\r\n", b"CONNECT a:1 HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody",
     b"CONNECT " + b"a" * 20_000, b"CONNECT a:1\r\n\r\n", b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"],
    ids=["nul", "space", "not ascii", "no host", "a body", "endless", "http 0.9", "two hosts"],
)  # fmt: skip
def test_what_is_no_request_is_refused_by_the_parser(tmp_path: Path, raw: bytes):
    async def body() -> None:
        async with opened(tmp_path) as at:
            client = await at.client()
            client.writer.write(raw)
            assert (await client.answer())[0] == 400
            assert (await client.read(), at.names.asked, at.events) == (b"", [], [])

    tried(body)


def test_a_request_may_come_in_any_pieces_with_early_data_behind_it(tmp_path: Path):
    async def body() -> None:
        async with opened(tmp_path) as at:
            client = await at.client()
            raw = (
                f"CONNECT {HOST}:{at.port} HTTP/1.1\r\nHost: x\r\nProxy-Authorization: Bearer good\r\n\r\n".encode()
                + b"early"
            )
            for place in range(len(raw)):
                client.writer.write(raw[place : place + 1])
                await client.writer.drain()
                await asyncio.sleep(0)
            assert (await client.answer())[0] == 200
            assert await client.read(5) == b"early"
            whole = await at.client()
            assert (await whole.connect(f"{HOST}:{at.port}", early=b"first words"))[0] == 200
            assert await whole.read(11) == b"first words"
            whole.writer.write_eof()
            assert (await whole.read(), (await at.event())["bytes_up"]) == (b"", 11)

    tried(body)


def test_a_name_at_an_address_that_is_not_public_is_not_connected_to(tmp_path: Path):
    async def body() -> None:
        async with opened(tmp_path, private=False) as at:
            at.names.answers = [
                "127.0.0.1",
                "::1",
                "10.0.0.1",
                "169.254.169.254",
                "::ffff:127.0.0.1",
                "fe80::1%lo",
            ]
            status, _, text = await (await at.client()).connect(f"{HOST}:{at.port}")
            assert (status, text) == (403, f"{HOST} has no public address\n")
            assert (at.place.connections, (await at.event())["status"]) == (0, "not_public")

    tried(body)


def test_even_an_in_house_name_is_not_connected_to_at_a_special_address(tmp_path: Path):
    async def body() -> None:
        async with opened(tmp_path) as at:
            at.names.answers = ["169.254.169.254", "0.0.0.0", "::ffff:127.0.0.1", "fd00:ec2::254"]
            assert (await (await at.client()).connect(f"{HOST}:{at.port}"))[0] == 403
            at.names.answers = ["169.254.169.254", "127.0.0.1"]
            assert (await (await at.client()).connect(f"{HOST}:{at.port}"))[0] == 200, (
                "of several only the good one is connected to"
            )

    tried(body)


@pytest.mark.parametrize(
    ("answers", "hangs", "status", "code"),
    [
        ([], False, 502, "unknown_host"),
        (["127.0.0.2"], False, 502, "unreachable"),
        (["127.0.0.1"], True, 504, "no_answer"),
    ],
)
def test_a_place_that_cannot_be_reached_is_said_so(
    tmp_path: Path, answers: list[str], hangs: bool, status: int, code: str
):
    async def body() -> None:
        async with opened(tmp_path, limits=FAST) as at:
            at.names.answers, at.names.hangs = answers, hangs
            answered, _, text = await (await at.client()).connect(f"{HOST}:{at.port}")
            assert (answered, (await at.event())["status"]) == (status, code), text

    tried(body)


def test_a_client_that_has_ended_still_gets_the_answer(tmp_path: Path):
    async def body() -> None:
        async with opened(tmp_path) as at:
            at.place.does = "after_end"
            client = await at.client()
            await client.connect(f"{HOST}:{at.port}")
            client.writer.write(b"x" * 300_000)
            client.writer.write_eof()
            assert await client.read() == b"all of it: " + b"x" * 300_000
            told = await at.event()
            assert (told["status"], told["bytes_up"], told["bytes_down"]) == ("ok", 300_000, 300_011)

    tried(body)


def test_a_place_that_has_ended_still_gets_what_the_client_says(tmp_path: Path):
    async def body() -> None:
        async with opened(tmp_path) as at:
            at.place.does = "greet_and_end"
            client = await at.client()
            await client.connect(f"{HOST}:{at.port}")
            assert await client.read() == b"hello"
            client.writer.write(b"bye")
            await asyncio.sleep(0)
            client.writer.write_eof()
            await until_on_loop(lambda: at.place.got == b"bye")
            assert (await at.event())["status"] == "ok"

    tried(body)


def test_a_silent_connection_ends_and_one_that_speaks_lives_until_its_last_limit(tmp_path: Path):
    async def body() -> None:
        async with opened(tmp_path, limits=FAST) as at:
            client = await at.client()
            await client.connect(f"{HOST}:{at.port}")
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await client.read(1)
            assert (await at.event())["status"] == "idle"
            talker = await at.client()
            await talker.connect(f"{HOST}:{at.port}")
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await talker.chat()
            told = await at.event(2)
            assert (told["status"], told["ms"] >= 850, told["bytes_up"] > 5) == ("total_limit", True, True)

    tried(body)


def test_a_broken_connection_breaks_on_the_other_side_too(tmp_path: Path):
    async def body() -> None:
        async with opened(tmp_path) as at:
            at.place.does = "reset"
            client = await at.client()
            await client.connect(f"{HOST}:{at.port}")
            client.writer.write(b"x")
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await client.read(1)
            told = await at.event()
            assert (told["status"], told["bytes_up"]) == ("broken", 1)

    tried(body)


def test_a_client_that_vanishes_ends_its_connection(tmp_path: Path):
    async def body() -> None:
        async with opened(tmp_path) as at:
            at.place.does = "after_end"
            client = await at.client()
            await client.connect(f"{HOST}:{at.port}")
            client.writer.transport.abort()
            assert (await at.event())["status"] in ("ok", "broken")

    tried(body)


def test_a_place_that_does_not_read_slows_the_client_down(tmp_path: Path):
    async def body() -> None:
        async with opened(tmp_path, limits=EgressLimits(idle_s=1.0)) as at:
            at.place.does = "deaf"
            client = await at.client()
            await client.connect(f"{HOST}:{at.port}")
            client.writer.write(b"x" * (256 << 20))
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await client.read(1)
            told = await at.event()
            assert told["status"] == "idle" and told["bytes_up"] < 32 << 20, "the rest never came here"

    tried(body)


def test_a_client_that_does_not_read_is_let_go_with_all_that_was_meant_for_it(tmp_path: Path):
    async def body() -> None:
        async with opened(tmp_path, limits=EgressLimits(idle_s=0.5)) as at:
            at.place.does, before = "flood", len(os.listdir("/proc/self/fd"))
            client = await at.client()
            client.writer.transport.pause_reading()
            client.writer.write(
                f"CONNECT {HOST}:{at.port} HTTP/1.1\r\nHost: x\r\nProxy-Authorization: Bearer good\r\n\r\n".encode()
            )
            assert (await at.event())["status"] == "idle"
            await until_on_loop(
                lambda: len(os.listdir("/proc/self/fd")) == before + 1
            )  # the client's own is left

    tried(body)


def test_a_session_has_so_many_connections_at_once_and_no_more(tmp_path: Path):
    async def body() -> None:
        async with opened(tmp_path, limits=EgressLimits(tunnels=2)) as at:
            clients = [await at.client() for _ in range(3)]
            assert [(await client.connect(f"{HOST}:{at.port}"))[0] for client in clients] == [200, 200, 429]
            clients[0].writer.write_eof()
            await clients[0].read()
            await at.event(2)
            again = await at.client()
            assert (await again.connect(f"{HOST}:{at.port}"))[0] == 200

    tried(body)


def test_a_head_that_does_not_end_is_not_waited_for(tmp_path: Path):
    async def body() -> None:
        async with opened(tmp_path, limits=FAST) as at:
            client = await at.client()
            client.writer.write(b"CONNECT packages.example:443 HTTP/1.1\r\n")
            assert await client.read() == b""

    tried(body)


@pytest.mark.parametrize("method", ["GET", "CONTINUE", "C", "CONNECTED", "connect"])
def test_every_other_request_reaches_the_server_unchanged_in_any_pieces(tmp_path: Path, method: str):
    async def body() -> None:
        async with opened(tmp_path) as at:
            client = await at.client()
            for piece in (method[:1], method[1:], " /somewhere HTTP/1.1\r\nHost: x", "\r\n\r\n"):
                client.writer.write(piece.encode())
                await client.writer.drain()
                await asyncio.sleep(0.01)
            _, _, text = await client.answer()
            assert text == f'{{"door": "S1", "method": "{method}", "path": "/somewhere"}}'
            client.writer.write(
                f"CONNECT {HOST}:{at.port} HTTP/1.1\r\nHost: x\r\nProxy-Authorization: Bearer good\r\n\r\n".encode()
            )
            assert '"method": "CONNECT"' in (await client.answer())[2], (
                "only a connection's first word leads out"
            )
            assert (at.names.asked, at.events) == ([], [])

    tried(body)


def test_nothing_leads_out_over_tcp(tmp_path: Path):
    async def body() -> None:
        async with opened(tmp_path) as at:
            port = at.server.servers[0].sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(
                f"CONNECT {HOST}:{at.port} HTTP/1.1\r\nHost: x\r\nProxy-Authorization: Bearer good\r\n\r\n".encode()
            )
            assert b'"door": null' in await asyncio.wait_for(reader.readuntil(b"}"), 10)
            assert at.names.asked == []
            writer.close()

    tried(body)


@pytest.mark.parametrize("how", ["door", "server"])
def test_a_closed_door_and_a_stopped_server_end_the_connections_and_tell_them(tmp_path: Path, how: str):
    async def body() -> None:
        async with opened(tmp_path) as at:
            clients = [await at.client() for _ in range(2)]
            idle = await at.client()
            for client in clients:
                await client.connect(f"{HOST}:{at.port}", early=b"12345")
                assert await client.read(5) == b"12345"
            if how == "door":
                await at.doors.close("S1")
            else:
                at.server.should_exit = True
            for client in [*clients, idle]:
                with suppress(ConnectionError):
                    assert await client.read() == b""
            told = await at.event(2)
            assert [each["status"] for each in at.events] == ["closed_by_us"] * 2 and told["bytes_down"] == 5
            await until_on_loop(lambda: not at.server.server_state.connections)

    tried(body)
