"""The player in a real sandbox against real MCP tools of the names it will meet, over the door."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.boxes import sandbox
from harness.boxes.containers import Engine
from harness.boxes.sandbox import SandboxSession
from tests.waiting import until

from .mini import MiniServer, git

pytestmark = pytest.mark.containers

Play = Callable[..., tuple[int | None, list[dict]]]


@pytest.fixture
def play(session_of: Callable[..., SandboxSession], engine: Engine, scripted_image: str) -> Play:
    """Plays a playbook to its end: exit status and the player's lines."""

    def go(
        playbook: str, files: dict[str, str] | None = None, while_it_plays: Callable[[], None] = lambda: None
    ) -> tuple[int | None, list[dict]]:
        session = session_of(image=scripted_image, memory_mb=512)
        argv = ["python3", "/opt/harness/player.py", "/home/agent/playbook.toml"]
        box = sandbox.start(
            engine, session, argv=argv, env={}, files={"playbook.toml": playbook, **(files or {})}
        )
        while_it_plays()
        seen = list(box.follow_logs())
        print(
            *(line.decode() for stream, line in seen if stream == "stderr"), sep="\n"
        )  # shown when a test fails
        lines = [line for stream, line in seen if stream == "stdout" and line.startswith(b'{"t"')]
        return box.wait(60), [json.loads(line) for line in lines]

    return go


def statuses(lines: list[dict]) -> list[str]:
    return [f"{line['verb']} {line['status']}" for line in lines]


def test_every_verb_does_what_it_says(play: Play, mini: MiniServer) -> None:
    mini.tasks = {"T1": "open", "T2": "open"}
    playbook = """
        [[step]]
        call = "claim_task"
        args = {task = "T1"}
        expect = "leased"
        save = "lease"
        [[step]]
        call = "claim_task"
        args = {task = "T1"}
        expect = ["refused:held", "refused:overlap"]
        [[step]]
        apply = "T1"
        [[step]]
        commit = "T1"
        [[step]]
        commit = "again"
        [[step]]
        shell = "test $head = $(git rev-parse HEAD) && git ls-remote origin refs/agents/* | grep -q $head"
        [[step]]
        shell = "echo no >&2; exit 4"
        expect_exit = "nonzero"
        [[step]]
        call = "run_oracle"
        args = {fence = "$lease.fence", commit = "$head", cases = ["$lease.task.id"]}
        expect = "passed"
        [[step]]
        call = "push"
        args = {fence = "$lease.fence", commit = "$head", summary = "x"}
        expect = "landed"
        save = "landing"
        [[step]]
        say = "not said"
        if_status = {landing = "refused"}
        [[step]]
        note = "parser/quoting"
        text = "doubled"
        if_status = {landing = "landed", lease = ["leased", "refused:held"]}
        [[step]]
        await_note = "parser/quoting"
        [[step]]
        await_task = "T1"
        state = "done"
    """
    exit, lines = play(playbook, {"materials/T1/src/a.txt": "made\n"})
    assert (exit, statuses(lines)) == (0, [
        "call leased", "call refused:held", "apply applied", "commit committed", "commit nothing", "shell exit 0", "shell exit 4",
        "call passed", "call landed", "say skipped", "note written", "await_note there", "await_task done",
    ]), lines  # fmt: skip
    assert [line["step"] for line in lines] == list(range(1, 14))
    assert mini.calls.count("push") == 2  # testing, then landed
    head = mini.uploaded("ada", "S1") or mini.uploaded("ada", list(mini.sessions)[-1])
    assert git("show", f"{head}:src/a.txt", cwd=mini.repos["engine"]) == "made"


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ('call = "claim_task"\nargs = {task = "T9"}\nexpect = "leased"', "expected leased, got refused:held"),
        ('call = "claim_task"', "expected no refusal, got refused:no_task"),
        ('call = "no_such_tool"', "expected no refusal, got error"),
        ('shell = "exit 3"', "exit 3, expected 0"),
        ('apply = "T9"', "no materials T9"),
        ('await_note = "never"\ntimeout_s = 1', "no note on never after 1 s"),
        ('call = "push"\nargs = {fence = "$nothing.fence"}', "$nothing.fence stands for nothing"),
        ('sing = "la"', "no verb in ['sing']"),
        ('say = "x"\nloud = true', "unknown keys: loud"),
    ],
)
def test_a_surprise_is_told_and_ends_the_play_with_exit_1(
    play: Play, mini: MiniServer, step: str, said: str
) -> None:
    exit, lines = play(f'[[step]]\n{step}\n[[step]]\nsay = "never reached"\n')
    assert (exit, lines[-1]["status"], len(lines)) == (1, "unexpected", 1)
    assert said in lines[-1]["detail"]


def test_work_does_every_task_resumes_salvage_and_bears_refusals(
    play: Play, mini: MiniServer, tmp_path: Path
) -> None:
    mini.tasks = {"T1": "open", "T2": "open"}
    mini.refuse_pushes = ["conflict", "oracle_broken"]
    mini.salvage = salvaged(mini, tmp_path)
    exit, lines = play("[[step]]\nwork = true\n", {"materials/T1/a.txt": "a", "materials/T2/b.txt": "b"})
    assert (exit, set(mini.tasks.values())) == (0, {"done"}), lines
    assert lines[-1]["detail"] == "landed T1, T2"
    assert statuses(lines).count("work resumed") == 2
    assert [status for status in statuses(lines) if "refused" in status] == [
        "work refused:conflict",
        "work refused:oracle_broken",
    ]
    assert mini.calls.count("release_task done") == 2


def test_resume_merges_the_salvage_of_a_saved_claim(play: Play, mini: MiniServer, tmp_path: Path) -> None:
    claim = '[[step]]\ncall = "claim_task"\nsave = "own"\n[[step]]\nresume = "own"\n[[step]]\nshell = "cat salvaged.txt"\nexpect_exit = {}\n'
    mini.tasks = {"T1": "open", "T2": "open"}
    exit, lines = play(claim.format(1))
    assert (exit, statuses(lines)[1]) == (0, "resume nothing")
    mini.salvage = salvaged(mini, tmp_path)
    exit, lines = play(claim.format(0))
    assert (exit, statuses(lines)[1], lines[2]["detail"]) == (0, "resume resumed", "half")
    exit, lines = play('[[step]]\nresume = "none"\n')
    assert (exit, lines[0]["detail"]) == (1, "none was never saved")


def salvaged(mini: MiniServer, tmp_path: Path) -> dict:
    """Another agent's unfinished work on the server."""
    seed = tmp_path / "salvaged"
    git("clone", "--quiet", str(mini.repos["engine"]), str(seed))
    (seed / "salvaged.txt").write_text("half\n")
    git("add", "-A", cwd=seed)
    git("commit", "--quiet", "-m", "leftovers", cwd=seed)
    git("push", "--quiet", "origin", "HEAD:refs/agents/bob/S0", cwd=seed)
    return {"ref": "refs/agents/bob/S0", "commit": git("rev-parse", "HEAD", cwd=seed), "agent": "bob"}


def test_work_gives_back_a_task_it_cannot_do(play: Play, mini: MiniServer) -> None:
    mini.tasks = {"T7": "open"}
    exit, lines = play("[[step]]\nwork = true\n")
    assert (exit, "no materials for T7" in lines[-1]["detail"]) == (1, True)
    assert mini.calls[-1] == "release_task blocked"


def test_work_gives_a_lost_lease_up_and_claims_again(play: Play, mini: MiniServer) -> None:
    mini.tasks = {"T1": "open", "T2": "open"}
    mini.refuse_pushes = ["stale_fence"]
    mini.salvage = None
    exit, lines = play(
        "[[step]]\nwork = true\n", {"materials/T1/a": "a", "materials/T2/b": "b"}, lambda: reopen(mini)
    )
    assert (exit, set(mini.tasks.values())) == (0, {"done"}), lines


def reopen(mini: MiniServer) -> None:
    """Frees T1 again once its push was refused, as the end of a lease does."""
    until(lambda: not mini.refuse_pushes)
    mini.tasks["T1"] = "open"


def test_a_server_that_restarts_does_not_end_the_play(play: Play, mini: MiniServer) -> None:
    playbook = '[[step]]\nnote = "before"\n[[step]]\nawait_note = "after"\ntimeout_s = 60\n'

    def restart() -> None:
        until(lambda: mini.notes)
        with mini.outage():
            time.sleep(1.5)
        mini.notes.append(("after", "the restart"))

    exit, lines = play(playbook, while_it_plays=restart)
    assert (exit, statuses(lines)) == (0, ["note written", "await_note there"]), lines
