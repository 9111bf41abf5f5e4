"""`harness doctor` as a person runs it: what it says and how it exits."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.boxes.containers import Engine
from harness.commands.checkup import git_version
from harness.images.stock import Images, Order

TREE = Path(__file__).parents[2]
DOCTOR_S_MAX = 60
CONFIG = """
[run]
name = "doctored"
[repos.app]
path = "."
[modules.app]
repo = "app"
paths = ["app/**"]
[oracle.check]
kind = "command"
repo = "app"
command = "true"
[agents.helper]
kind = "command"
command = ["{program}"]
"""


def doctor(place: Path, **environ: str) -> tuple[int, dict[str, dict]]:
    argv = [
        sys.executable,
        "-m",
        "harness",
        "doctor",
        "--json",
        "--config",
        str(place / "harness.toml"),
        "--state",
        str(place / "state"),
    ]
    env = {**os.environ, **environ}
    done = subprocess.run(argv, cwd=TREE, env=env, capture_output=True, text=True, timeout=DOCTOR_S_MAX)
    return done.returncode, {check["name"]: check for check in json.loads(done.stdout)}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "app").mkdir()
    (tmp_path / "tasks").mkdir()
    subprocess.run(["git", "init", "--quiet", "--initial-branch=main", str(tmp_path)], check=True)
    who = ("-c", "user.name=T", "-c", "user.email=t@t.invalid")
    start = ["git", *who, "-C", str(tmp_path), "commit", "--quiet", "--allow-empty", "--message=start"]
    subprocess.run(start, check=True)
    return tmp_path


@pytest.mark.containers
def test_a_project_that_can_run_has_nothing_to_mend_and_nothing_was_made(project: Path, engine: Engine):
    (project / "harness.toml").write_text(CONFIG.format(program="git"))
    images = Images(engine)
    for kind in ("base", "oracle-command"):
        images.deliver(Order(kind))
    status, checks = doctor(project)
    assert status == 0, [check for check in checks.values() if not check["ok"]]
    assert {
        "git",
        "config",
        "engine",
        "storage",
        "image base",
        "image oracle-command",
        "agents.helper",
    } <= set(checks)
    assert not (project / "state").exists()


@pytest.mark.containers
def test_a_program_that_its_image_lacks_is_named(project: Path, engine: Engine):
    Images(engine).ensure("base")
    (project / "harness.toml").write_text(CONFIG.format(program="no-such-agent"))
    status, checks = doctor(project)
    assert status == 1
    assert "no-such-agent" in checks["agents.helper"]["detail"]


def test_every_problem_of_the_configuration_is_told_with_its_line(project: Path):
    bad = (
        CONFIG.format(program="git")
        .replace('name = "doctored"', "nmae = 1")
        .replace('kind = "command"\ncommand', 'kind = "comand"\ncommand')
    )
    (project / "harness.toml").write_text(bad)
    status, checks = doctor(project)
    assert status == 2
    assert (
        len([line for line in checks["config"]["detail"].splitlines() if line.startswith("harness.toml:")])
        >= 2
    )


def test_an_engine_that_does_not_answer_is_told_with_the_way_to_get_one(project: Path):
    (project / "harness.toml").write_text(CONFIG.format(program="git"))
    status, checks = doctor(project, DOCKER_HOST="unix:///nonexistent.sock")
    assert status == 1
    assert not checks["engine"]["ok"] and "make setup" in checks["engine"]["fix"]


@pytest.mark.parametrize(
    ("says", "ok"),
    [("git version 2.30.2", False), ("git version 2.38.0", True), ("git version 2.50.1 (Apple)", True)],
)
def test_git_must_be_able_to_merge_without_a_work_tree(tmp_path: Path, says: str, ok: bool):
    fake = tmp_path / "git"
    fake.write_text(f"#!/bin/sh\necho '{says}'\n")
    fake.chmod(0o755)
    assert git_version(str(fake)).ok is ok
    assert not git_version(None).ok
