"""`kill -9` of a real server: at every point of a claim, an upload, a push, a landing and a release, and at
random under load.

After the next start nothing that was acknowledged is lost, nothing lands twice, main is what was tested, and
the agents carry on by repeating their calls. HARNESS_KILLS=1000 kills so often at random.
"""

import contextlib
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import MCPError

from mcp_server import faults
from tests.waiting import BOUND_S, until

from . import toy, wide
from .conftest import Agent
from .nursery import Nursery, lives

KILLS = int(os.environ.get("HARNESS_KILLS", "6"))
WORKERS = 3
OF_TRAINS = ("gate.passed", "gate.coupled")  # several changes have to be in the gate: test_gate_kills.py
SOURCES = Path(faults.__file__).parent

pytestmark = pytest.mark.slow


@dataclass
class Mortal:
    """`python -m mcp_server` at one address; whenever it dies by the hand of a test it is started again.
    Agents of conftest speak to it.
    """

    project: Path
    state: Path
    port: int
    nursery: Nursery
    pid: int = 0
    deaths: int = 0
    faults: list[str] = field(default_factory=list)  # each next start has the next of these
    _stopping: bool = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        fault = self.faults.pop(0) if self.faults else None
        self.state.mkdir(exist_ok=True)
        argv = [
            "--config",
            str(self.project / "harness.toml"),
            "--state",
            str(self.state),
            "--port",
            str(self.port),
        ]
        self.pid = self.nursery.bear(argv, {faults.VARIABLE: fault} if fault else {}, self.state / "out")
        until(lambda: self.is_up() or not lives(self.pid))

    def is_up(self) -> bool:
        with contextlib.suppress(httpx2.HTTPError):
            return httpx2.get(f"{self.url}/health", timeout=BOUND_S).status_code == 200
        return False

    def watch(self) -> None:
        """As the harness does, in a thread of its own: a server that has died is started again."""
        while not self._stopping:
            if not lives(self.pid):
                self.deaths += 1
                self.start()
            time.sleep(0.02)

    def kill(self) -> None:
        doomed = self.pid  # the watcher may have borne the next one before we look
        os.kill(doomed, signal.SIGKILL)
        until(lambda: not lives(doomed))

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        watcher = threading.Thread(target=self.watch)
        watcher.start()
        try:
            yield
        finally:
            self._stopping = True
            watcher.join()
            self._stopping = False

    def stop(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)
        until(lambda: not lives(self.pid))

    def http(self, role: str = "admin") -> httpx2.Client:
        return httpx2.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {(self.state / 'tokens' / role).read_text().strip()}"},
            timeout=BOUND_S,
        )

    def begin(self, agent: str) -> Agent:
        with self.http() as http:
            made = http.post("/api/sessions", json={"agent": agent, "kind": "command", "door": False}).json()
        return Agent(self, agent, made["token"], made["session"])  # type: ignore[arg-type]


def again(act: Callable[[], Any]) -> Any:
    """What every agent does: a call that got no answer is made again, unchanged."""
    limit = time.monotonic() + BOUND_S
    while True:
        try:
            return act()
        except (httpx2.HTTPError, MCPError, ExceptionGroup, OSError, AssertionError) as gone:
            if time.monotonic() > limit:
                raise AssertionError(f"not within {BOUND_S} s") from gone
            time.sleep(0.05)


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[Mortal]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    nursery = Nursery()
    made = Mortal(wide.project(tmp_path / "project"), tmp_path / "s", port, nursery)
    try:
        made.start()
        yield made
        made.stop()
    finally:
        nursery.close()


def one_round(mortal: Mortal, number: int, clone: Path, one: Agent) -> str:
    """A task from claim to landing, and another that is claimed, begun and given back. Answers with the
    commit on main.
    """
    task, other = f"M{number:02}", f"M{number + 1:02}"
    claimed = again(lambda: one.call("claim_task", task=task))
    assert claimed["status"] == "leased" and claimed["task"]["id"] == task, claimed
    commit = upload(one, clone, {f"m{number:02}/x": f"{number}\n"})
    landed = again(lambda: wide.settled(one, "push", fence=claimed["fence"], commit=commit, summary=task))
    assert landed["status"] == "landed", landed
    assert (
        again(lambda: wide.settled(one, "push", fence=claimed["fence"], commit=commit, summary=task))
        == landed
    ), "asked again, it is the same landing"
    given_back = again(lambda: one.call("claim_task", task=other))
    half = upload(one, clone, {f"m{number + 1:02}/half": f"{number}\n"})
    released = again(lambda: one.call("release_task", fence=given_back["fence"], outcome="abandoned"))
    assert (released["status"], released["outcome"]) == ("released", "abandoned"), released
    assert again(lambda: task_of(mortal, other))["salvage"]["commit"] == half
    toy.git("reset", "-q", "--hard", commit, cwd=clone)
    return landed["main"]


def upload(one: Agent, clone: Path, files: dict[str, str]) -> str:
    """The commit is made once; its upload is repeated until it is taken."""
    for name, text in files.items():
        (clone / name).write_text(text)
    toy.git("add", "-A", cwd=clone)
    toy.git("commit", "-qm", "work", cwd=clone)
    again(
        lambda: toy.git("push", "-q", "-f", "origin", f"HEAD:refs/agents/{one.name}/{one.session}", cwd=clone)
    )
    return toy.git("rev-parse", "HEAD", cwd=clone)


def task_of(mortal: Mortal, task: str) -> dict:
    with mortal.http() as http:
        return http.get(f"/api/tasks/{task}").json()


def whole(mortal: Mortal, landings: list[tuple[str, str]]) -> None:
    """The log is whole, and main is exactly what was told (task and commit), in that order, each tested and
    landed once.
    """
    with mortal.http() as http:
        assert http.get("/api/audit/verify").json()["problems"] == []
        commits = http.get("/api/commits").json()["commits"][1:]
        on_main = [(change["Task"], commit["commit"]) for commit in commits for change in commit["changes"]]
        assert sorted(on_main) == sorted(landings) and [commit for _, commit in on_main] == [
            commit for _, commit in landings
        ]
        landed = http.get("/api/events", params={"kind": "landed", "limit": 10_000}).json()["events"]
        assert sorted((event["task"], event["data"]["commit"]) for event in landed) == sorted(landings)
        assert len({task for task, _ in landings}) == len(landings), "a task landed twice"
        for commit in commits:
            job = http.get(f"/api/jobs/{commit['trailers']['Oracle-Verdict'].partition('=')[2]}").json()
            assert job["verdict"]["status"] != "broken" and job["commit"] == commit["tree"], (
                "what is on main was tested"
            )


def test_a_server_killed_at_any_point_loses_and_repeats_nothing(mortal: Mortal, tmp_path: Path):
    landings: list[tuple[str, str]] = []
    clone = mortal.begin("one").clone(tmp_path / "clone")
    runner = toy.LocalRunner(mortal.url, (mortal.state / "tokens/runner").read_text().strip())
    try:
        mortal.stop()
        points = [
            point
            for point in faults.POINTS
            if point not in OF_TRAINS and not point.startswith(("upkeep.", "migration."))
        ]  # those are test_upkeep's and test_old_states'
        mortal.faults = list(points)
        mortal.start()
        with mortal.watched():
            for number in range(1, len(points)):
                one = again(lambda: mortal.begin("one"))
                toy.git("config", "http.extraHeader", f"Authorization: Bearer {one.token}", cwd=clone)
                landings.append((f"M{number:02}", one_round(mortal, number, clone, one)))
                again(lambda one=one: end(mortal, one))
                if mortal.deaths == len(points):
                    break
        assert mortal.deaths == len(points), f"not reached: {points[mortal.deaths :]}"
        whole(mortal, landings)
    finally:
        runner.close()


def end(mortal: Mortal, one: Agent) -> None:
    with mortal.http("runner") as http:
        http.post(
            f"/api/sessions/{one.session}/end", json={"outcome": "worked", "detail": "", "exit": 0}
        ).raise_for_status()


@pytest.mark.timeout(600 + KILLS * 20)
def test_a_server_killed_at_random_under_load_loses_and_repeats_nothing(mortal: Mortal, tmp_path: Path):
    """Agents claim, commit and push without a pause; the kills come at moments drawn from a seed."""
    chance, told, over = random.Random(7), {}, threading.Event()
    runner = toy.LocalRunner(mortal.url, (mortal.state / "tokens/runner").read_text().strip())
    clones = {
        name: mortal.begin(name).clone(tmp_path / name) for name in (f"worker{n}" for n in range(WORKERS))
    }
    wrong: list[BaseException] = []

    def work(name: str, clone: Path) -> None:
        try:
            one = again(lambda: mortal.begin(name))
            toy.git("config", "http.extraHeader", f"Authorization: Bearer {one.token}", cwd=clone)
            while not over.is_set():
                claimed = again(lambda: one.call("claim_task", task=None))
                if claimed["status"] != "leased":
                    again(lambda: new_task(mortal, clones, name))
                    continue
                task, module = claimed["task"]["id"], claimed["task"]["module"]
                commit = upload(
                    one,
                    clone,
                    {f"{module}/{task}": f"{name}\n", f"{module}/filter": "FROM=a-z\nTO=A-Z\n"}
                    if task == "M00"
                    else {f"{module}/{task}": f"{name}\n"},
                )
                answer = again(
                    lambda claimed=claimed, commit=commit, task=task: wide.settled(
                        one, "push", fence=claimed["fence"], commit=commit, summary=task
                    )
                )
                assert answer["status"] == "landed", answer
                told[task] = answer["main"]
        except BaseException as failed:  # noqa: BLE001 - told by the test's own thread
            wrong.append(failed)

    threads = [threading.Thread(target=work, args=pair) for pair in clones.items()]
    try:
        with mortal.watched():
            [thread.start() for thread in threads]
            for _ in range(KILLS):
                over.wait(chance.uniform(0.1, 2.5))
                dead = mortal.deaths
                mortal.kill()
                until(lambda dead=dead: mortal.deaths > dead and mortal.is_up())
            over.set()
            [thread.join() for thread in threads]
        assert not wrong, wrong
        with mortal.http() as http:
            landings = [
                (change["Task"], commit["commit"])
                for commit in http.get("/api/commits").json()["commits"][1:]
                for change in commit["changes"]
            ]
        whole(mortal, landings)
        assert dict(landings) == told and len(told) > 0, (
            "whoever was told of a landing finds it, and nobody else's work is there"
        )
    finally:
        over.set()
        runner.close()


def new_task(mortal: Mortal, clones: dict[str, Path], name: str) -> None:
    """More work once all is done, in a module of the worker's own."""
    with mortal.http() as http:
        wanted = {"title": "More", "module": wide.module([*clones].index(name) + 1), "brief": "More."}
        http.post("/api/tasks", json=wanted).raise_for_status()


def test_every_point_is_in_the_code_once_and_no_other():
    used = [
        name
        for path in SOURCES.rglob("*.py")
        for name in re.findall(r'faults\.reached\("([^"]+)"\)', path.read_text())
    ]
    assert sorted(used) == sorted(faults.POINTS)


def test_a_point_that_does_not_exist_stops_the_start(tmp_path: Path):
    argv = [
        sys.executable,
        "-m",
        "mcp_server",
        "--config",
        str(tmp_path / "none"),
        "--state",
        str(tmp_path / "s"),
    ]
    done = subprocess.run(
        argv, env=os.environ | {faults.VARIABLE: "gate.nowhere"}, capture_output=True, text=True
    )
    assert done.returncode == 1 and "gate.nowhere is no point" in done.stderr
