"""The same promises at the real door: clients that race over HTTP and MCP, some of which are killed while
their call is under way.
"""

import asyncio
import json
import os
import random
import socket
import sys
import threading
from collections.abc import Iterator

import pytest

from tests.waiting import until

from . import histories, lease_model
from .conftest import Server
from .histories import AGENTS, COMMITS, Clock
from .lease_model import LEASE_MS, TASKS
from .linear import NEVER, Call, check

HISTORIES = max(40, int(os.environ.get("HARNESS_HISTORIES", "1000")) // 25)
STEPS = 4
ANSWER_S = 30
KILLED = 0.2  # the share of calls whose client dies before the answer
JUMPS_MS = (
    20_000,
    LEASE_MS - 1,
    LEASE_MS,
    LEASE_MS + 1,
)  # forward only: the server's own ticker ends what is overdue, at times we do not see
TOOLS = {"claim": "claim_task", "call": "list_tasks", "release": "release_task", "push": "push"}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600 + HISTORIES * 3)]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, dict]]:
    """No runner is up, so that whatever is pushed stays in the gate: it moves nothing behind the history's
    back.
    """
    root = tmp_path_factory.mktemp("http")
    source = histories.project(root / "project", with_suite=True)
    server = Server(source, root / "state", 0.05, Clock())
    try:
        yield server, histories.commits(source, server.state / "repos/toy.git")
    finally:
        server.stop()


class Recorder:
    """One history over the door. Each tool call is two steps, what it does and the renewal that is written
    with its log entry.
    """

    def __init__(self, server: Server, commits: dict, seed: int):
        self.server, self.commits, self.seed = server, commits, seed
        assert server.world is not None
        self.ground = histories.Ground(server.world, server.clock, commits, True)  # type: ignore[arg-type]
        self.start = self.ground.begin()
        self.calls: list[Call] = []
        self.fences: list[int] = []
        self.lock, self.tick = threading.Lock(), 0
        self.tokens: dict[str, tuple[str, str]] = {}

    def now(self) -> int:
        with self.lock:
            self.tick += 1
            return self.tick

    def put(self, *steps: Call) -> None:
        """The steps of one request, one after the other."""
        with self.lock:
            for number, step in enumerate(steps):
                first = number == 0 or not step.is_known
                self.calls.append(
                    step
                    if first
                    else Call(step.what, step.args, step.answer, step.began, step.ended, len(self.calls) - 1)
                )

    def begin(self, agent: str) -> None:
        began = self.now()
        with self.server.http() as http:
            made = http.post("/api/sessions", json={"agent": agent, "kind": "command", "door": False}).json()
        self.put(Call("begin", (agent,), made["session"], began, self.now()))
        self.tokens[agent] = made["session"], made["token"]

    def work(self, barrier: threading.Barrier, agent: str) -> None:
        chance = random.Random(f"{self.seed} {agent}")
        barrier.wait()
        for _ in range(STEPS):
            self.deed(chance, agent)

    def deed(self, chance: random.Random, agent: str) -> None:
        session, token = self.tokens[agent]
        match chance.choice(("claim", "claim", "claim", "call", "release", "push", "push")):
            case "claim":
                task = chance.choice((None, *TASKS))
                self.request(
                    "claim",
                    (agent, session, task),
                    {"task": task} if task else {},
                    agent,
                    token,
                    killed=chance.random() < KILLED,
                )
            case "release" if self.fences:
                fence, outcome = chance.choice(self.fences), chance.choice(("abandoned", "blocked"))
                wanted = {"fence": fence, "outcome": outcome, "note": "because"}
                self.request(
                    "release", (agent, fence, outcome), wanted, agent, token, killed=chance.random() < KILLED
                )
            case "push" if self.fences:
                fence, commit = (
                    chance.choice(self.fences),
                    self.commits[agent, chance.choice("abc")][chance.randrange(COMMITS)],
                )
                self.request(
                    "push",
                    (agent, fence, commit),
                    {"fence": fence, "commit": commit, "summary": "Work"},
                    agent,
                    token,
                    killed=chance.random() < KILLED,
                )
            case _:
                self.request("call", (agent,), {}, agent, token, killed=chance.random() < KILLED)

    def request(self, what: str, args: tuple, wanted: dict, agent: str, token: str, *, killed: bool) -> None:
        began = self.now()
        answer = call(self.server, token, TOOLS[what], wanted, killed=killed)
        renewal = Call("call", (agent,), None, began, NEVER if killed else self.now())
        if killed:
            self.put(*([Call(what, args, None, began)] if what != "call" else []), renewal)
            return
        assert answer is not None
        if answer.get("status") == "leased":
            with self.lock:
                self.fences.append(answer["fence"])
        self.put(
            *([Call(what, args, told(what, answer), began, renewal.ended)] if what != "call" else []), renewal
        )

    def supervise(self, barrier: threading.Barrier) -> None:
        chance = random.Random(f"{self.seed} supervisor")
        barrier.wait()
        for _ in range(STEPS // 2):
            began = self.now()
            if chance.random() < 0.6:
                ms = chance.choice(JUMPS_MS)
                self.server.clock.now_ms += ms  # type: ignore[attr-defined]
                self.put(Call("clock", (ms,), None, began, self.now()))

    def bury(self) -> None:
        """Once all is quiet: a sandbox dies, and its lease with it unless it is pinned."""
        session, _ = self.tokens["one"]
        began = self.now()
        with self.server.http("runner") as http:
            http.post(f"/api/sessions/{session}/end", json={"outcome": "crashed", "detail": "", "exit": 137})
        self.put(Call("end", (session,), None, began, self.now()))

    def record(self) -> None:
        for agent in AGENTS:
            self.begin(agent)
        barrier = threading.Barrier(len(AGENTS) + 1)
        threads = [threading.Thread(target=self.work, args=(barrier, agent)) for agent in AGENTS]
        threads.append(threading.Thread(target=self.supervise, args=(barrier,)))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        until(lambda: is_quiet(self.server))
        self.bury()
        began = self.now()
        self.put(Call("look", (), histories.look(self.ground.world), began, self.now()))


def told(what: str, answer: dict) -> object:
    if answer.get("status") == "refused":
        return answer["code"]
    match what:
        case "claim":
            return "leased", answer["task"]["id"], answer["fence"], answer["lease_s"]
        case "release":
            return "released", answer["task"], answer["outcome"]
    return "sent", answer["submission"]


def call(server: Server, token: str, tool: str, arguments: dict, *, killed: bool) -> dict | None:
    """One tools/call over a connection of its own. A killed client hangs up once its request is out."""
    body = json.dumps(
        {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}
    ).encode()
    head = (
        f"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n"
        f"Accept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2025-06-18\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port), ANSWER_S) as wire:
        wire.sendall(head.encode() + body)
        if killed:
            return None
        answer = b"".join(iter(lambda: wire.recv(65536), b""))
    assert b" 200 " in answer.split(b"\r\n", 1)[0], answer
    data = [line for line in answer.splitlines() if line.startswith(b"data: {") and b'"result"' in line]
    return json.loads(data[-1][6:])["result"]["structuredContent"]


def is_quiet(server: Server) -> bool:
    """No request is under way, and nothing that a killed client had asked for is still to be done: nothing
    reaches into the next history.
    """
    with server.http() as http:  # whoever has hung up already was let in before this one
        assert http.get("/health").status_code == 200
    ours = {thread.ident for thread in threading.enumerate() if thread.name.startswith("asyncio_")}
    at_work = [
        frame
        for ident, frame in sys._current_frames().items()
        if ident in ours and frame.f_code.co_name != "_worker"
    ]
    if server._server.server_state.tasks or at_work:
        return False
    assert server.world is not None
    asyncio.run_coroutine_threadsafe(server.world.group.write(lambda _: None), server.loop).result(
        ANSWER_S
    )  # after all that waits
    return True


def test_every_history_over_the_door_could_be_one_call_after_the_other(served: tuple[Server, dict]):
    server, commits = served
    seen: set[str] = set()
    for seed in range(HISTORIES):
        recorder = Recorder(server, commits, seed)
        recorder.record()
        verdict = check(recorder.calls, recorder.start, lease_model.step)
        assert verdict.ok, f"seed {seed}:\n{verdict}"
        seen |= {
            f"{call.what} {call.answer if isinstance(call.answer, str) else 'done'}"
            if call.is_known
            else "unread"
            for call in recorder.calls
        }
    wanted = {
        "claim done",
        "claim held",
        "claim overlap",
        "push done",
        "push stale_fence",
        "push not_leased",
        "release done",
        "release held",
        "unread",
    }
    assert wanted <= seen, f"nothing was tried of {wanted - seen}"
    with server.http() as http:
        assert http.get("/api/audit/verify").json()["ok"]


def test_of_many_who_claim_one_task_at_once_exactly_one_gets_it(served: tuple[Server, dict]):
    server, _ = served
    assert server.world is not None
    for task in TASKS:
        histories.Ground(server.world, server.clock, {}, True).begin()  # type: ignore[arg-type]
        racers = [server.agent(f"racer{number}") for number in range(8)]
        barrier, answers = threading.Barrier(len(racers)), []

        def race(
            token: str, task: str = task, barrier: threading.Barrier = barrier, answers: list = answers
        ) -> None:
            barrier.wait()
            answers.append(call(server, token, "claim_task", {"task": task}, killed=False))

        threads = [threading.Thread(target=race, args=(racer.token,)) for racer in racers]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        assert sorted(answer["status"] for answer in answers) == ["leased"] + ["refused"] * 7
        assert {answer["code"] for answer in answers if answer["status"] == "refused"} == {"held"}
