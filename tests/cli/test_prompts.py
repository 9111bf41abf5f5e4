"""What agents are told: the packaged rules, what users add, and that every refusal there is has its sentence."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness.sessions import prompt
from harness.sessions.project_files import BadFiles
from mcp_server import config as configs
from mcp_server.config import AgentSpec, Config
from mcp_server.core.refusal import Code
from mcp_server.core.role import Role

from .conftest import SOURCES

WORDS_MAX = 900  # of the rules for one role: they are read in every session


def told(spec: AgentSpec, root: Path = Path(), project: str | None = None) -> str:
    return prompt.finished(root, project, spec, f"{spec.name}-1")


def test_every_refusal_there_is_has_its_sentence_and_no_other() -> None:
    named = set(
        re.findall(
            r"`([a-z_]+)`",
            " ".join(
                line.partition(": ")[0]
                for line in prompt.packaged("refusals").splitlines()
                if line.startswith("- ")
            ),
        )
    )
    assert named == {str(code) for code in Code}


@pytest.mark.parametrize("role", list(Role))
def test_every_role_has_a_text_of_its_own_within_the_rules_for_all(role: Role) -> None:
    text = told(AgentSpec("ada", "command", role=role))
    assert text.startswith("You are ada-1, one of several")
    assert f"# You are a {role}" in text
    assert sum(f"# You are a {other}" in text for other in Role) == 1
    assert "nobody will answer" in text
    assert len(text.split()) < WORDS_MAX


def test_the_workers_text_names_every_step_of_the_loop() -> None:
    steps = ("claim_task", "Commit often", "run_oracle", "git rev-parse HEAD", "push(", "release_task")
    text = told(AgentSpec("ada", "command"))
    assert sorted(steps, key=text.index) == list(steps)


def test_no_command_of_the_rules_is_one_that_a_cli_refuses() -> None:
    """Gemini's shell tool declines substitutions, whatever it is allowed to do."""
    for name in (*Role, "common", "refusals"):
        assert "$(" not in prompt.packaged(name)


def test_what_users_write_is_added_project_first_and_the_rules_stay(tmp_path: Path) -> None:
    (tmp_path / "house.md").write_text("Write tests first.")
    (tmp_path / "ada-1.md").write_text("Use tabs.")
    text = told(AgentSpec("ada", "command", prompt="{agent}.md"), tmp_path, "house.md")
    assert text.endswith("Write tests first.\n\nUse tabs.\n")
    assert "# Refusals" in text
    assert told(AgentSpec("ada", "command", prompt="Be brief. See README.md")).endswith(
        "Be brief. See README.md\n"
    )


def test_a_users_text_stands_alone_only_where_the_table_says_so(tmp_path: Path) -> None:
    spec = AgentSpec("ada", "command", prompt="You are {agent}.", prompt_only=True)
    assert told(spec, tmp_path, "More.") == "You are ada-1.\n"


def test_a_prompt_that_cannot_be_read_or_passed_on_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(BadFiles, match=r"none\.md cannot be read: No such file"):
        told(AgentSpec("ada", "command", prompt="none.md"), tmp_path)
    (tmp_path / "long.md").write_text("x" * prompt.BYTES_MAX)
    with pytest.raises(BadFiles, match="at most 64000 are possible"):
        told(AgentSpec("ada", "command", prompt="long.md"), tmp_path)


CONFIG = '[run]\nname = "x"\n[repos.r]\n[modules.m]\npaths = ["a/**"]\n[oracle.o]\nkind = "command"\ncommand = "true"\n'


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('role = "planer"', "agents.claude.role is 'planer' (did you mean 'planner'?)"),
        ('role = "planner"', "agents.claude: a planner has to be told its aim"),
        ("prompt_only = true", "agents.claude has prompt_only and no prompt"),
        (
            'prompt_only = "true"',
            "agents.claude.prompt_only must be true or false, not the string 'true' (write it without quotes: true)",
        ),
        ("tools_seconds = 0", "agents.claude.tools_seconds is 0"),
        ("idle_minutes = -1", "agents.claude.idle_minutes is -1"),
    ],
)
def test_a_table_that_makes_no_sense_is_refused_with_what_to_write(table: str, said: str) -> None:
    (problem,) = configs.parse(f"{CONFIG}[agents.claude]\n{table}\n", {})
    assert said in str(problem)


def test_a_prompt_file_that_is_not_there_is_found_before_a_start(tmp_path: Path) -> None:
    text = (
        CONFIG.replace('name = "x"', 'name = "x"\nprompt = "house.md"')
        + '[agents.claude]\nprompt = "Do it well."\n[agents.codex]\nprompt = "{agent}.md"\n'
    )
    (tmp_path / "harness.toml").write_text(text)
    config = configs.load(tmp_path / "harness.toml")
    assert isinstance(config, Config)
    assert [problem.message for problem in configs.check_files(config) if "prompt" in problem.message] == [
        "there is no prompt 'house.md'",
        "there is no prompt 'codex-1.md'",
    ]


def test_an_agents_table_is_found_by_its_name_however_many_there_are() -> None:
    config = configs.parse(f'{CONFIG}[agents.a]\nkind = "claude"\n[agents.a-1]\nkind = "codex"\n', {})
    assert isinstance(config, Config)
    assert [spec and spec.name for spec in map(config.spec_of, ("a-7", "a-1-2", "a-1", "a", "b-1"))] == [
        "a",
        "a-1",
        "a",
        None,
        None,
    ]


def test_the_prompts_are_installed_with_the_package(tmp_path: Path) -> None:
    pytest.importorskip("setuptools")
    for name in ("harness", "mcp_server", "oracle"):
        (tmp_path / name).symlink_to(SOURCES / name)
    (tmp_path / "pyproject.toml").write_text((SOURCES / "pyproject.toml").read_text())
    argv = [
        sys.executable,
        "-c",
        "import setuptools; setuptools.setup()",
        "-q",
        "build_py",
        "--build-lib",
        "built",
    ]
    built = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    assert {file.stem for file in (tmp_path / "built/harness/prompts").glob("*.md")} == {
        *Role,
        "common",
        "refusals",
    }
