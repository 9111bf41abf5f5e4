"""Session after session: the whole loop with real sandboxes."""

import dataclasses
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.agents.base import AgentEvent, Mark, ProjectFile, Seat
from harness.agents.kinds import KINDS
from harness.boxes import sandbox
from harness.boxes.containers import Engine
from harness.boxes.sandbox import RUN, sweep_run
from harness.client import ServerGone
from harness.sessions import preflight, project_files
from harness.sessions.agent_loop import Hired
from harness.sessions.site import Site
from harness.sessions.supervisor import Supervisor
from mcp_server.config import AgentSpec, RunSettings
from mcp_server.wire.sessions import Doing, SessionEnded, SessionGrant
from tests.waiting import BOUND_S, until

from .mini import MiniServer, git

# -- adapters
# --------------------------------------------------------------------------------------------------------


def test_a_scripted_agent_plays_its_again_book_after_its_first_session() -> None:
    scripted = KINDS["scripted"].adapter
    spec = AgentSpec("builder", "scripted", playbook="books/{agent}.toml", materials="mat/{agent}")
    first, second = (Seat("builder-2", spec, number) for number in (1, 2))
    assert scripted.wants(first) == (
        ProjectFile("books/builder-2.toml", "playbook.toml"),
        ProjectFile("mat/builder-2", "materials"),
    )
    assert ProjectFile("books/builder-2.again.toml", "again.toml", required=False) in scripted.wants(second)
    assert (
        scripted.launch(second, {"playbook.toml": "", "again.toml": ""}).argv[-1] == "/home/agent/again.toml"
    )
    assert scripted.launch(second, {"playbook.toml": ""}).argv[-1] == "/home/agent/playbook.toml"


def test_the_players_lines_become_events() -> None:
    parse = KINDS["scripted"].adapter.parse
    assert parse('{"t":1,"step":2,"verb":"call","status":"leased","detail":"claim_task"}') == AgentEvent(
        Mark.TOOL, "call leased claim_task"
    )
    assert parse('{"t":1,"step":2,"verb":"shell","status":"unexpected","detail":"x"}') == AgentEvent(
        Mark.ERROR, "shell unexpected x"
    )
    assert parse("Traceback") == AgentEvent(Mark.SAID, "Traceback")
    assert parse("[1]") == AgentEvent(Mark.SAID, "[1]")
    assert parse("  ") is None


def test_a_command_is_a_shells_line_or_a_list() -> None:
    command = KINDS["command"].adapter
    line, words = (
        AgentSpec("c", "command", command="a | b"),
        AgentSpec("c", "command", command=["a", "b"], env={"X": "1"}),
    )
    assert command.launch(Seat("c-1", line), {}).argv == ("/bin/sh", "-c", "a | b")
    launch = command.launch(Seat("c-1", words, prompt="Go on."), {})
    assert (launch.argv, launch.env) == (("a", "b"), {"X": "1", "HARNESS_PROMPT": "Go on."})
    assert (command.probe(line), command.probe(words)) == ("/bin/sh", "a")


def test_files_are_gathered_by_their_names_at_home(tmp_path: Path) -> None:
    (tmp_path / "mat/T1/src").mkdir(parents=True)
    (tmp_path / "mat/T1/src/a.py").write_text("a")
    (tmp_path / "book.toml").write_text("b")
    wants = (
        ProjectFile("book.toml", "playbook.toml"),
        ProjectFile("mat", "materials"),
        ProjectFile("none", "again.toml", required=False),
    )
    assert project_files.gather(tmp_path, wants) == {"playbook.toml": "b", "materials/T1/src/a.py": "a"}
    with pytest.raises(project_files.BadFiles, match="does not exist"):
        project_files.gather(tmp_path, (ProjectFile("none", "x"),))
    (tmp_path / "mat/T1/b.bin").write_bytes(b"\xff\xfe")
    with pytest.raises(project_files.BadFiles, match="not UTF-8"):
        project_files.gather(tmp_path, wants)


# -- the loop
# --------------------------------------------------------------------------------------------------------

Hire = Callable[..., Supervisor]


@pytest.fixture
def hire(engine: Engine, run: str, base_image: str, mini: MiniServer, tmp_path: Path) -> Iterator[Hire]:
    """A supervisor with one `command` agent (or the given ones); stopped and swept afterwards."""
    site = Site(
        engine,
        mini,
        run=f"{run}-{os.urandom(3).hex()}",
        state=tmp_path,
        root=tmp_path,
        repos=(("engine", "main"),),
        settings=RunSettings("t", session_minutes=1),
    )
    made: list[Supervisor] = []

    def go(
        *scripts: str, hired: list[Hired] | None = None, at: dict | None = None, **spec: object
    ) -> Supervisor:
        settings = {"kind": "command", "memory_mb": 256, "pids": 64, **spec}
        agents = [
            Hired(f"a-{n}", AgentSpec(name="a", command=script, **settings), base_image)
            for n, script in enumerate(scripts, 1)
        ]
        made.append(
            Supervisor(dataclasses.replace(site, **(at or {})), hired if hired is not None else agents)
        )
        return made[-1]

    yield go
    for supervisor in made:
        supervisor.stop(BOUND_S)
    assert engine.list({RUN: site.run}) == []
    assert engine.volumes({RUN: site.run}) == {}
    sweep_run(engine, site.run)


def ends(mini: MiniServer) -> list[tuple[str, str]]:
    return [(named, detail) for _, named, detail, _ in mini.ended]


def working(supervisor: Supervisor) -> bool:
    return all(state.state is Doing.WORKING for state in supervisor.states())


@pytest.mark.containers
def test_sessions_follow_each_other_until_no_task_is_left(
    hire: Hire, mini: MiniServer, tmp_path: Path
) -> None:
    mini.tasks = {"T1": "open"}
    supervisor = hire(
        "echo work $HARNESS_SESSION; echo $HARNESS_TOKEN; echo $HARNESS_SESSION >f; git add f; git commit -qm c"
    )
    supervisor.start()
    until(lambda: len(mini.ended) >= 2)
    mini.tasks["T1"] = "done"
    assert supervisor.join(BOUND_S)
    assert set(ends(mini)) == {("worked", "")}
    assert [(s.state, s.reason) for s in supervisor.states()] == [(Doing.STOPPED, "no task is left")]
    assert supervisor.states()[0].sessions == len(mini.ended)
    log = (tmp_path / "logs/a-1/S1.log").read_text()
    assert "work S1\n[token]\n" in log
    assert "token-S1" not in log
    assert (
        git("log", "-1", "--format=%s %an", str(mini.uploaded("a-1", "S1")), cwd=mini.repos["engine"])
        == "c a-1"
    )


@pytest.mark.containers
def test_three_failures_of_the_same_kind_stop_an_agent_with_the_reason(hire: Hire, mini: MiniServer) -> None:
    supervisor = hire("exit 7", at={"waits_s": (0.1, 0.2, 0.3)})
    supervisor.start()
    assert supervisor.join(BOUND_S)
    assert ends(mini) == [("crashed", "exit 7")] * 3
    assert supervisor.states()[0].reason == "3 sessions in a row ended the same way: crashed: exit 7"


@pytest.mark.containers
def test_a_killed_agents_work_is_salvaged_before_its_end_is_told_and_its_next_session_starts(
    hire: Hire, mini: MiniServer
) -> None:
    heads: list[str | None] = []
    told = mini.end_session

    def end_session(session: str, named: str, **more: object) -> SessionEnded:
        heads.append(mini.uploaded("a-1", session))
        return told(session, named, **more)

    mini.end_session = end_session  # type: ignore[method-assign]
    supervisor = hire("echo half >half; echo written; sleep 600")
    supervisor.start()
    until(lambda: working(supervisor))
    until(lambda: b"written" in log_of(mini, "a-1", "S1"))
    assert supervisor.kill("a-1")
    until(lambda: len(mini.ended) == 1)
    assert mini.ended[0] == ("S1", "crashed", "exit 137 (killed)", 137)
    assert "half" in git("ls-tree", "--name-only", str(heads[0]), cwd=mini.repos["engine"])
    until(lambda: supervisor.session("a-1") == "S2")


def log_of(mini: MiniServer, agent: str, session: str) -> bytes:
    path = mini.root / "logs" / agent / f"{session}.log"
    return path.read_bytes() if path.exists() else b""


@pytest.mark.containers
def test_a_session_ends_at_its_time_limit_with_its_work_saved(hire: Hire, mini: MiniServer) -> None:
    supervisor = hire("echo x >slow; sleep 600", session_minutes=12 / 60)
    supervisor.start()
    until(lambda: bool(mini.ended))
    assert ends(mini)[0] == ("timeout", "session time over")
    assert mini.uploaded("a-1", "S1") is not None


@pytest.mark.containers
def test_a_session_ends_at_its_disk_limit(hire: Hire, mini: MiniServer) -> None:
    supervisor = hire(
        "for i in 1 2 3 4 5; do head -c 9000000 /dev/zero >big$i; done; sleep 600",
        disk_mb=20,
        at={"disk_every_s": 0.5},
    )
    supervisor.start()
    until(lambda: bool(mini.ended))
    assert ends(mini)[0] == ("crashed", "disk limit reached")


@pytest.mark.containers
def test_a_disk_that_fills_fast_is_noticed_before_its_turn(hire: Hire, mini: MiniServer) -> None:
    supervisor = hire(
        "while :; do head -c 9000000 /dev/zero >>big$((i = i + 1)); sleep 0.1; done",
        disk_mb=100,
        at={"disk_every_s": 600.0},
    )
    supervisor.start()
    until(lambda: bool(mini.ended))
    assert ends(mini)[0] == ("crashed", "disk limit reached")


@pytest.mark.containers
def test_a_stop_saves_the_work_of_all_agents_and_leaves_no_box(
    hire: Hire, mini: MiniServer, engine: Engine
) -> None:
    supervisor = hire(*["echo mine >mine; echo written; sleep 600"] * 3)
    supervisor.start()
    until(
        lambda: (
            working(supervisor) and all(b"written" in log_of(mini, f"a-{n}", s) for n, s in agents_of(mini))
        ),
    )
    assert supervisor.stop(BOUND_S)
    assert sorted(ends(mini)) == [("stopped", "stop requested")] * 3
    for number, session in agents_of(mini):
        assert mini.uploaded(f"a-{number}", session) is not None
    assert {state.state for state in supervisor.states()} == {Doing.STOPPED}


def agents_of(mini: MiniServer) -> list[tuple[str, str]]:
    return [(made["agent"].removeprefix("a-"), session) for session, made in mini.sessions.items()]


@pytest.mark.containers
def test_a_stop_is_bounded_even_when_a_session_does_not_end(hire: Hire, mini: MiniServer) -> None:
    supervisor = hire("trap '' TERM; sleep 600")
    supervisor.start()
    until(lambda: working(supervisor))
    gate = threading.Event()

    def end_session(*_: object, **__: object) -> SessionEnded:
        gate.wait(BOUND_S)  # a server that accepts and does not answer
        return SessionEnded(task=None, salvage=None)

    mini.end_session = end_session  # type: ignore[method-assign]
    assert not supervisor.stop(6)  # and not only once the server answers
    assert not gate.is_set()
    gate.set()
    assert supervisor.join(BOUND_S)


@pytest.mark.containers
def test_a_server_that_is_away_for_a_moment_costs_no_session(hire: Hire, mini: MiniServer) -> None:
    away, ask = [True, True, True], mini.create_session

    def create_session(agent: str, kind: str, *, door: bool = True) -> SessionGrant:
        if away:
            away.pop()
            raise ServerGone("restarting")
        return ask(agent, kind, door=door)

    mini.create_session = create_session  # type: ignore[method-assign]
    supervisor = hire("git commit -q --allow-empty -m c; sleep 600")
    supervisor.start()
    until(lambda: working(supervisor))
    assert not away


@pytest.mark.containers
def test_preflight_stops_an_agent_before_its_first_session(
    hire: Hire, mini: MiniServer, base_image: str
) -> None:
    def hired(name: str, image: str = base_image, **spec: object) -> Hired:
        return Hired(name, AgentSpec(name=name, **{"kind": "command", **spec}), image)

    supervisor = hire(hired=[
        hired("image", "localhost/no/such:1", command="true"), hired("program", command=["claude", "-p"]),
        hired("book", kind="scripted", playbook="none/{agent}.toml"),
    ])  # fmt: skip
    supervisor.start()
    assert supervisor.join(BOUND_S)
    reasons = {state.agent: state.reason for state in supervisor.states()}
    assert "does not exist" in reasons["image"]
    assert reasons["program"] == f"preflight: claude: not found in the image {base_image}"
    assert reasons["book"].endswith("none/book.toml does not exist")
    assert mini.sessions == {}


@pytest.mark.containers
def test_a_vendors_cli_has_to_run_and_not_only_to_be_there(engine: Engine, run: str, base_image: str) -> None:
    claude, command = AgentSpec("x", "claude"), AgentSpec("x", "command", command="y")

    def found(program: str, spec: AgentSpec) -> str | None:
        return preflight.verdict(
            program, *sandbox.trial(engine, run, base_image, preflight.trial(program, spec))
        )

    assert found("git", claude) is None
    assert found("false", claude) == "false --version ends with status 1 ()"
    assert found("false", command) is None  # what a command makes of --version is its own
    assert found("claude", claude) == found("claude", command) == "claude: not found"


@pytest.mark.containers
def test_a_prompt_that_is_missing_stops_an_agent_before_its_first_session(
    hire: Hire, mini: MiniServer
) -> None:
    supervisor = hire("true", prompt="none.md")
    supervisor.start()
    assert supervisor.join(BOUND_S)
    state = supervisor.states()[0]
    assert (state.reason[-43:], state.sessions, state.gave_up) == (
        "none.md cannot be read: No such file or directory"[-43:],
        0,
        True,
    )
    assert mini.sessions == {}


@pytest.mark.containers
def test_an_agent_is_told_its_prompt_as_it_is_when_its_session_begins(
    hire: Hire, mini: MiniServer, tmp_path: Path
) -> None:
    (tmp_path / "own.md").write_text("Be quick.")
    supervisor = hire(
        'printf %s "$HARNESS_PROMPT" | tail -n 1; echo $HARNESS_SESSION >f; git add f; git commit -qm c',
        prompt="own.md",
    )
    supervisor.start()
    until(lambda: b"Be quick." in log_of(mini, "a-1", "S1"))
    (tmp_path / "own.md").write_text("Be slow.")
    until(lambda: any(b"Be slow." in log_of(mini, "a-1", session) for session in list(mini.sessions)))


@pytest.mark.containers
def test_a_scripted_agent_that_is_killed_goes_on_with_its_again_book(
    hire: Hire, mini: MiniServer, scripted_image: str, tmp_path: Path
) -> None:
    mini.tasks = {"T1": "open"}
    (tmp_path / "books").mkdir()
    (tmp_path / "mat/T1").mkdir(parents=True)
    (tmp_path / "mat/T1/a.txt").write_text("a")
    (tmp_path / "books/s.toml").write_text('[[step]]\nnote = "about-to-hang"\n[[step]]\nhang = true\n')
    (tmp_path / "books/s.again.toml").write_text("[[step]]\nwork = true\n")
    spec = AgentSpec("s", "scripted", playbook="books/{agent}.toml", materials="mat", memory_mb=512)
    supervisor = hire(hired=[Hired("s", spec, scripted_image)])
    supervisor.start()
    until(lambda: bool(mini.notes))
    supervisor.kill("s")
    assert supervisor.join(BOUND_S)
    assert mini.tasks == {"T1": "done"}
    assert [named for named, _ in ends(mini)] == ["crashed", "worked"]
    assert supervisor.states()[0].reason in ("its work is done (worked)", "no task is left")
