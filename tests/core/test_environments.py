"""What an environment is made of: what a repository's files show of it, and what becomes of its table."""

import json
import runpy
from pathlib import Path

import pytest

from harness.commands.inspect_environment import Needs, needs
from harness.images import environments
from harness.images.environments import DockerBuild, Start
from harness.images.recipes import BadRecipe
from mcp_server.wire.environments import EnvironmentFile, EnvironmentOrder

TOOLS = Path(__file__).parents[2] / "images/environment/tools"
PYPROJECT = """
[project]
name = "app"
dependencies = ["tomli-w"]
[project.optional-dependencies]
test = ["pytest"]
docs = ["sphinx"]
[dependency-groups]
dev = ["ruff"]
"""
DEVCONTAINER = """
{
    // what we all use
    "image": "debian:12",
    "containerEnv": {"A": "1", "HOME2": "${localEnv:HOME}"},
    "onCreateCommand": ["make", "it's here"],
    "postCreateCommand": {"one": "npm ci", "two": ["echo", "x"]},
}
"""


def found(tmp_path: Path, language: str, files: dict[str, str]) -> Needs:
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return needs(tmp_path, [language])


@pytest.mark.parametrize(
    ("files", "setup", "locks"),
    [
        ({}, ["python3 -m venv /opt/venv", "/opt/venv/bin/python -m pip install pytest"], []),
        (
            {"requirements.txt": "a\n", "requirements-dev.txt": "pytest\n", "docs/requirements.txt": "x\n"},
            ["python-dependencies requirements-dev.txt requirements.txt"],
            ["requirements-dev.txt", "requirements.txt"],
        ),
        (
            {"pyproject.toml": PYPROJECT},
            ["python-dependencies --extra test --group dev pyproject.toml"],
            ["pyproject.toml"],
        ),
        (
            {"pyproject.toml": PYPROJECT, "uv.lock": 'name = "pytest"'},
            ["python-dependencies --extra test --group dev uv.lock"],
            ["pyproject.toml", "uv.lock"],
        ),
        (
            {"pyproject.toml": "[tool.poetry]\n", "poetry.lock": 'name = "pytest"'},
            ["python-dependencies poetry.lock"],
            ["pyproject.toml", "poetry.lock"],
        ),
        (
            {"pyproject.toml": '[tool.poetry.dependencies]\npytest = "*"\n'},
            ["python-dependencies pyproject.toml"],
            ["pyproject.toml"],
        ),
        (
            {
                "pyproject.toml": 'tool = 1\ndependency-groups = "x"\n[project]\noptional-dependencies = ["pytest"]\n'
            },
            ["python-dependencies pyproject.toml"],
            ["pyproject.toml"],
        ),
        (
            {"setup.cfg": "[options]\ninstall_requires =\n  a\n"},
            ["python-dependencies setup.cfg", "/opt/venv/bin/python -m pip install pytest"],
            ["setup.cfg"],
        ),
    ],
    ids=["nothing", "requirements", "pyproject", "uv", "poetry", "poetry unlocked", "odd", "setup.cfg"],
)
def test_what_python_needs_is_read_from_the_file_that_says_most(
    tmp_path: Path, files: dict[str, str], setup: list[str], locks: list[str]
):
    need = found(tmp_path, "Python", files)
    assert (list(need.setup), list(need.locks)) == (setup, locks)
    assert need.env == {"PATH": "/opt/venv/bin:$PATH", "PYTHONPATH": "/work/src"}


@pytest.mark.parametrize(
    ("files", "major"),
    [
        ({}, 22),
        ({".nvmrc": "v20.11.0\n"}, 20),
        ({".node-version": "18"}, 20),
        ({"package.json": json.dumps({"engines": {"node": ">=24"}})}, 24),
        ({"package.json": json.dumps({"engines": {"node": ">=6"}})}, 22),
        ({".nvmrc": "lts/*"}, 22),
    ],
)
def test_node_is_the_version_that_the_project_wants(tmp_path: Path, files: dict[str, str], major: int):
    given = {"package.json": json.dumps({"name": "x"}), **files}
    assert found(tmp_path, "JavaScript", given).setup == (f"node-dependencies --node {major}",)


def test_the_packages_of_a_node_workspace_are_locks_too(tmp_path: Path):
    files = {
        "package.json": json.dumps({"workspaces": ["packages/*"]}),
        "package-lock.json": "{}",
        "packages/ui/package.json": "{}",
        "node_modules/packages/x/package.json": "{}",
    }
    locks = found(tmp_path, "TypeScript", files).locks
    assert locks == ("package.json", "package-lock.json", "packages/ui/package.json")


def test_go_and_rust_get_a_compiler_that_is_new_enough(tmp_path: Path):
    old = found(tmp_path / "old", "Go", {"go.mod": "module x\n\ngo 1.18\n"})
    assert old.packages[0] == "golang-go" and old.setup == ()
    new = found(tmp_path / "new", "Go", {"go.mod": "module x\n\ngo 1.23.1\n", "go.sum": "x"})
    assert new.setup == ("go-toolchain 1.23", "go mod download")
    crate = found(tmp_path / "rust", "Rust", {"Cargo.toml": "[package]\n", "Cargo.lock": ""})
    assert "cargo-web" in crate.packages and crate.setup == ()
    lock = '[[package]]\nname = "a"\nsource = "registry+x"\n'
    assert found(tmp_path / "rust", "Rust", {"Cargo.lock": lock}).setup == ("cargo-dependencies",)


def test_several_ecosystems_make_one_environment(tmp_path: Path):
    (tmp_path / "package.json").write_text('{"name": "x"}')
    both = needs(tmp_path, ["Python", "JavaScript", "Make", "Python"])
    assert both.env["PATH"] == "/opt/venv/bin:/node_modules/.bin:$PATH"
    assert both.packages == ("python3", "python3-venv", "make")


def test_nothing_outside_of_the_repository_is_a_lock(tmp_path: Path):
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/package.json").write_text("{}")
    package = json.dumps({"workspaces": ["../secret", "/etc"]})
    assert found(tmp_path / "p", "JavaScript", {"package.json": package}).locks == ("package.json",)


# -- from the table to the image


def order(**changes: object) -> EnvironmentOrder:
    return EnvironmentOrder(**{"name": "default", **changes})


def file(path: str, text: str = "") -> EnvironmentFile:
    return EnvironmentFile(path=path, content=text.encode())


def test_an_order_comes_over_the_wire_as_it_was():
    sent = order(files=(EnvironmentFile(path="a", content=b"\x00\xff", executable=True),), env={"A": "b"})
    assert EnvironmentOrder.of_json(sent.render()) == sent


def test_variables_stand_in_the_dockerfile_where_its_line_is_and_can_end_nothing():
    text = environments.dockerfile_text("FROM x\n# ENV\nRUN y\n", {"PATH": "/a:$PATH", "B": 'q" \\'})
    assert text == 'FROM x\nENV B="q\\" \\\\"\nENV PATH="/a:$PATH"\nRUN y\n'


def test_everything_that_is_in_an_order_but_its_name_is_in_the_images_name():
    plain = environments.digest(order())
    assert environments.digest(order(name="other")) == plain
    changes = [
        {"packages": ("a",)},
        {"setup": ("b",)},
        {"env": {"c": "d"}},
        {"files": (file("e"),)},
        {"image": "f"},
    ]
    digests = {environments.digest(order(**change)) for change in changes}
    assert len(digests | {plain, environments.digest(order(), "base")}) == len(changes) + 2


def test_a_devcontainer_with_comments_says_image_variables_and_commands():
    start = environments.start_of(
        order(devcontainer=".devcontainer.json", files=(file(".devcontainer.json", DEVCONTAINER),))
    )
    assert start == Start("debian:12", None, ("'make' 'it'\\''s here'", "npm ci", "'echo' 'x'"), {"A": "1"})


def test_a_devcontainers_dockerfile_lies_where_it_says():
    text = json.dumps({"build": {"dockerfile": "../Dockerfile.dev", "args": {"V": "1"}, "target": "dev"}})
    files = (file(".devcontainer/devcontainer.json", text), file("Dockerfile.dev", "FROM x"))
    start = environments.start_of(order(devcontainer=".devcontainer/devcontainer.json", files=files))
    assert start.build == DockerBuild("Dockerfile.dev", {"V": "1"}, "dev")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "d.json is no JSON"),
        ("[]", "d.json holds no object"),
        ('{"image": "x", "containerEnv": {"A": "b\\nRUN c"}}', "'A' of a devcontainer.json"),
        ('{"image": "x", "remoteEnv": {"A B": "c"}}', "'A B' of a devcontainer.json"),
        ("{}", "names neither image nor build.dockerfile"),
        ('{"image": "x", "features": {"node": {}}}', "d.json has features, which is not supported"),
        ('{"dockerComposeFile": "c.yml"}', "name the image or the Dockerfile of its service"),
        ('{"build": {"dockerfile": "D"}}', "main has no file 'D'"),
    ],
)
def test_a_devcontainer_that_cannot_be_followed_is_refused_with_what_to_do(text: str, message: str):
    with pytest.raises(BadRecipe, match=message):
        environments.start_of(order(devcontainer="d.json", files=(file("d.json", text),)))


# -- what is installed, by the tool that runs in the image


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict:
    monkeypatch.chdir(tmp_path)
    return runpy.run_path(str(TOOLS / "python-dependencies"))


def test_a_line_that_names_the_project_itself_stands_for_its_dependencies(tool: dict):
    Path("pyproject.toml").write_text(PYPROJECT)
    file = Path("requirements-dev.txt")
    file.write_text(
        "-e .[test,nothing]\n.\n-r other.txt\npytest-cov  # more\n./vendor/x\n-e ./sub ; python_version > '3'\n"
    )
    asked = tool["arguments_of"](file, [], ["dev"])
    assert asked[:2] == ["-r", "requirements-dev.txt"]
    assert asked[2:] == ["-r", "pyproject.toml", "--extra", "test", "--group", "pyproject.toml:dev"]
    assert file.read_text() == "-r other.txt\npytest-cov  # more\n"


def test_dependencies_that_only_a_build_knows_are_left_out(tool: dict):
    file = Path("pyproject.toml")
    file.write_text('[project]\nname = "a"\ndynamic = ["dependencies"]\n[dependency-groups]\ndev = ["b"]\n')
    assert tool["arguments_of"](file, ["test"], ["dev"]) == ["--group", "pyproject.toml:dev"]


def test_the_projects_name_version_and_programs_are_what_its_files_say(tool: dict):
    Path("pyproject.toml").write_text(
        '[project]\nname = "a.b"\ndynamic = ["version"]\nscripts = {x = "a:main"}\n'
    )
    assert tool["identity"](Path("pyproject.toml")) == ("a.b", "0.0.0", {"console_scripts": {"x": "a:main"}})
    Path("setup.cfg").write_text(
        "[metadata]\nname = c\nversion = attr: c.VERSION\n[options.entry_points]\npytest11 =\n  d = e\n"
    )
    assert tool["identity"](Path("setup.cfg")) == ("c", "0.0.0", {"pytest11": {"d": "e"}})


@pytest.mark.parametrize(
    ("needed", "is_enough"),
    [
        (">=3.10", True),
        (">=99.0", False),
        ("<3.0", False),
        ("~=3.8", True),
        (">=3.8,<99.0", True),
        ("", True),
    ],
)
def test_another_python_is_asked_for_only_where_this_one_does_not_do(
    tool: dict, needed: str, is_enough: bool
):
    assert tool["satisfied"](needed) is is_enough
