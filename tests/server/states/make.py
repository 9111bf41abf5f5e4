"""`python -m tests.server.states.make FILE`: plays a small run with the code of this tree and packs what it
left.

FILE is then the state of a release, and test_old_states.py opens it with every later one. A state that was
made once is never made again: what counts is that its release wrote it.

Rule: nothing inside names the machine. `project/`, `hidden/`, `state/` and `agents/` (a token and a session
each) lie side by side, so that a test unpacks them anywhere; and the run's clock starts at START_MS, so that
a lease which was live is live when a test goes on from the last event.
"""

import json
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from mcp_server.core.principal import AGENT, Principal
from mcp_server.store.model_requests import ModelRequest
from mcp_server.use_cases.people import model_requests
from tests.server import toy, wide
from tests.server.conftest import Agent, Server
from tests.server.wide import refused, settled

START_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z
MODULES = 10
PARTS = ("project", "hidden", "state", "agents")
NOTES = 40  # so that there are many events, and a checkpoint which is not the newest
HIDDEN = "-- case: gnu\nQUOKKA\n-- case: emu\nwombat\n"
REPORT = """+++
id = "R01"
title = "Look around"
module = "m09"
result = "report"
+++
Read and report.
"""


def clock(start_ms: int) -> Callable[[], int]:
    """Return a clock that shows `start_ms` now and goes on at the pace of this machine's."""
    began_ns = time.monotonic_ns()
    return lambda: start_ms + (time.monotonic_ns() - began_ns) // 1_000_000


def project(root: Path) -> Path:
    names = [wide.module(number) for number in range(MODULES)]
    sections = "".join(f'\n[modules.{name}]\nrepo = "toy"\npaths = ["{name}/**"]\n' for name in names)
    head, _, tail = toy.TOML.partition("[modules.shout]")
    suites = tail.partition("[oracle.words]")[2]
    toml = f"{head}{sections}\n[oracle.words]{suites}".replace("lease_minutes = 1", "lease_minutes = 15")
    toml = toml.replace("[agents.worker]", 'held_out = ["../hidden/**/*.txt"]\n\n[agents.worker]')
    files = {"harness.toml": toml, "main.sh": wide.MAIN, "tasks/r01.md": REPORT}
    for group, texts in {"up": ["ABC\n", "123\n"], "low": ["abc\n", "xyz\n"]}.items():
        files |= {f"oracle/cases/{group}/{number}.txt": text for number, text in enumerate(texts)}
    for number, name in enumerate(names):
        files[f"{name}/README"] = f"{name}\n"
        cases = ["low/*"] if number == 0 else []
        files[f"tasks/{name}.md"] = toy.task(name.upper(), name, cases=cases, priority=-number)
    files["tasks/y00.md"] = toy.task("Y00", "m00", needs=["M00"], priority=-99)
    return toy.repository(root, files)


def play(server: Server, root: Path) -> None:
    """Do a little of everything, and leave off in the middle of it."""
    one, two, three = (server.agent(name) for name in ("one", "two", "three"))
    connected = server.agent("connected", session=False)
    with wide.running(server):
        land_and_be_refused(one, two, root)
        with server.http() as http:
            assert http.post("/api/oracle/check").status_code < 300
    refused(connected.call("claim_task", task="M99"), "unknown_task")
    give_up(two, connected, root)
    for number in range(NOTES):
        connected.call("write_note", topic=f"topic {number % 3}", text=f"What was seen at place {number}.")
    fence = three.call("claim_task", task="R01")["fence"]
    assert three.call("submit_report", fence=fence, markdown="# All\n\nis well.")["status"] == "reported"
    ask_models(server, three)
    act_as_a_person(server, three)
    leave_off(server, root)


def land_and_be_refused(one: Agent, two: Agent, root: Path) -> None:
    fence = one.call("claim_task", task="M00")["fence"]
    commit = one.commit(one.clone(root / "one"), {"m00/filter": "FROM=a-z TO=A-Z\n"}, "Shout")
    refused(two.call("claim_task", task="M00"), "held")
    settled(one, "run_oracle", fence=fence)
    assert settled(one, "push", fence=fence, commit=commit, summary="Shout")["status"] == "landed"
    fence = two.call("claim_task", task="M01")["fence"]
    clone = two.clone(root / "two")
    commit = two.commit(clone, {"m01/filter": "FROM=A-Z TO=a-z\n"}, "Break it")
    refused(settled(two, "push", fence=fence, commit=commit, summary="Break it"), "regression")
    outside = two.commit(clone, {"m02/x": "1\n"}, "Stray")
    refused(settled(two, "push", fence=fence, commit=outside, summary="Stray"), "outside_module")


def give_up(two: Agent, connected: Agent, root: Path) -> None:
    fence = two.call("claim_task")["fence"]
    assert (
        two.call("release_task", fence=fence, outcome="abandoned", note="Too hard.")["status"] == "released"
    )
    fence = connected.call("claim_task", task="M02")["fence"]
    note = "Nobody knows the format; its author could say."
    assert connected.call("release_task", fence=fence, outcome="blocked", note=note)["status"] == "released"


def ask_models(server: Server, agent: Agent) -> None:
    assert server.world is not None
    who = Principal(agent.name, AGENT, agent.session)
    for number, outcome in enumerate(("ok", "ok", "error", "aborted")):
        request = ModelRequest(
            began_ms=server.world.now_ms(),
            agent=agent.name,
            session=agent.session,
            task=None,
            fence=None,
            account="anthropic",
            form="messages",
            model="claude-sonnet-4-5",
            status=None if outcome == "aborted" else 200 + 300 * (outcome == "error"),
            outcome=outcome,
            input=1_000 + number,
            cached_read=500,
            cached_write=100,
            output=200,
            reasoning=50,
            counted=outcome == "ok",
            partial=outcome == "aborted",
            cost_usd=0.01 if outcome == "ok" else None,
            tries=1,
            waited_ms=0,
            first_byte_ms=20,
            took_ms=100,
        )
        model_requests.record(server.world, who, request, None)


def act_as_a_person(server: Server, ended: Agent) -> None:
    with server.http() as http:
        task = {"title": "More", "module": "m03", "brief": "Do more."}
        assert http.post("/api/tasks", json=task).status_code < 300
        assert http.post("/api/tokens", json={"agent": "guest"}).status_code < 300
        listed = http.get("/api/tokens").json()["tokens"]
        [guest] = [token["id"] for token in listed if token["name"] == "guest"]
        assert http.delete(f"/api/tokens/{guest}").status_code < 300
        assert http.post(f"/api/sessions/{ended.session}/end", json={"outcome": "worked"}).status_code < 300
        assert http.put("/api/crew", json={"agents": [member("one"), member("two")]}).status_code < 300


def member(agent: str) -> dict:
    """Return what a harness says of an agent that it keeps."""
    return {
        "agent": agent,
        "kind": "command",
        "role": "worker",
        "state": "working",
        "reason": "",
        "since_ms": START_MS,
        "sessions": 1,
        "last": "",
        "said": "I look around.",
        "gave_up": False,
    }


def leave_off(server: Server, root: Path) -> None:
    """Leave one live lease, one submission in the gate, one run that a runner has and one that waits."""
    holder, pusher = server.agent("holder"), server.agent("pusher")
    assert holder.call("claim_task", task="M05")["status"] == "leased"
    holder.commit(holder.clone(root / "holder"), {"m05/half": "1\n"}, "Half of it")
    fence = pusher.call("claim_task", task="M06")["fence"]
    commit = pusher.commit(pusher.clone(root / "pusher"), {"m06/x": "1\n"}, "In the gate")
    assert pusher.call("push", fence=fence, commit=commit, summary="In the gate")["status"] == "testing"
    (root / "agents").mkdir()
    for agent in (holder, pusher):
        about = {"token": agent.token, "session": agent.session}
        (root / "agents" / f"{agent.name}.json").write_text(json.dumps(about))
    with server.http("runner") as http:
        assert http.post("/api/jobs/claim", json={"runner": "gone", "wait_s": 5}).status_code == 200
    with server.http() as http:
        assert http.post("/api/oracle/check").status_code < 300


def make(path: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch).resolve()
        (root / "hidden").mkdir()
        (root / "hidden/zoo.txt").write_text(HIDDEN)
        server = Server(project(root / "project"), root / "state", wide.WAIT_S, clock(START_MS))
        try:
            play(server, root)
        finally:
            server.stop()
        pack(root, path)


def hide_place(file: Path, root: Path) -> None:
    """Take `root` out of git's own diary of fetches, which nobody reads; nothing else may hold it."""
    content, place = file.read_bytes(), str(root).encode()
    if place in content:
        assert file.name == "FETCH_HEAD" or "logs" in file.parts, f"{file} names its place"
        file.write_bytes(content.replace(place, b""))


def pack(root: Path, path: Path) -> None:
    """Write `project/`, `hidden/` and `state/` of `root` as a tar; nobody's name and no time of this
    machine's.
    """

    def anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        if entry.name.endswith((".sample", ".sock")):
            return None
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        entry.mtime = START_MS // 1000
        return entry

    for part in PARTS:
        for file in filter(Path.is_file, (root / part).rglob("*")):
            hide_place(file, root)
    with tarfile.open(path, "w:gz", compresslevel=9) as tar:
        for name in PARTS:
            tar.add(root / name, name, filter=anonymous)


if __name__ == "__main__":
    make(Path(sys.argv[1]))
