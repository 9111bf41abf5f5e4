"""What agents are given lies in the project: no path and no link leads out of it, and a person is told where."""

from pathlib import Path

import pytest

from harness.agents.base import ProjectFile
from harness.sessions.project_files import BadFiles, gather
from mcp_server import config as configs
from mcp_server.config import Config

CONFIG = """[run]
name = "x"
{run}
[repos.app]
path = "."
[modules.app]
paths = ["src/**"]
[oracle.unit]
kind = "command"
command = "true"
[agents.one]
kind = "scripted"
{agent}
"""


def parsed(
    root: Path, run: str = "", agent: str = 'playbook = "plays/a.toml"'
) -> Config | list[configs.ConfigProblem]:
    return configs.parse(CONFIG.format(run=run, agent=agent), {}, root=root)


@pytest.mark.parametrize(
    ("run", "agent", "line", "key"),
    [
        ("", 'playbook = "../plays/a.toml"', 13, "agents.one.playbook"),
        ("", 'playbook = "p.toml"\nmaterials = "/etc"', 14, "agents.one.materials"),
        ("", 'playbook = "p.toml"\nmaterials = "a/../../b"', 14, "agents.one.materials"),
        ("", 'playbook = "p.toml"\nprompt = "../AIM.md"', 14, "agents.one.prompt"),
        ('prompt = "/root/RULES.md"', "", 3, "run.prompt"),
    ],
)
def test_a_path_that_leaves_the_project_is_told_with_its_line_and_key(
    run: str, agent: str, line: int, key: str
):
    found = parsed(Path("/x"), run, agent)
    assert isinstance(found, list)
    assert [(problem.line, key in problem.message) for problem in found] == [(line, True)]


def test_a_prompt_that_is_a_text_may_say_anything():
    assert isinstance(parsed(Path("/x"), 'prompt = "Never write to /etc or ../secrets"'), Config)


def test_a_link_out_of_the_project_is_told_with_its_key_and_is_not_given_to_agents(tmp_path: Path):
    root = tmp_path / "project"
    (root / "given").mkdir(parents=True)
    (tmp_path / "secret").write_text("secret")
    (root / "given/fine").write_text("fine")
    (root / "given/link").symlink_to("fine")
    config = parsed(root, agent='playbook = "given/fine"\nmaterials = "given"')
    assert isinstance(config, Config)
    (root / "harness.toml").write_text(
        CONFIG.format(run="", agent='playbook = "given/fine"\nmaterials = "given"')
    )
    wants = [ProjectFile("given", "given")]
    assert configs.check_files(config) == [] and set(gather(root, wants)) == {"given/fine", "given/link"}
    (root / "given/out").symlink_to(tmp_path / "secret")
    [problem] = configs.check_files(config)
    assert problem.line == 14 and "'given/out' is a link that leaves" in problem.message
    with pytest.raises(BadFiles, match="leads out of the project"):
        gather(root, wants)


def test_a_box_whose_places_hold_more_than_its_memory_is_told():
    found = parsed(Path("/x"), "oracle_work_mb = 4096")
    assert isinstance(found, list)
    [problem] = found
    assert "may fill 4672 MB" in problem.message and "run.oracle_memory_mb" in problem.message
    larger = parsed(Path("/x"), "oracle_work_mb = 4096\noracle_memory_mb = 8192")
    assert isinstance(larger, Config) and larger.run.oracle_work_mb == 4096
