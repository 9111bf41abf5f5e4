"""The state directory: one run at a time, and a run that vanished is seen to have vanished."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from harness.run.state import RunFile, StateBusy, StateDirectory


def test_the_directory_hides_itself_from_git_and_from_other_users(tmp_path: Path) -> None:
    state = StateDirectory(tmp_path / ".harness")
    state.prepare()
    assert (state.root / ".gitignore").read_text() == "*\n"
    assert state.root.stat().st_mode & 0o077 == 0


def test_a_second_run_is_told_who_has_the_directory(tmp_path: Path) -> None:
    state = StateDirectory(tmp_path)
    with state.hold() as hold:
        hold.announce(RunFile(pid=4711, started_ms=1))
        assert state.is_held()
        with pytest.raises(StateBusy, match="process 4711"), StateDirectory(tmp_path).hold():
            pass
    assert not state.is_held()


def test_a_run_that_said_goodbye_is_not_stale(tmp_path: Path) -> None:
    state = StateDirectory(tmp_path)
    with state.hold() as hold:
        hold.announce(RunFile(pid=1, started_ms=1))
        hold.goodbye()
    with state.hold() as again:
        assert again.stale is None


def test_a_run_that_was_killed_is_found_by_the_next(tmp_path: Path) -> None:
    dies = (
        "import os, sys, pathlib; from harness.run.state import StateDirectory, RunFile\n"
        "with StateDirectory(pathlib.Path(sys.argv[1])).hold() as hold:\n"
        "    hold.announce(RunFile(os.getpid(), 5)); os._exit(9)"
    )
    sources = Path(__file__).resolve().parents[2]
    subprocess.run([sys.executable, "-c", dies, str(tmp_path)], cwd=sources, check=False)
    with StateDirectory(tmp_path).hold() as hold:
        assert hold.stale is not None
        assert hold.stale.started_ms == 5


def test_running_is_said_once_the_agents_are_started(tmp_path: Path) -> None:
    state = StateDirectory(tmp_path)
    with state.hold() as hold:
        hold.announce(RunFile(pid=1, started_ms=2, url="http://x"))
        hold.say_running()
    assert state.run() == RunFile(1, 2, "http://x", running=True)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": "x"}'])
def test_a_torn_run_file_is_no_run(tmp_path: Path, text: str) -> None:
    state = StateDirectory(tmp_path)
    state.run_file.write_text(text)
    assert state.run() is None


def test_two_directories_have_two_labels(tmp_path: Path) -> None:
    assert StateDirectory(tmp_path / "a").label != StateDirectory(tmp_path / "b").label
    assert StateDirectory(tmp_path / "a").label == StateDirectory(tmp_path / "a").label


def test_session_logs_come_oldest_first(tmp_path: Path) -> None:
    state = StateDirectory(tmp_path)
    folder = state.logs / "claude-1"
    folder.mkdir(parents=True)
    for number in (2, 10, 1):
        (folder / f"S{number}.log").write_text(json.dumps(number))
    assert [log.stem for log in state.session_logs("claude-1")] == ["S2", "S10", "S1"]
    assert state.agents_with_logs() == ["claude-1"]
