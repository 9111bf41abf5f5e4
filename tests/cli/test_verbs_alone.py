"""The verbs without a run: usage, first steps, and what the past left."""

import json
import sqlite3
import tomllib
from pathlib import Path

from harness.run.server_process import SOURCES, ServerProcess
from harness.run.state import StateDirectory

from .conftest import Verb


def test_a_word_that_is_no_verb_is_a_usage_error(harness: Verb) -> None:
    assert harness("fly").returncode == 2
    assert harness("up", "--wings").returncode == 2


def test_help_needs_no_project(harness: Verb, tmp_path: Path) -> None:
    said = harness("--help", cwd=tmp_path)
    assert said.returncode == 0
    assert all(
        verb in said.stdout
        for verb in (
            "init",
            "doctor",
            "up",
            "down",
            "status",
            "logs",
            "tasks",
            "connect",
            "demo",
            "audit",
            "oracle",
        )
    )


def test_the_version_stands_in_one_place_and_needs_no_project(harness: Verb, tmp_path: Path) -> None:
    version = tomllib.loads((SOURCES / "pyproject.toml").read_text())["project"]["version"]
    assert harness("--version", cwd=tmp_path).stdout == f"harness {version}\n"
    rooms = [file for room in ("oracle", "mcp_server", "harness") for file in (SOURCES / room).rglob("*.py")]
    assert [file for file in rooms if f'"{version}"' in file.read_text()] == []


def test_outside_a_project_the_way_in_is_told(harness: Verb, tmp_path: Path) -> None:
    said = harness("status", cwd=tmp_path)
    assert (said.returncode, said.stdout) == (2, "")
    assert "harness init" in said.stderr


def test_before_the_first_run_there_is_nothing_to_show(harness: Verb) -> None:
    for verb in (("status",), ("connect", "alice"), ("audit", "verify"), ("logs", "worker-1")):
        said = harness(*verb)
        assert said.returncode == 1, verb
        assert len(said.stderr.splitlines()) == 1
    assert harness("down").returncode == 0


def test_up_tells_every_problem_of_the_configuration_and_starts_nothing(harness: Verb, project: Path) -> None:
    file = project / "harness.toml"
    file.write_text(
        file.read_text().replace('name = "toy"', "name = 5").replace("count = 2", 'count = "two"')
    )
    said = harness("up", "--plain")
    assert said.returncode == 2
    problems = [line for line in said.stderr.splitlines() if "harness.toml:" in line]
    assert len(problems) >= 2
    assert not (project / ".harness" / "state.db").exists()


def test_the_past_can_be_asked_when_no_run_is_up(harness: Verb, project: Path) -> None:
    # The first verb that is served without a run has a server of its own, and leaves none behind.
    (project / ".harness").mkdir()
    (project / ".harness" / "state.db").touch()
    said = harness("status", "--json")
    assert (said.returncode, json.loads(said.stdout)["up"]) == (0, False)
    assert harness("audit", "verify").returncode == 0
    assert not StateDirectory(project / ".harness").is_held()


def test_a_server_that_does_not_answer_is_an_infrastructure_failure(harness: Verb, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("x")
    said = harness("--server", "http://127.0.0.1:9", "--token-file", str(tmp_path / "token"), "status")
    assert said.returncode == 3
    assert len(said.stderr.splitlines()) == 1


def test_an_edited_log_fails_verification(
    harness: Verb, server: ServerProcess, state: StateDirectory
) -> None:
    with sqlite3.connect(state.database) as database:
        database.execute("UPDATE events SET body = CAST(replace(body, 'T01', 'T66') AS BLOB) WHERE seq = 2")
    said = harness("audit", "verify")
    assert said.returncode == 1
    assert "PROBLEM" in said.stdout


def test_logs_are_shown_of_the_newest_session(harness: Verb, state: StateDirectory) -> None:
    folder = state.logs / "worker-1"
    folder.mkdir(parents=True)
    for session in ("S1", "S2"):
        (folder / f"{session}.log").write_text(f"hello from {session}\n")
    assert harness("logs", "worker-1").stdout == "hello from S2\n"
    assert harness("logs", "worker-1", "--session", "S1").stdout == "hello from S1\n"
    assert "did you mean worker-1?" in harness("logs", "worker1").stderr


def test_a_log_is_shown_as_its_agents_kind_reads_it_and_raw_when_asked(
    harness: Verb, state: StateDirectory
) -> None:
    folder = state.logs / "scripted-1"
    folder.mkdir(parents=True)
    step = '{"t": 1, "step": 2, "verb": "call", "status": "leased", "detail": "claim_task"}'
    (folder / "S1.log").write_text(f"{step}\n! a warning\n")
    assert harness("logs", "scripted-1").stdout == "[tool] call leased claim_task\n! a warning\n"
    assert harness("logs", "scripted-1", "--raw").stdout == f"{step}\n! a warning\n"
