"""The server dies at every point of a landing, and as a real process at any moment: nothing acknowledged is
lost or done twice.
"""

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import httpx2
import pytest

from mcp_server import config
from mcp_server.bell import Bell
from mcp_server.core.principal import AGENT, Principal
from mcp_server.core.refusal import Refused
from mcp_server.edge import app
from mcp_server.gate import Gate
from mcp_server.store import leases as lease_rows
from mcp_server.store import submissions as rows
from mcp_server.use_cases.landing import submit
from mcp_server.use_cases.oracle import baseline
from mcp_server.use_cases.oracle import jobs as oracle_jobs
from mcp_server.use_cases.people import events, sessions
from mcp_server.wire.jobs import JobOrder, JobResult
from mcp_server.world import World
from tests.waiting import BOUND_S, until

from . import histories, toy
from .conftest import Agent


async def silent_bell() -> Bell:
    return Bell()  # its loop has ended: it rings for nobody


@dataclass
class Desk:
    """A server's state without a server: steps are made by hand, and a crash is to drop all and open the
    state again.
    """

    root: Path
    world: World

    @classmethod
    def open(cls, root: Path) -> "Desk":
        loaded = config.load(root / "project/harness.toml")
        assert not isinstance(loaded, list)
        return cls(root, app.open_world(loaded, app.StateDir(root / "state"), asyncio.run(silent_bell())))

    def crash(self) -> None:
        self.world.store.close()
        self.world = Desk.open(self.root).world

    @property
    def bare(self) -> Path:
        return self.root / "state/repos/toy.git"

    def main(self) -> str:
        return toy.git("rev-parse", "refs/heads/main", cwd=self.bare)

    def step(self) -> bool:
        return Gate(self.world).advance()

    def take(self) -> list[JobOrder]:
        """What a runner can get."""
        return list(iter(lambda: oracle_jobs.claim(self.world, "runner"), None))

    def run(self) -> None:
        for job in self.take():
            told = {"status": "passed", "outcomes": {case.id: "pass" for case in job.cases}}
            assert oracle_jobs.finish(
                self.world, job.job, JobResult.of_json({"runner": "runner", "verdict": told})
            )

    def submission(self, id: int) -> rows.Submission:
        with self.world.store.read() as tx:
            found = rows.get(tx, id)
        assert found is not None
        return found


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[tuple[Desk, int, str]]:
    """A desk with one submission in the queue: the desk, its id, and the pushed commit."""
    toy.project(tmp_path / "project")
    made = Desk.open(tmp_path)
    baseline.measure_main(made.world)
    made.run()
    baseline.measure_main(made.world)
    clone = tmp_path / "clone"
    toy.git(
        "clone",
        "-q",
        "-c",
        "user.name=x",
        "-c",
        "user.email=x@x.invalid",
        str(made.bare),
        str(clone),
        cwd=tmp_path,
    )
    (clone / "shout/x").write_text("1\n")
    toy.git("add", "-A", cwd=clone)
    toy.git("commit", "-qm", "x", cwd=clone)
    toy.git("push", "-q", str(made.bare), "HEAD:refs/agents/one/work", cwd=clone)
    who = Principal("one", AGENT, sessions.begin(made.world, "one", "command", door=False)[0].id)
    lease = histories.claimed(made.world, who, "T01")
    commit = toy.git("rev-parse", "HEAD", cwd=clone)
    assert not isinstance(lease, Refused)
    pushed = submit.submit(made.world, who, lease["fence"], commit, "X")
    assert not isinstance(pushed, Refused)
    yield made, pushed.id, commit
    made.world.store.close()


def queued(desk: Desk, id: int) -> None:
    """Nothing has happened yet."""


def built_and_not_written(desk: Desk, id: int) -> None:
    """The candidate's commit and ref are there and its runs are asked for; the row does not know."""
    desk.step()
    with sqlite3.connect(desk.root / "state/state.db") as database:
        database.execute(
            "UPDATE submissions SET state = 'queued', base = NULL, candidate = NULL, jobs = '{}'"
        )
    database.close()


def built(desk: Desk, id: int) -> None:
    desk.step()


def runs_under_way(desk: Desk, id: int) -> None:
    desk.step()
    assert desk.take()


def judged(desk: Desk, id: int) -> None:
    desk.step()
    desk.run()


def intended(desk: Desk, id: int) -> None:
    judged(desk, id)
    desk.step()
    assert desk.submission(id).state == "landing"


def swapped(desk: Desk, id: int) -> None:
    """Main has moved and nobody has written so."""
    intended(desk, id)
    one = desk.submission(id)
    toy.git("update-ref", "refs/heads/main", one.candidate or "", one.base or "", cwd=desk.bare)


def landed(desk: Desk, id: int) -> None:
    intended(desk, id)
    desk.step()
    assert desk.submission(id).state == "landed"


POINTS = [queued, built_and_not_written, built, runs_under_way, judged, intended, swapped, landed]


@pytest.mark.parametrize("point", POINTS, ids=lambda point: point.__name__)
def test_a_crash_at_any_point_of_a_landing_ends_in_exactly_one_landing(
    desk: tuple[Desk, int, str], point: Callable
):
    made, id, commit = desk
    before = made.main()
    point(made, id)
    made.crash()
    made.crash()  # and again while it starts
    for _ in range(8):
        made.step()
        made.run()
    one = made.submission(id)
    assert one.state == "landed" and made.main() == one.candidate
    assert toy.git("rev-parse", f"{made.main()}^", cwd=made.bare) == before, "landed once"
    told = [event for event in events.query(made.world, events.EventFilter(0, 1000, kind="landed"))]
    assert [event.data["commit"] for event in told] == [made.main()]
    for job in one.jobs.values():
        found = oracle_jobs.get(made.world, job)
        assert found is not None and found.verdict is not None and found.verdict["status"] == "passed"
        assert found.commit == toy.git("rev-parse", f"{made.main()}^{{tree}}", cwd=made.bare), (
            "what landed is what was tested"
        )
    again = submit.submit(made.world, Principal("one", AGENT, "S1"), one.fence, commit, "X")
    assert not isinstance(again, Refused) and submit.answer(made.world, again)["main"] == made.main()
    assert events.verify(made.world).problems == ()


def test_a_lost_swap_after_a_crash_is_tested_again_on_the_new_main(desk: tuple[Desk, int, str]):
    made, id, _ = desk
    intended(made, id)
    tree = toy.git("rev-parse", "refs/heads/main^{tree}", cwd=made.bare)
    moved = toy.git(
        "-c",
        "user.name=x",
        "-c",
        "user.email=x@x",
        "commit-tree",
        "-p",
        made.main(),
        "-m",
        "by hand",
        tree,
        cwd=made.bare,
    )
    toy.git("update-ref", "refs/heads/main", moved, cwd=made.bare)
    made.crash()
    for _ in range(10):
        made.step()
        made.run()
    assert (
        made.submission(id).state == "landed"
        and toy.git("rev-parse", "refs/heads/main^", cwd=made.bare) == moved
    )


def test_an_import_whose_event_was_lost_is_written_at_the_next_start(desk: tuple[Desk, int, str]):
    made, _, _ = desk
    project = made.root / "project"
    toy.git("commit", "-q", "--allow-empty", "-m", "mine", cwd=project)
    toy.git(
        "fetch", "-q", str(project), "main:refs/heads/main", cwd=made.bare
    )  # as the import does, and then the power goes
    assert not events.verify(made.world).ok
    made.crash()
    assert events.verify(made.world).problems == ()


# -- the real process


@dataclass
class Process:
    """`python -m mcp_server` on a port of its own choice. Agents of conftest speak to it by `url`."""

    project: Path
    state: Path
    running: subprocess.Popen | None = None
    url: str = ""

    def start(self) -> None:
        (self.state / "server.json").unlink(missing_ok=True)
        argv = [
            sys.executable,
            "-m",
            "mcp_server",
            "--config",
            str(self.project / "harness.toml"),
            "--state",
            str(self.state),
            "--port",
            "0",
        ]
        self.state.mkdir(exist_ok=True)
        with open(self.state / "out", "ab") as out:
            self.running = subprocess.Popen(argv, stdout=out, stderr=out)
        until((self.state / "server.json").exists)
        self.url = json.loads((self.state / "server.json").read_text())["url"]

    def kill(self) -> None:
        assert self.running is not None
        os.kill(self.running.pid, signal.SIGKILL)
        self.running.wait()

    def http(self, role: str = "admin") -> httpx2.Client:
        token = (self.state / "tokens" / role).read_text().strip()
        return httpx2.Client(base_url=self.url, headers={"Authorization": f"Bearer {token}"}, timeout=BOUND_S)


def test_a_server_killed_again_and_again_loses_and_repeats_nothing(tmp_path: Path):
    """Killed soon after each push, a little later each time; agents and runner go on with the next server."""
    process = Process(toy.project(tmp_path / "project"), tmp_path / "s")
    process.start()
    runner = None
    try:
        with process.http() as http:
            made = http.post("/api/sessions", json={"agent": "one", "kind": "command", "door": True}).json()
            tasks = [
                http.post("/api/tasks", json={"title": f"K{n}", "module": "count", "brief": "b"}).json()["id"]
                for n in range(2)
            ]
        one = Agent(process, "one", made["token"], made["session"])  # type: ignore[arg-type]
        clone = one.clone(tmp_path / "one")
        mains = []
        for number, (task, delay_s) in enumerate(zip(tasks, (0.0, 0.4), strict=True)):
            fence = one.call("claim_task", task=task)["fence"]
            commit = one.commit(clone, {f"count/x{number}": "1\n"})
            runner = toy.LocalRunner(process.url, (process.state / "tokens/runner").read_text().strip())
            began = time.monotonic()
            with suppress(httpx2.TimeoutException):
                push_raw(one, fence, commit, task, delay_s)
            time.sleep(max(0.0, delay_s - (time.monotonic() - began)))
            process.kill()
            runner.close()
            process.start()
            toy.git("config", "remote.origin.url", f"{process.url}/git/toy.git", cwd=clone)
            with httpx2.Client(
                transport=httpx2.HTTPTransport(uds=str(process.state / "doors" / made["door"] / "door.sock")),
                timeout=BOUND_S,
            ) as door:
                assert door.get("http://127.0.0.1:8765/health").json()["ok"], (
                    "the door of a live session stands open again"
                )
            runner = toy.LocalRunner(process.url, (process.state / "tokens/runner").read_text().strip())
            mains.append(landed_main(one, fence, commit, task))
            toy.git("fetch", "-q", "origin", cwd=clone)
            toy.git("reset", "-q", "--hard", "origin/main", cwd=clone)
            runner.close()
        with process.http() as http:
            commits = http.get("/api/commits").json()["commits"]
            assert [commit["commit"] for commit in commits[1:]] == mains
            assert [commit["trailers"]["Task"] for commit in commits[1:]] == tasks
            assert len(http.get("/api/events", params={"kind": "landed"}).json()["events"]) == 2
            assert http.get("/api/audit/verify").json()["problems"] == []
            assert http.get("/api/status").json()["tasks"]["done"] == 2
    finally:
        if runner is not None:
            runner.close()
        process.kill()


def landed_main(one: Agent, fence: int, commit: str, summary: str) -> str:
    answer = one.call("push", fence=fence, commit=commit, summary=summary)
    assert answer["status"] == "landed", answer
    return answer["main"]


def push_raw(one: Agent, fence: int, commit: str, summary: str, patience_s: float) -> None:
    call = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": "push", "arguments": {"fence": fence, "commit": commit, "summary": summary}},
    }
    headers = {
        "Authorization": f"Bearer {one.token}",
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": "2025-06-18",
    }
    httpx2.post(
        f"{one.server.url}/mcp",
        json=call,
        headers=headers,
        timeout=httpx2.Timeout(10, read=max(0.05, patience_s)),
    )


def test_a_clock_set_forward_takes_no_run_from_its_runner_and_a_runner_that_falls_silent_loses_it(
    desk: tuple[Desk, int, str],
):
    world = desk[0].world
    oracle_jobs.request(
        world, oracle_jobs.JobRequest("words", desk[0].main(), oracle_jobs.ASKED, nonce="afresh")
    )
    told = oracle_jobs.claim(world, "runner")
    assert told is not None
    later = replace(world, now_ms=lambda: world.now_ms() + 10 * oracle_jobs.LOST_MS)
    oracle_jobs.reap(later)
    assert oracle_jobs.renew(later, told.job, "runner"), "the run is still its runner's"
    oracle_jobs.reap(replace(world, steady_ms=lambda: world.steady_ms() + oracle_jobs.LOST_MS + 1_000))
    assert not oracle_jobs.renew(world, told.job, "runner")
    again = oracle_jobs.claim(world, "another")
    assert again is not None and again.job == told.job


def test_an_upload_that_was_stored_and_not_told_of_is_what_its_lease_has_to_show(
    desk: tuple[Desk, int, str], tmp_path: Path
):
    """Its client finds everything up to date, and never tells the server again."""
    made, _, _ = desk
    clone = tmp_path / "clone"
    toy.git("commit", "-q", "--allow-empty", "-m", "more", cwd=clone)
    toy.git("push", "-q", str(made.bare), "HEAD:refs/agents/one/work", cwd=clone)
    commit = toy.git("rev-parse", "HEAD", cwd=clone)
    for found in (1, 1):
        made.crash()
        with made.world.store.read() as tx:
            [lease] = lease_rows.open_ones(tx)
        assert lease.head == commit
        told = events.query(made.world, events.EventFilter(after=0, limit=10, kind="git_push"))
        assert len(told) == found and told[0].data["status"] == "found", "once"
