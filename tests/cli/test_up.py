"""`harness up` for real: sandboxes, oracle boxes, landings; and every way out leaves nothing behind."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.boxes import sandbox
from harness.boxes.containers import BoxBroke, Engine
from harness.run.server_process import start_server
from harness.run.state import StateDirectory
from tests.waiting import BOUND_S, until

from .conftest import SOURCES, Verb, git

pytestmark = [pytest.mark.containers, pytest.mark.slow]

ORACLE = "python3 -c 'import pkg; assert pkg.OK'"
PLAYBOOK = "[[step]]\nwork = true\n"
AGENTS = """
[agents.player]
kind = "scripted"
count = 2
playbook = "playbook.toml"
materials = "materials"
memory_mb = 256
"""
SLEEPERS = """
[agents.sleeper]
kind = "command"
count = 1
command = ["sleep", "600"]
memory_mb = 128
"""
WRITERS = """
[agents.writer]
kind = "command"
command = "echo 1 >pkg/whole; git add -A; git commit -qm whole; echo 1 >pkg/half; echo written; sleep 600"
memory_mb = 128
"""
PLANNED = (
    AGENTS
    + """
[agents.planner]
kind = "command"
role = "planner"
prompt = "The package can add."
command = ["python3", "plan.py"]
memory_mb = 256

[agents.absent]
kind = "command"
command = ["no-such-program"]
memory_mb = 128
"""
)
PLAN = """
if not tool("list_tasks")["tasks"]:
    tool("create_task", title="Write add", module="pkg", brief="Write it.")
"""
INSIDE = Path(__file__).parents[1] / "crew" / "inside.py"


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    try:
        with Engine.connect() as connected:
            yield connected
    except BoxBroke as gone:
        pytest.skip(str(gone))


@pytest.fixture
def toy(project: Path) -> Callable[[str], Path]:
    """The project with agents that need no model, and an oracle that can fail."""

    def make(agents: str, oracle: str = ORACLE) -> Path:
        config = project / "harness.toml"
        kept = config.read_text().split("[agents.worker]")[0].replace("python3 -m unittest", oracle)
        config.write_text(kept + agents)
        (project / "pkg" / "__init__.py").write_text("OK = True\n")
        (project / "playbook.toml").write_text(PLAYBOOK)
        for task, name in (("T01", "add"), ("T02", "subtract")):
            folder = project / "materials" / task / "pkg"
            folder.mkdir(parents=True)
            (folder / f"{name}.py").write_text(f"def {name}(a, b): ...\n")
        (project / ".gitignore").write_text("materials/\n")
        git(project, "add", "--all")
        git(project, "commit", "--quiet", "--message=agents")
        return project

    return make


def left(engine: Engine, project: Path) -> list[str]:
    label = {sandbox.RUN: StateDirectory(project / ".harness").label}
    return [box.name for box in engine.list(label)] + list(engine.volumes(label))


def agents_in_boxes(engine: Engine, project: Path) -> int:
    labels = {sandbox.RUN: StateDirectory(project / ".harness").label, sandbox.KIND: "agent"}
    return len(engine.list(labels, running_only=True))


def up(project: Path, *words: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(SOURCES)}
    argv = [sys.executable, "-m", "harness", "up", "--plain", *words]
    return subprocess.Popen(
        argv, cwd=project, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def test_a_swarm_lands_every_task_and_ends(toy, engine: Engine, harness: Verb) -> None:
    project = toy(AGENTS)
    with up(project) as running:
        told, _ = running.communicate(timeout=BOUND_S)
    assert running.returncode == 0, told
    assert "LANDED T01" in told
    assert "LANDED T02" in told
    assert "no task is left" in told
    assert left(engine, project) == []
    status = json.loads(harness("status", "--json").stdout)
    assert (status["tasks"]["done"], status["landings"], status["up"]) == (2, 2, False)
    assert harness("audit", "verify").returncode == 0
    figures = json.loads(harness("report", "--json").stdout)
    assert (figures["coordination_commits"], figures["tasks_done"]) == (0, 2)
    assert figures["work_commits"] in (1, 2), "two changes that were tested together are one commit"
    assert figures["claim_ms_p50"] is not None


def test_a_planner_makes_the_tasks_and_an_agent_that_never_started_is_told_at_once(
    toy, engine: Engine, harness: Verb
) -> None:
    project = toy(PLANNED)
    (project / "plan.py").write_text(INSIDE.read_text() + PLAN)
    git(project, "rm", "--quiet", "-r", "tasks")
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--message=plan")
    with up(project) as running:
        told, _ = running.communicate(timeout=BOUND_S)
    assert running.returncode == 0, told
    assert "LANDED T01" in told
    absent = "absent-1 never started: preflight: no-such-program: not found in the image"
    assert absent in told  # in the summary
    assert "absent-1       never started: preflight" in told  # when it happened
    status = json.loads(harness("status", "--json").stdout)
    assert [warning[: len(absent)] for warning in status["warnings"]] == [absent]
    rows = {agent["agent"]: agent for agent in status["agents"]}
    assert (rows["absent-1"]["sessions"], rows["absent-1"]["state"], rows["absent-1"]["live"]) == (
        0,
        "stopped",
        False,
    )
    planner = rows["planner-1"]
    assert (planner["role"], planner["sessions"], planner["outcome"], planner["reason"]) == (
        "planner",
        2,
        "worked",
        "nothing is left to plan",
    )
    assert absent in harness("status").stdout


def test_an_oracle_that_cannot_fail_starts_no_agent(toy, engine: Engine) -> None:
    project = toy(SLEEPERS, oracle="true")
    with up(project) as running:
        told, _ = running.communicate(timeout=BOUND_S)
    assert running.returncode == 1
    assert "cannot fail: it did not catch" in told
    assert "session" not in told
    assert left(engine, project) == []


def test_an_interrupted_run_leaves_in_good_order(toy, engine: Engine) -> None:
    project = toy(SLEEPERS)
    state = StateDirectory(project / ".harness")
    with up(project) as running:
        until(lambda: (said := state.run()) is not None and said.running)
        until(lambda: agents_in_boxes(engine, project) == 1)
        running.send_signal(signal.SIGINT)
        told, _ = running.communicate(timeout=BOUND_S)
    assert running.returncode == 130, told
    assert "ended, stopped" in told, told
    assert left(engine, project) == []
    assert state.run() is None


def test_a_detached_run_is_seen_outlives_its_server_and_is_stopped(
    toy, engine: Engine, harness: Verb
) -> None:
    project = toy(SLEEPERS)
    try:
        started = harness("up", "--detach")
        assert started.returncode == 0, started.stderr
        assert json.loads(harness("status", "--json").stdout)["up"] is True
        second = harness("up", "--plain")
        assert second.returncode == 1
        assert "already uses" in second.stderr
        assert harness("connect", "alice").returncode == 0
        until(lambda: agents_in_boxes(engine, project) == 1)
        os.kill(
            json.loads(StateDirectory(project / ".harness").server_file.read_text())["pid"], signal.SIGKILL
        )
        until(lambda: harness("status").returncode == 0)  # it comes back, and no box is lost
        assert agents_in_boxes(engine, project) == 1
        assert "sleeper-1" in harness("logs", "sleeper-1").stderr
        judged = harness("oracle", "run")
        assert (judged.returncode, judged.stdout.splitlines()[0]) == (0, "unit: passed"), judged
    finally:
        stopped = harness("down")
    assert (stopped.returncode, left(engine, project)) == (0, [])
    assert "session" in (project / ".harness" / "logs" / "up.log").read_text()
    assert json.loads(harness("status", "--json").stdout)["up"] is False


def test_up_and_down_clear_what_a_killed_run_left_and_keep_its_agents_work(
    toy, engine: Engine, harness: Verb
) -> None:
    project = toy(WRITERS)
    state = StateDirectory(project / ".harness")
    with up(project) as running:
        until(lambda: any("written" in log.read_text() for log in state.session_logs("writer-1")))
        running.kill()
    try:
        again = harness("up", "--detach")
        assert again.returncode == 0, again.stderr
        told = state.up_log.read_text()
        assert "recovered from run" in told
        assert "ended 1 sessions that were cut off" in told
        kept = git(state.root / "repos/toy.git", "ls-tree", "-r", "--name-only", "refs/agents/writer-1/S1")
        assert {"pkg/whole", "pkg/half"} <= set(kept.splitlines()), (
            "what it had committed, and what it had not"
        )
        until(lambda: agents_in_boxes(engine, project) == 1)
        run = state.run()
        assert run is not None
        os.kill(run.pid, signal.SIGKILL)
    finally:
        cleared = harness("down")
    assert cleared.returncode == 0
    assert "cleared after run" in cleared.stdout
    assert "and its server" in cleared.stdout
    assert left(engine, project) == []


def test_a_server_that_others_keep_up_is_given_hands(
    toy, engine: Engine, harness: Verb, tmp_path: Path
) -> None:
    project = toy(AGENTS)
    state = StateDirectory(project / ".harness")
    state.prepare()
    server = start_server(project / "harness.toml", state.root)
    try:
        there = ("--server", server.url, "--token-file", str(state.root / "tokens" / "admin"))
        elsewhere = harness(*there, "up", "--state", str(tmp_path / "other"))
        assert elsewhere.returncode == 2
        assert "doors" in elsewhere.stderr
        done = harness(*there, "up", "--plain")
        assert done.returncode == 0, done.stderr + done.stdout
        assert "LANDED T01" in done.stdout
        assert json.loads(harness(*there, "status", "--json").stdout)["landings"] == 2
    finally:
        server.stop()
    assert left(engine, project) == []


def test_a_run_that_stays_takes_up_new_tasks(toy, engine: Engine, harness: Verb) -> None:
    project = toy(AGENTS)
    (project / "materials" / "T03" / "pkg").mkdir(parents=True)
    (project / "materials" / "T03" / "pkg" / "times.py").write_text("def times(a, b): ...\n")
    try:
        assert harness("up", "--detach", "--stay").returncode == 0
        until(lambda: json.loads(harness("status", "--json").stdout)["tasks"]["done"] == 2)
        assert harness("tasks", "add", "Write times", "--module", "pkg").stdout == "T03\n"
        until(lambda: json.loads(harness("status", "--json").stdout)["tasks"]["done"] == 3)
    finally:
        harness("down")
    assert left(engine, project) == []


def test_the_oracle_can_be_asked_when_no_run_is_up(toy, engine: Engine, harness: Verb) -> None:
    project = toy(SLEEPERS)
    (project / ".harness").mkdir()
    (project / ".harness" / "state.db").touch()
    checked = harness("oracle", "check")
    assert (checked.returncode, checked.stdout.splitlines()[0][:12]) == (0, "unit: passed"), checked
    assert left(engine, project) == []


def test_a_suite_can_be_checked_and_run_before_anything_was_up(toy, engine: Engine, harness: Verb) -> None:
    project = toy("")
    judged = harness("oracle", "run", "--commit", "main", "--json")
    assert json.loads(judged.stdout)["unit"]["status"] == "passed", judged
    checked = harness("oracle", "check")
    assert checked.returncode == 0 and "unit: passed" in checked.stdout, checked
    assert left(engine, project) == [] and not StateDirectory(project / ".harness").is_held()
    assert harness("status").returncode == 0
