"""The state of every release that there was is opened by this one with all that is in it, and goes on."""

import json
import sqlite3
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from . import toy, wide
from .conftest import Agent, Server
from .states import make
from .wide import refused, settled

STATES = Path(__file__).parent / "states"
RELEASES = sorted(STATES.glob("*.tar.gz"))
PAUSE_MS = 1_000  # from the release's last event to the start of this one: its live lease is live yet


@dataclass
class Unpacked:
    """A release's state and project, not opened yet."""

    root: Path

    @property
    def database(self) -> Path:
        return self.root / "state/state.db"

    def rows(self, sql: str) -> list[tuple]:
        database = sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)
        try:
            return database.execute(sql).fetchall()
        finally:
            database.close()

    def serve(self) -> Server:
        [(last,)] = self.rows("SELECT body FROM events ORDER BY seq DESC LIMIT 1")
        now_ms = json.loads(last)["ms"] + PAUSE_MS
        return Server(self.root / "project", self.root / "state", wide.WAIT_S, make.clock(now_ms))

    def agent(self, server: Server, name: str) -> Agent:
        about = json.loads((self.root / "agents" / f"{name}.json").read_text())
        return Agent(server, name, about["token"], about["session"])


def unpack(release: Path, root: Path) -> Unpacked:
    with tarfile.open(release) as tar:
        tar.extractall(root, filter="data")
    return Unpacked(root)


@pytest.fixture(params=RELEASES, ids=lambda path: path.name.removesuffix(".tar.gz"))
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Unpacked:
    return unpack(request.param, tmp_path)


def test_a_state_of_an_older_release_opens_with_all_that_is_in_it(old: Unpacked) -> None:
    tasks = dict(old.rows("SELECT id, state FROM tasks"))
    events = dict(old.rows("SELECT seq, hash FROM events"))
    leases = old.rows("SELECT fence, task, agent FROM leases WHERE ended_ms IS NULL")
    notes = old.rows("SELECT topic, agent, text FROM notes ORDER BY id")
    assert len(tasks) > 10 and len(events) > 150 and len(leases) == 2 and len(notes) > 40, "it is a real one"
    server = old.serve()
    try:
        with server.http() as http:
            assert {task["id"]: task["state"] for task in http.get("/api/tasks").json()["tasks"]} == tasks
            status, spending = http.get("/api/status").json(), http.get("/api/spending").json()
            verdict = http.get("/api/audit/verify").json()
        assert {event["seq"]: event["hash"] for event in server.events()}.items() >= events.items()
        assert verdict["ok"] and verdict["checkpoints"] > 1, verdict
        assert str(status).count("I look around.") == 2, "what two agents were last heard to say"
        assert spending["total"]["requests"] == 4, spending
    finally:
        server.stop()
    assert old.rows("SELECT fence, task, agent FROM leases WHERE ended_ms IS NULL") == leases
    assert old.rows("SELECT topic, agent, text FROM notes ORDER BY id") == notes


def test_work_goes_on_in_a_state_of_an_older_release(old: Unpacked) -> None:
    server = old.serve()
    try:
        holder, pusher = old.agent(server, "holder"), old.agent(server, "pusher")
        [(submission, fence, commit)] = old.rows(
            "SELECT id, fence, \"commit\" FROM submissions WHERE agent = 'pusher'"
        )
        with wide.running(server):
            in_gate = settled(pusher, "push", fence=fence, commit=commit, summary="In the gate")
            assert in_gate["status"] == "landed", "what was in the gate came out of it"
            held = holder.call("claim_task")
            assert held["task"]["id"] == "M05", "the lease that was live is live"
            clone = holder.clone(old.root / "clone")
            commit = holder.commit(clone, {"m05/whole": "1\n"})
            landed = settled(holder, "push", fence=held["fence"], commit=commit, summary="The whole")
            assert landed["status"] == "landed", landed
            other = server.agent("other")
            assert "author" in refused(other.call("claim_task", task="M02"), "no_task")["holds"]
            salvaged = other.call("claim_task", task="M01")
            assert salvaged["fence"] > held["fence"] and "refs/salvage/M01" in salvaged["text"], salvaged
        with server.http() as http:
            assert http.get("/api/audit/verify").json()["problems"] == []
            assert http.get("/api/commits").json()["commits"][-1]["commit"] == landed["main"]
    finally:
        server.stop()
    assert toy.git("fsck", "--no-dangling", cwd=old.root / "state/repos/toy.git") == ""
