"""The power goes at any moment of a claim, an upload, a landing and a release, and of the server's first
start: what was acknowledged is there.

The writes of a real server are recorded once and replayed many times (power.py). HARNESS_POWER_STATES=10000
looks at so many states.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest

from mcp_server import config
from mcp_server.core.landing import SubmissionState as State
from mcp_server.core.principal import AGENT
from mcp_server.edge import app
from mcp_server.gate import Gate
from mcp_server.store import events as event_rows
from mcp_server.store import submissions as submission_rows
from mcp_server.use_cases.oracle import jobs
from mcp_server.use_cases.people import events
from mcp_server.world import World
from tests.waiting import BOUND_S, until

from . import histories, power, toy
from .conftest import Agent
from .power import Disk, Op

STATES = int(os.environ.get("HARNESS_POWER_STATES", "80"))
LIE_STATES_MAX = 150  # in which a disk that only pretends to sync must have been caught
GATE_STEPS = 12
MEMORY = Path("/dev/shm")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600 + STATES * 3),
    pytest.mark.skipif(power.why_not() is not None, reason=str(power.why_not())),
]


@dataclass(frozen=True)
class Told:
    """What a client had been told when it left its mark."""

    events: dict[int, str] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    main: str = ""


@dataclass(frozen=True)
class Recording:
    project: Path
    state: Path
    ops: list[Op]
    told: list[Told]


class Client:
    """Does the sequence against the traced server, and marks in its trace what it knows by then."""

    def __init__(self, url: str, state: Path):
        self.url, self._state, self.told = url, state, [Told()]

    def http(self, role: str = "admin") -> httpx2.Client:
        return httpx2.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {(self._state / 'tokens' / role).read_text().strip()}"},
            timeout=BOUND_S,
        )

    def mark(self, *, refs: dict[str, str] | None = None, main: str = "") -> None:
        before = self.told[-1]
        with self.http() as http:
            seen = http.get("/api/events", params={"limit": 1000}).json()["events"]
            self.told.append(
                Told(
                    {event["seq"]: event["hash"] for event in seen},
                    before.refs | (refs or {}),
                    main or before.main,
                )
            )
            assert http.get("/health", params={"mark": str(len(self.told) - 1)}).status_code == 200

    def work(self, where: Path) -> None:
        with self.http() as http:
            made = http.post("/api/sessions", json={"agent": "one", "kind": "command", "door": False}).json()
        one = Agent(self, "one", made["token"], made["session"])  # type: ignore[arg-type]
        clone, mine = one.clone(where), f"refs/agents/one/{made['session']}"
        self.mark()
        for task, files in (("T01", {"shout/filter": "FROM=a-z TO=A-Z\n"}), ("T02", {"count/x": "1\n"})):
            claimed = one.call("claim_task", task=task)
            self.mark()
            commit = one.commit(clone, files)
            self.mark(refs={mine: commit})
            landed = one.call("push", fence=claimed["fence"], commit=commit, summary=task)
            assert landed["status"] == "landed", landed
            self.mark(main=landed["main"])
        claimed = one.call("claim_task", task="T03")
        commit = one.commit(clone, {"shout/half": "1\n"})
        self.mark(refs={mine: commit})
        assert one.call("release_task", fence=claimed["fence"], outcome="abandoned")["status"] == "released"
        self.mark(refs={f"refs/salvage/T03/{claimed['fence']}": commit})


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    root = tmp_path_factory.mktemp("power")
    project, state = toy.project(root / "project"), root / "state"
    state.mkdir()
    argv = [
        sys.executable,
        "-m",
        "mcp_server",
        "--config",
        str(project / "harness.toml"),
        "--state",
        str(state),
        "--port",
        "0",
    ]
    with open(root / "out", "wb") as out:
        running = subprocess.Popen(
            power.traced(root / "trace", argv), stdout=out, stderr=out, start_new_session=True
        )
    try:
        until((state / "server.json").exists)
        about = json.loads((state / "server.json").read_text())
        client = Client(about["url"], state)
        runner = toy.LocalRunner(about["url"], (state / "tokens/runner").read_text().strip())
        try:
            client.work(root / "clone")
        finally:
            runner.close()
        os.kill(about["pid"], signal.SIGTERM)
        running.wait(60)
    finally:
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()
    return Recording(project, state, power.read(root / "trace", state), client.told)


def states(
    recorded: Recording, count: int, seed: int, lies=lambda path: False
) -> Iterator[tuple[str, Told, dict]]:
    """States after power losses at `count` moments: half of them where the most is unsynced, half anywhere."""
    chance = random.Random(seed)
    risky = [
        number for number, op in enumerate(recorded.ops) if op.what in ("sync", "datasync", "move", "mark")
    ]
    cuts = sorted(
        chance.choice(risky) if number % 2 else chance.randrange(len(recorded.ops)) for number in range(count)
    )
    disk, told, done = Disk(recorded.state, lies), Told(), 0
    disk.do(Op("directory", str(recorded.state)))
    for cut in cuts:
        for op in recorded.ops[done:cut]:
            if op.what == "mark":
                told = recorded.told[op.at]
            disk.do(op)
        done = max(done, cut)
        yield (
            f"seed {seed}, before operation {cut} ({recorded.ops[cut].what} {Path(recorded.ops[cut].path).name})",
            told,
            disk.after_power_loss(chance),
        )


def problems(recorded: Recording, told: Told, found: dict, where: Path) -> list[str]:
    """What is wrong with such a state, by opening it as the server does."""
    power.build(found, recorded.state, where)
    loaded = config.load(recorded.project / "harness.toml")
    assert not isinstance(loaded, list)
    try:
        world = app.open_world(loaded, app.StateDir(where), histories.silent_bell())
    except Exception as wrong:  # noqa: BLE001 - whatever keeps the server from its state is what is looked for
        return [f"it does not open: {type(wrong).__name__}: {wrong}"]
    try:
        return _lost(world, told) + _wrong(world) + _does_not_go_on(world)
    finally:
        world.store.close()


def _lost(world: World, told: Told) -> list[str]:
    with world.store.read() as tx:
        there = {row.seq: row.hash for row in event_rows.all(tx)}
    lost = [
        f"event {seq} was acknowledged and is lost"
        for seq, hash in told.events.items()
        if there.get(seq) != hash
    ]
    repo = world.repos["toy"]
    for ref, commit in told.refs.items():
        tip = repo.refs.tip(ref)
        if tip is None or not (tip == commit or repo.commits.is_ancestor(commit, tip)):
            lost.append(f"{ref} was acknowledged at {commit[:12]} and is at {tip}")
    if told.main and not repo.commits.is_ancestor(told.main, world.main("toy")):
        lost.append(f"main was acknowledged at {told.main[:12]} and is at {world.main('toy')[:12]}")
    return lost


def _wrong(world: World) -> list[str]:
    wrong = [f"audit: {problem}" for problem in events.verify(world).problems]
    bare = world.repos["toy"].path
    walked = subprocess.run(
        ["git", "rev-list", "--objects", "--all"], cwd=bare, capture_output=True, text=True
    )
    if walked.returncode:
        return [*wrong, f"objects are missing: {walked.stderr.strip()[-200:]}"]
    named = "".join(line.split(" ")[0] + "\n" for line in walked.stdout.splitlines())
    shown = subprocess.run(
        ["git", "cat-file", "--batch"], cwd=bare, input=named.encode(), capture_output=True
    )
    if shown.returncode or b" missing\n" in shown.stdout:
        wrong.append(f"objects cannot be read: {shown.stderr.decode().strip()[-200:]}")
    return wrong + _untested(world)


def _untested(world: World) -> list[str]:
    with world.store.read() as tx:
        sent = {one.candidate: one for one in submission_rows.landed(tx) + submission_rows.pending(tx)}
    untested = []
    for commit in world.repos["toy"].commits.log("main"):
        if not commit.parents:
            continue
        one = sent.get(commit.commit)
        verdicts = [job for id in one.jobs.values() if (job := jobs.get(world, id))] if one else []
        if not verdicts or any(
            job.verdict is None or job.verdict["status"] != "passed" or job.commit != commit.tree
            for job in verdicts
        ):
            untested.append(f"{commit.commit[:12]} is on main and was not tested")
    return untested


def _does_not_go_on(world: World) -> list[str]:
    """The gate ends what is in it, and whoever repeats a push finds one landing of it."""
    for _ in range(GATE_STEPS):
        with world.store.read() as tx:
            pending = submission_rows.pending(tx)
        if not pending:
            break
        histories.finish_jobs(world)
        Gate(world).advance()
    with world.store.read() as tx:
        stuck = [f"submission {one.id} stays {one.state}" for one in submission_rows.pending(tx)]
        landed = [one.task for one in submission_rows.landed(tx) if one.state is State.LANDED]
    twice = [f"{task} landed twice" for task in set(landed) if landed.count(task) > 1]
    on_main = [one.trailers.get("Task") for one in world.repos["toy"].commits.log("main") if one.parents]
    return (
        stuck
        + twice
        + ([] if sorted(landed) == sorted(map(str, on_main)) else [f"landed {landed}, on main {on_main}"])
    )


def scratch() -> Path:
    return Path(tempfile.mkdtemp(prefix="harness-power-", dir=MEMORY if MEMORY.is_dir() else None))


def campaign(
    recorded: Recording, count: int, seed: int = 1, lies=lambda path: False
) -> Iterator[tuple[str, list[str]]]:
    for name, told, found in states(recorded, count, seed, lies):
        where = scratch()
        try:
            yield name, problems(recorded, told, found, where)
        finally:
            shutil.rmtree(where)


def test_the_recording_holds_the_whole_sequence(recording: Recording):
    kinds = {op.what for op in recording.ops}
    assert {"make", "write", "sync", "datasync", "move", "link", "mark"} <= kinds
    assert [op.at for op in recording.ops if op.what == "mark"] == list(range(1, len(recording.told)))
    assert recording.told[-1].main and len(recording.told[-1].events) > 20 and AGENT


def test_a_replay_that_loses_nothing_is_the_disk_itself(recording: Recording):
    disk = Disk(recording.state)
    for op in recording.ops:
        disk.do(op)

    class Everything(random.Random):
        def choice(self, seq):
            return max(seq)

    found = disk.after_power_loss(Everything())
    for path, what in found.items():
        if isinstance(what, bytes) and Path(path).suffix != ".db-shm":
            assert Path(path).read_bytes() == what, path
    there = {str(path) for path in recording.state.rglob("*") if path.is_file()}
    assert there - set(found) == set()


def test_no_power_loss_loses_what_was_acknowledged_or_breaks_main(recording: Recording):
    found = {name: wrong for name, wrong in campaign(recording, STATES) if wrong}
    told = "\n".join(f"{name}: {'; '.join(wrong)}" for name, wrong in found.items())
    assert not found, f"{len(found)} of {STATES} states:\n{told[:6000]}"


@pytest.mark.parametrize("lie", ["state.db-wal", "/repos/"])
def test_a_disk_that_only_pretends_to_sync_is_caught(recording: Recording, lie: str):
    assert any(wrong for _, wrong in campaign(recording, LIE_STATES_MAX, lies=lambda path: lie in path))
