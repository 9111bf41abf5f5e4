"""Guests that open connections and say nothing, little, or half: they fill what is theirs, and their neighbours'
calls all succeed.

HARNESS_FLOOD=N makes each flood N times as long.
"""

import asyncio
import contextlib
import logging
import os
import resource
import selectors
import socket
import sys
import threading
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mcp_server.edge import auth, connections
from mcp_server.edge.connections import HttpLimits, Share
from mcp_server.edge.mcp_tools.engine import THREADS_OF_AGENT
from mcp_server.repeats import RECORDS_MAX, WINDOW_S, FewRepeats
from tests.gateway.process import Process, serving
from tests.waiting import BOUND_S, until

from . import toy
from .conftest import Agent, Server

FLOOD = int(os.environ.get("HARNESS_FLOOD", "1"))
HALF = b"POST /mcp HTTP/1.1\r\nHost: door\r\nContent-Le"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    connections.raise_descriptor_limit()  # the attackers' own
    with serving(tmp_path_factory.mktemp("floods"), toy.TOML) as made:
        yield made


@contextlib.contextmanager
def left_with(server: Process, descriptors: int) -> Iterator[None]:
    """Let the server have only so many descriptors, so that a flood of a second is one of its size."""
    before = soft, hard = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
    assert soft > descriptors
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (descriptors, hard))
    try:
        yield
    finally:
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, before)


class Flood:
    """Connections to one address that have sent `begun`, and are kept."""

    def __init__(self, family: int, address: str | tuple[str, int], begun: bytes):
        self._family, self._address, self._begun = family, address, begun
        self.open: list[socket.socket] = []

    def add(self, count: int) -> None:
        for _ in range(count):
            one = socket.socket(self._family)
            one.settimeout(BOUND_S)
            self.open.append(one)
            one.connect(self._address)
            with contextlib.suppress(OSError):  # sent away already
                one.sendall(self._begun)

    def answers(self) -> list[bytes]:
        """What those were told that have an answer by now."""
        said = []
        with selectors.DefaultSelector() as waiting:
            for one in self.open:
                waiting.register(one, selectors.EVENT_READ)
            for key, _ in waiting.select(0):
                with contextlib.suppress(OSError):
                    said.append(key.fileobj.recv(65_536))  # type: ignore[union-attr]
        return said

    def close(self) -> None:
        for one in self.open:
            one.close()


@contextlib.contextmanager
def flood(where: str | tuple[str, int], begun: bytes) -> Iterator[Flood]:
    made = Flood(socket.AF_UNIX if isinstance(where, str) else socket.AF_INET, where, begun)
    try:
        yield made
    finally:
        made.close()


class Neighbour:
    """Another agent, who goes on calling a tool; each of its calls has to succeed."""

    def __init__(self, server: Process, name: str):
        self._agent = Agent(server, name, server.session(name)["token"], None)  # type: ignore[arg-type]
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.calls, self.wrong = 0, ""

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                answer = self._agent.call("list_tasks")
                assert not answer["is_error"], answer
            except BaseException as wrong:  # noqa: BLE001 - told by the test
                self.wrong = f"call {self.calls + 1}: {wrong!r}"
                return
            self.calls += 1

    def __enter__(self) -> "Neighbour":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(BOUND_S)

    def calls_on(self) -> None:
        """Wait for three more of its calls."""
        seen = self.calls
        until(lambda: self.wrong or self.calls >= seen + 3, "the neighbour's calls")
        assert not self.wrong, self.wrong


def door_of(server: Process, agent: str) -> str:
    session = server.session(agent, door=True)["session"]
    return str(server.state / "doors" / session / "door.sock")


def port_of(server: Process) -> tuple[str, int]:
    return "127.0.0.1", int(server.url.rpartition(":")[2])


def open_descriptors(server: Process) -> int:
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))


def test_half_open_requests_at_a_door_fill_that_door_alone(server: Process):
    log_bytes = server.log.stat().st_size
    with (
        left_with(server, 256),
        Neighbour(server, "beside-door") as neighbour,
        flood(door_of(server, "opener"), HALF) as attack,
    ):
        for _ in range(3 * FLOOD):
            attack.add(400)
            neighbour.calls_on()
        told = until(attack.answers, "somebody to be told")
        assert open_descriptors(server) < 256
    assert any(b"503 Service Unavailable" in one and b"too_many_connections" in one for one in told)
    assert server.log.stat().st_size - log_bytes < 64_000


def test_half_open_requests_at_the_port_make_room_for_whoever_speaks(server: Process):
    """The neighbour is at the port too, so the share is large enough that nobody is the oldest in a moment."""
    with (
        left_with(server, 3_000),
        Neighbour(server, "beside-port") as neighbour,
        flood(port_of(server), HALF) as attack,
    ):
        for _ in range(2 * FLOOD):
            attack.add(900)
            neighbour.calls_on()
        assert until(attack.answers, "somebody to be told")
        assert open_descriptors(server) < 3_000 // connections.PORT_PART + 100


def test_without_a_free_descriptor_the_server_waits_in_a_line_of_its_log(server: Process):
    log_bytes = server.log.stat().st_size
    with flood(port_of(server), HALF) as attack:
        with left_with(server, 8):
            attack.add(200)
            until(lambda: "no connection is accepted for a second" in server.log.read_text()[log_bytes:])
        assert server.get("/api/tasks")
    # What runs in the background may say once a second that it could open nothing.
    assert "out of system resource" not in server.log.read_text()[log_bytes:]
    assert server.log.stat().st_size - log_bytes < 64_000


def test_the_server_takes_as_many_descriptors_as_it_may_have(server: Process):
    soft, hard = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
    assert soft == min(hard, connections.DESCRIPTORS_MAX)


# -- time limits, in a server of this process


@pytest.fixture
def impatient(tmp_path: Path) -> Iterator[Server]:
    """A server whose patience ends soon; everything else is as it is."""
    limits = HttpLimits(head_s=0.3, body_s=0.3)
    made = Server(toy.project(tmp_path / "project"), tmp_path / "state", limits=limits)
    yield made
    made.stop()


def last_words(address: tuple[str, int], begun: bytes) -> bytes:
    """What a client is told that sends this and then nothing."""
    with socket.create_connection(address, BOUND_S) as one:
        one.sendall(begun)
        said = b""
        while part := one.recv(65_536):
            said += part
        return said


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"G",
        HALF,
        b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nGET /hea",
    ],
    ids=["nothing", "a byte", "half a head", "half a head after a request"],
)
def test_a_head_that_does_not_come_is_not_waited_for(impatient: Server, begun: bytes):
    said = last_words(("127.0.0.1", impatient.port), begun)
    assert said.count(b"200 OK") == begun.count(b"/health") and b"408 Request Timeout" in said


def test_half_a_body_is_not_waited_for(impatient: Server):
    one = impatient.agent("slow")
    head = f"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:{impatient.port}\r\nAuthorization: Bearer {one.token}\r\n"
    head += "Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n"
    said = last_words(("127.0.0.1", impatient.port), f"{head}Content-Length: 1000\r\n\r\n{{".encode())
    assert b"408 Request Timeout" in said and b"body did not come" in said
    assert not one.call("list_tasks")["is_error"]


def test_a_call_that_waits_is_no_slow_client(impatient: Server):
    """Long streams are kept: its client has said all, so the time is the server's."""
    with impatient.http("runner") as http:

        def claim(wait_s: float) -> int:
            return http.post("/api/jobs/claim", json={"runner": "r", "wait_s": wait_s}).status_code

        until(lambda: claim(4 * impatient.limits.body_s) == 204, "no job to come for so long")


# -- requests of one agent, and what is logged


def test_an_agent_with_too_many_requests_under_way_is_told_and_its_neighbour_is_served(server: Process):
    token = server.session("greedy")["token"]
    head = (
        f"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:1\r\nAuthorization: Bearer {token}\r\nContent-Length: 9\r\n"
    )
    head += "Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n\r\n"
    with Neighbour(server, "modest") as neighbour, flood(port_of(server), head.encode()) as attack:
        attack.add(auth.REQUESTS_MAX + 1)
        (told,) = until(attack.answers, "the last one to be told")
        assert b"429 Too Many Requests" in told and b"too_many_requests" in told
        neighbour.calls_on()


def test_calls_of_one_agent_that_wait_in_threads_leave_threads_to_others(tmp_path: Path):
    """They wait for the turn to write, which the test holds; what only reads needs a thread and no turn."""
    made = Server(toy.project(tmp_path / "project"), tmp_path / "state")
    try:
        greedy, world = made.agent("greedy"), made.world
        assert world is not None
        with ThreadPoolExecutor(40) as calls, world.store.turn:
            under_way = [calls.submit(greedy.call, "list_tasks") for _ in range(40)]
            until(lambda: listing() == THREADS_OF_AGENT, "its threads to be taken")
            assert made.events(kind="session_started")
        assert not any(one.result()["is_error"] for one in under_way)
    finally:
        made.stop()


def listing() -> int:
    """Return how many threads of the server are in the middle of a list of tasks."""
    stacks = [traceback.extract_stack(frame) for frame in sys._current_frames().values()]
    return sum(any(call.name == "listed" for call in stack) for stack in stacks)


class Wire(asyncio.Transport):
    """A transport that keeps what is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.said, self.is_closed = b"", False

    def write(self, data: bytes) -> None:
        self.said += data

    def close(self) -> None:
        self.is_closed = True


def test_at_a_full_share_the_longest_at_rest_makes_room_and_no_request_is_cut():
    share = Share("this door", lambda: 3)
    working, idle, idler = Wire(), Wire(), Wire()
    for one in (working, idler, idle):
        assert share.enter(one)
        share.rest(one)
    share.work(working)
    newcomers = [Wire(), Wire(), Wire()]
    assert [share.enter(one) for one in newcomers] == [True, True, False]
    assert [one.is_closed for one in (working, idle, idler, *newcomers)] == [
        False,
        True,
        True,
        False,
        False,
        True,
    ]
    assert len(share) == 3
    assert b"this door has 3 connections open" in newcomers[-1].said
    share.leave(working)
    assert share.enter(Wire()), "who leaves makes room"


def test_all_doors_together_leave_descriptors_for_the_rest(server: Process):
    def most(doors: int) -> int:
        share = connections.door_share(lambda: doors)
        return share._most()

    has = connections.descriptors()
    assert most(1) == min(connections.DOOR_CONNECTIONS_MAX, has // 2)
    assert all(1 <= most(doors) <= max(1, has // 2 // doors) for doors in (50, 500, 5_000))


def test_what_is_logged_over_and_over_is_cut_and_counted():
    now_s, written = [0.0], []
    quiet, log = FewRepeats(lambda: now_s[0]), logging.Logger("flooded")
    handler = logging.Handler()
    handler.addFilter(quiet)
    handler.emit = lambda record: written.append(record.getMessage())  # type: ignore[method-assign]
    log.addHandler(handler)

    def say(count: int) -> None:
        for number in range(count):
            log.warning("again %s", number)

    say(RECORDS_MAX + 500)
    assert len(written) == RECORDS_MAX and "more of this kind are left out" in written[-1]
    log.warning("another matter")
    assert written[-1] == "another matter"
    now_s[0] += WINDOW_S
    say(1)
    assert written[-1] == "again 0 (500 of this kind were left out before)"
