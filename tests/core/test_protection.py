"""What no agent may change, whichever suite judges it: by name, however that is spelled, until a person releases
it.
"""

from pathlib import Path

import pytest

from mcp_server import config as configs
from mcp_server.config import Config, protecting
from mcp_server.core import named_files
from mcp_server.core.landing import boundary
from mcp_server.core.protection import Protection
from mcp_server.core.refusal import Code

CONFIG = """\
[run]
name = "x"
prompt = "docs/RULES.md"
[repos.app]
path = "."
{more}
[modules.app]
paths = ["**"]
[oracle.unit]
kind = "{kind}"
{suite}
[agents.one]
kind = "scripted"
playbook = "plays/{{agent}}.toml"
materials = "materials"
"""
COMMAND = 'command = "sh ci.sh"\nresults = "pytest"\ncanary = "tests/test_{name}.py"'
DIFFERENTIAL = (
    'cases = ["cases/*.txt"]\ncandidate = "sh engine.sh"\nreference = "python3 refs/answer.py"\n'
    'build = "sh build.sh"'
)
FILES = {
    "ci.sh": "node tools/check.js\n",
    "tools/check.js": "",
    "engine.sh": "",
    "build.sh": "",
    "refs/answer.py": "",
}


def loaded(more: str = "", kind: str = "command", suite: str = COMMAND) -> Config:
    parsed = configs.parse(CONFIG.format(more=more, kind=kind, suite=suite), {}, root=Path("/x"))
    assert isinstance(parsed, Config), parsed
    return parsed


def protection(config: Config) -> Protection:
    named = named_files.of(protecting.judging_commands(config, "app"), FILES.get)
    return protecting.of(config, "app", named)


@pytest.mark.parametrize(
    "path",
    [
        "harness.toml",
        "tasks/001.md",
        "docs/RULES.md",
        "plays/one-1.toml",
        "materials/deep/x",
        "ci.sh",
        "tools/check.js",
    ]
    + ["conftest.py", "a/b/conftest.py", "tox.ini", "tsconfig.json", "a/.npmrc", ".pnpmfile.cjs", "build.rs"]
    + [
        "vendor/modules.txt",
        "CMakeLists.txt",
        "meson.build",
        "justfile",
        "Taskfile.yml",
        ".envrc",
        "node_modules/x/i.js",
    ]
    + ["sitecustomize.py", "pytest/__init__.py", "random.py", "src/json/__init__.py", "tests/unittest.py"]
    + [
        "CLAUDE.md",
        "a/AGENTS.md",
        ".claude/settings.json",
        ".mcp.json",
        ".codex/config.toml",
        ".cursor/rules/x.mdc",
    ]
    + [
        ".github/copilot-instructions.md",
        ".github/workflows/ci.yml",
        ".gitlab-ci.yml",
        ".gitmodules",
        "a/.gitattributes",
    ]
    + ["HARNESS.TOML", "Conftest.PY", "claude.md", ".GitHub/Workflows/ci.yml", "ma\u212aefile", "JSON.py"],
)
def test_what_steers_is_protected_by_default_however_it_is_spelled(path: str):
    assert protection(loaded()).why(path)


@pytest.mark.parametrize(
    "path",
    [
        "src/app.py",
        "tests/test_a.py",
        "tests/unittest/test_a.py",
        "json/readme.md",
        "src/app/json.py",
        "README.md",
    ]
    + [
        "engine.sh",
        "docs/CLAUDE.md.txt",
        "harness.toml.md",
        "a/harness.toml",
        "html/index.html",
        "tools/other.js",
    ],
)
def test_what_steers_nothing_is_free(path: str):
    assert protection(loaded()).why(path) is None


def test_of_a_differential_suite_the_references_files_are_protected_and_the_candidates_are_the_agents():
    found = protection(loaded(kind="differential", suite=DIFFERENTIAL))
    assert found.why("refs/answer.py") == "a command of the suite unit runs it"
    free = ["engine.sh", "build.sh", "Makefile", "package.json", "conftest.py", "random.py"]
    assert [path for path in free if found.why(path)] == []
    assert found.why("harness.toml") and found.why("CLAUDE.md") and found.why(".github/workflows/x.yml")


def test_why_a_file_is_protected_is_told():
    found = protection(loaded())
    assert found.why("ci.sh") == "a command of the suite unit runs it"
    assert found.why("tools/check.js") == "ci.sh runs it for a suite"
    assert found.why("AGENTS.md") == "it tells agents what to do"


def test_a_person_releases_what_agents_may_change_and_the_suites_do_not_put_main_s_file_in_its_place():
    config = loaded('unprotected = ["package.json", "ci.sh"]')
    found = protection(config)
    assert found.why("package.json") is None and found.why("ci.sh") is None
    assert found.steers("package.json") and found.why("packages/a/package.json")
    assert "**/package.json" not in config.suites["unit"].protect
    assert "**/conftest.py" in config.suites["unit"].protect


def test_what_a_suite_protects_beyond_what_steers_is_not_released():
    own = f'{COMMAND}\nprotect = ["locked/**", "**/package.json"]'
    config = loaded('unprotected = ["**"]', suite=own)
    assert config.suites["unit"].protect == ("locked/**",)


def test_a_bad_glob_is_told_with_file_and_key():
    parsed = configs.parse(
        CONFIG.format(more='unprotected = ["/abs"]', kind="command", suite=COMMAND), {}, root=Path("/x")
    )
    assert isinstance(parsed, list)
    [problem] = parsed
    assert problem.line == 6 and "repos.app.unprotected" in problem.message


def test_a_repository_below_the_configuration_has_only_what_lies_in_it():
    config = loaded()
    config.repos["app"] = configs.Repo("app", "code")
    found = protection(config)
    assert found.why("harness.toml") is None and found.why("tasks/1.md") is None
    assert found.why("CLAUDE.md")


def test_a_change_of_what_steers_is_refused_by_name_reason_and_what_to_do():
    refused = boundary(["src/a.py", "CLAUDE.md"], ("**",), (), "app", steering=protection(loaded()))
    assert refused is not None and refused.code is Code.PROTECTED_PATH
    assert "CLAUDE.md (it tells agents what to do)" in refused.happened and "unprotected" in refused.holds


def test_a_suites_own_globs_hold_however_a_path_is_spelled():
    refused = boundary(["Tests/Test_A.py"], ("**",), ("tests/**",), "app")
    assert refused is not None and refused.code is Code.PROTECTED_PATH
