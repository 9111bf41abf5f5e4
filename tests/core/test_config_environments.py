"""[environments.NAME] in harness.toml: what is refused, and which suites and agents have which environment."""

import dataclasses

import pytest

from harness.run.plan import with_counts
from mcp_server import config as configs
from mcp_server.config import Config

GOOD = """\
[run]
name = "minisql"

[repos.engine]

[modules.parser]
paths = ["minisql/parser/**"]

[environments.default]
packages = ["python3-venv"]
locks = ["requirements*.txt"]
setup = ["python-dependencies requirements.txt"]
env = { PATH = "/opt/venv/bin:$PATH" }

[oracle.unit]
kind = "command"
command = "python3 -m pytest -rA"
results = "pytest"
canary = "tests/test_{name}.py"
protect = ["tests/**"]

[oracle.sql]
kind = "differential"
cases = "oracle/cases/**/*.sql"
candidate = "python3 -m minisql"
reference = "sqlite3 :memory:"

[agents.claude]

[agents.mine]
kind = "command"
command = "mine"
image = "mine:1"
"""


def config(text: str = GOOD) -> Config:
    found = configs.parse(text, {})
    assert isinstance(found, Config), found
    return found


def problems(text: str) -> list[str]:
    found = configs.parse(text, {})
    assert isinstance(found, list), "it was taken for good"
    return list(map(str, found))


def test_an_environment_that_nobody_has_to_name_is_that_of_tests_and_agents():
    read = config()
    assert read.environments["default"].repo == "engine"
    assert read.suites["unit"].environment == read.agents["claude"].environment == "default"
    assert read.suites["sql"].environment is None  # its candidate's box lacks whatever could answer for it
    assert read.agents["mine"].environment is None  # it has an image of its own
    assert with_counts(read, ["codex=1"]).agents["codex"].environment == "default"


def test_the_files_that_an_environment_is_made_of_are_mains_in_every_run_of_the_tests():
    assert config().suites["unit"].protect == ("tests/**", "requirements*.txt")


def test_one_of_several_is_the_default_by_its_name_and_none_means_none():
    two = GOOD.replace("[oracle.unit]", '[environments.web]\nsetup = ["true"]\n\n[oracle.unit]')
    assert config(two).suites["unit"].environment == "default"
    renamed = two.replace("environments.default", "environments.api")
    assert config(renamed).suites["unit"].environment is None
    named = two.replace('results = "pytest"', 'results = "pytest"\nenvironment = "web"')
    assert config(named).suites["unit"].environment == "web"
    without = GOOD.replace("[agents.claude]", '[agents.claude]\nenvironment = "none"')
    assert config(without).agents["claude"].environment is None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            'packages = ["python3-venv"]',
            'packages = ["a; rm"]',
            "'a; rm' is not the name of a Debian package",
        ),
        ("PATH =", '"A B" =', "'A B' cannot be a variable of one line"),
        ('"/opt/venv/bin:$PATH"', '"a\\nRUN b"', "'PATH' cannot be a variable of one line"),
        ("packages =", 'image = "a"\ndockerfile = "b"\npackages =', "has image and dockerfile"),
        (
            "packages =",
            'dockerfile = "../Dockerfile"\npackages =',
            "must be a path below the repository's top",
        ),
        ("packages =", 'package = ["x"]\npackages =', "unknown key environments.default.package"),
        ("environments.default", "environments.none", "'none' cannot be an environment"),
        ('results = "pytest"', 'results = "pytest"\nenvironment = "defualt"', "did you mean 'default'?"),
        ('image = "mine:1"', 'image = "mine:1"\nenvironment = "default"', "has an image and an environment"),
        ("[repos.engine]", '[repos.engine]\n[repos.other]\npath = "o"', "environments.default has no repo"),
    ],
)
def test_what_cannot_be_is_told_in_one_sentence(old: str, new: str, message: str):
    assert any(message in problem for problem in problems(GOOD.replace(old, new)))


def test_a_suite_cannot_have_the_environment_of_another_repository():
    text = GOOD.replace("[repos.engine]", '[repos.engine]\n\n[repos.other]\npath = "o"')
    text = text.replace("[environments.default]", '[environments.default]\nrepo = "other"')
    for table in ("modules.parser", "oracle.unit", "oracle.sql"):
        text = text.replace(f"[{table}]", f'[{table}]\nrepo = "engine"')
    assert config(text).suites["unit"].environment is None
    named = text.replace('results = "pytest"', 'results = "pytest"\nenvironment = "default"')
    assert any("there is no environment 'default' for it" in problem for problem in problems(named))


def test_a_suite_without_an_environment_has_the_key_that_it_always_had():
    suite = config().suites["sql"]
    assert "environment" not in suite.to_json()
    assert dataclasses.replace(suite, environment="default").key() != suite.key()
