"""What harness.toml says of canaries and of what steers a test run, and what it must say."""

import pytest

from mcp_server import config as configs
from mcp_server.config import Config
from mcp_server.core import paths
from oracle.suites.command import steering

TOML = """
[run]
name = "app"
[repos.app]
path = "."
[modules.app]
paths = ["app/**"]
[oracle.unit]
kind = "command"
command = "{command}"
{more}
"""


def read(command: str = "python3 -m pytest -rA", more: str = "") -> Config | list:
    return configs.parse(TOML.format(command=command, more=more), {})


@pytest.mark.parametrize(
    "more",
    [
        "",
        'results = "tap"',
        'results = "pytest"\ncanary = "none"',
        'results = "o.xml"\ncanary = "tests/test_{name}.py"',
    ],
)
def test_a_command_suite_says_what_it_does_about_canaries(more):
    assert isinstance(read(more=more), Config)


@pytest.mark.parametrize(
    ("command", "results", "suggestion"),
    [
        ("python3 -m pytest -rA", "pytest", 'canary = "tests/test_{name}.py"'),
        ("python3 -m pytest --junitxml=o.xml", "o.xml", 'canary = "tests/test_{name}.py"'),
        ("cargo test --no-fail-fast", "cargo", 'canary = "tests/canary_{name}.rs"'),
        ("go test -v ./...", "go", 'canary = "canary_{name}/canary_test.go"'),
    ],
)
def test_where_tests_have_names_one_without_is_a_problem_with_what_to_write(command, results, suggestion):
    [problem] = read(command, f'results = "{results}"')
    assert (
        "no canary" in problem.message
        and suggestion in problem.suggestion
        and 'canary = "none"' in problem.suggestion
    )
    assert problem.line == TOML.splitlines().index("{more}") + 1


def test_a_canary_that_cannot_be_planted_is_told_at_its_line():
    [problem] = read(more='results = "pytest"\ncanary = "tests/test.py"')
    assert "needs {name}" in problem.message and problem.line == TOML.splitlines().index("{more}") + 2


def test_what_steers_a_test_run_is_protected_unless_the_file_says_what_is():
    protect = read().suites["unit"].protect
    assert protect == steering.PROTECTED
    steers = [
        "conftest.py",
        "a/b/conftest.py",
        "pytest.ini",
        "pyproject.toml",
        "a/sitecustomize.py",
        "sitecustomize/__init__.py",
        "x.pth",
        "x.dist-info/entry_points.txt",
    ]
    steers += [
        "Cargo.toml",
        ".cargo/config.toml",
        "crates/a/build.rs",
        "go.mod",
        "Makefile",
        ".env",
        "harness.toml",
        "tasks/1.md",
        "package.json",
    ]
    assert [path for path in steers if not paths.covers(protect, path)] == []
    assert [
        path
        for path in ("tests/test_a.py", "app/main.py", "src/lib.rs", "main.go", "README.md")
        if paths.covers(protect, path)
    ] == []
    assert read(more='protect = ["tests/**"]').suites["unit"].protect == ("tests/**",)
