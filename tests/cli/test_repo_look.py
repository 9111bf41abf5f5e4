"""What `harness doctor` sees of a repository of any make: why no run can start from it and what to do, and what
in it steers a run.
"""

import subprocess
from pathlib import Path

import pytest

from harness.commands import repo_look
from harness.commands.finding import Finding
from mcp_server import config as configs
from mcp_server.config import Config

WHO = ("-c", "user.name=T", "-c", "user.email=t@t.invalid", "-c", "protocol.file.allow=always")
CONFIG = """
[run]
name = "looked-at"
[repos.app]
path = "."
branch = "{branch}"
{more}
[modules.app]
paths = ["src/**", "package.json", "CLAUDE.md"]
[oracle.check]
kind = "command"
command = "sh src/ci.sh"
"""


def git(*words: str, cwd: Path) -> str:
    ended = subprocess.run(["git", *WHO, *words], cwd=cwd, check=True, capture_output=True, text=True)
    return ended.stdout.strip()


def made(root: Path, *options: str, files: dict[str, str] | None = None) -> Path:
    """A repository, with one commit of these files if there are any."""
    root.mkdir(parents=True)
    git("init", "-q", "--initial-branch=main", *options, cwd=root)
    for name, text in (files or {}).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    if files:
        commit(root)
    return root


def commit(root: Path) -> None:
    git("add", "--all", cwd=root)
    git("commit", "-qm", "more", cwd=root)


def config_of(root: Path, *, branch: str = "main", more: str = "") -> Config:
    parsed = configs.parse(CONFIG.format(branch=branch, more=more), {}, root=root)
    assert isinstance(parsed, Config), parsed
    return parsed


def looked(root: Path, **settings: str) -> list[Finding]:
    return list(repo_look.look(config_of(root, **settings)))


def problem(root: Path, **settings: str) -> Finding:
    [finding] = looked(root, **settings)
    assert not finding.ok and finding.name == "repos.app"
    return finding


def mended(root: Path, finding: Finding) -> None:
    """Doing what is said, to the letter, leaves nothing in the way."""
    subprocess.run(finding.fix.replace("git ", f"git {' '.join(WHO)} "), shell=True, check=True, cwd=root)
    assert looked(root)[0].ok, looked(root)[0]


def test_a_repository_from_which_a_run_can_start_is_told_with_its_branch_and_commit(tmp_path: Path):
    root = made(tmp_path / "r", files={"a": "1"})
    assert looked(root)[0] == Finding(
        "repos.app", True, f"main at {git('rev-parse', '--short', 'main', cwd=root)}"
    )


def test_without_a_commit_the_first_one_is_asked_for(tmp_path: Path):
    root = made(tmp_path / "r")
    (root / "a").write_text("1")
    finding = problem(root)
    assert finding.detail == "there is no commit yet on main"
    mended(root, finding)


def test_a_branch_that_is_not_there_is_told_with_those_that_are(tmp_path: Path):
    root = made(tmp_path / "r", files={"a": "1"})
    finding = problem(root, branch="trunk")
    assert finding.detail == "there is no branch 'trunk'; there are main"
    assert 'branch = "main"' in finding.fix


def test_a_detached_head_without_the_branch_is_told(tmp_path: Path):
    root = made(tmp_path / "r", files={"a": "1"})
    git("checkout", "-q", "--detach", cwd=root)
    git("branch", "-qD", "main", cwd=root)
    finding = problem(root)
    assert "HEAD is detached" in finding.detail
    mended(root, finding)


def test_a_detached_head_beside_the_branch_is_in_nobodys_way(tmp_path: Path):
    root = made(tmp_path / "r", files={"a": "1"})
    git("checkout", "-q", "--detach", cwd=root)
    assert looked(root)[0].ok


def test_a_shallow_clone_is_told_and_deepened(tmp_path: Path):
    origin = made(tmp_path / "origin", files={"a": "1"})
    (origin / "a").write_text("2")
    commit(origin)
    git("clone", "-q", "--depth=1", f"file://{origin}", "r", cwd=tmp_path)
    finding = problem(tmp_path / "r")
    assert "shallow" in finding.detail
    mended(tmp_path / "r", finding)


def test_a_partial_clone_is_told_and_completed(tmp_path: Path):
    origin = made(tmp_path / "origin", files={"a": "1", "old": "x"})
    git("config", "uploadpack.allowFilter", "true", cwd=origin)
    git("rm", "-q", "old", cwd=origin)
    commit(origin)
    git("clone", "-q", "--filter=blob:none", f"file://{origin}", "r", cwd=tmp_path)
    finding = problem(tmp_path / "r")
    assert "partial clone" in finding.detail
    mended(tmp_path / "r", finding)


def test_objects_named_by_sha256_are_told_with_the_way_over(tmp_path: Path):
    root = made(tmp_path / "r", "--object-format=sha256", files={"a": "1"})
    finding = problem(root)
    assert "SHA-256" in finding.detail and "fast-import" in finding.fix


def test_a_directory_in_no_repository_is_told(tmp_path: Path):
    assert "no git repository" in problem(tmp_path).detail


def test_the_submodules_whose_files_no_box_has_are_named(tmp_path: Path):
    part = made(tmp_path / "part", files={"a": "1"})
    root = made(tmp_path / "r", files={"a": "1"})
    git("submodule", "--quiet", "add", str(part), "vendor/part", cwd=root)
    commit(root)
    [finding, _] = looked(root)
    assert finding.ok and finding.detail.endswith(
        "; boxes are without the files of its submodules: vendor/part"
    )


FILES = {
    "src/ci.sh": "node src/check.js\n",
    "src/check.js": "",
    "src/app.js": "",
    "package.json": "{}",
    "CLAUDE.md": "",
}


def test_what_in_a_module_steers_a_run_is_listed_with_its_module_and_why(tmp_path: Path):
    [_, finding] = looked(made(tmp_path / "r", files=FILES))
    assert finding.name == "steering.app" and finding.ok
    assert finding.detail.splitlines() == [
        "in modules, and yet no agent may change it:",
        "       CLAUDE.md (module app; it tells agents what to do)",
        "       package.json (module app; it steers how tests are built and run)",
        "       src/check.js (module app; src/ci.sh runs it for a suite)",
        "       src/ci.sh (module app; a command of the suite check runs it)",
    ]


def test_what_is_released_is_told_apart(tmp_path: Path):
    [_, finding] = looked(made(tmp_path / "r", files=FILES), more='unprotected = ["package.json"]')
    first, second, third, *_ = finding.detail.splitlines()
    assert "`unprotected` releases it (package.json)" in first and second.startswith("       package.json")
    assert third.strip() == "in modules, and yet no agent may change it:"


def test_a_script_behind_a_link_that_leaves_the_repository_is_not_read(tmp_path: Path):
    root = made(tmp_path / "r", files={"src/app.js": ""})
    (tmp_path / "outside.sh").write_text("node src/app.js\n")
    (root / "src/ci.sh").symlink_to(tmp_path / "outside.sh")
    commit(root)
    [_, finding] = looked(root)
    assert "src/app.js" not in finding.detail


@pytest.mark.parametrize("name", ["a\nb", "ü", "a b"])
def test_names_of_any_kind_are_listed(tmp_path: Path, name: str):
    [_, finding] = looked(made(tmp_path / "r", files={f"src/{name}/conftest.py": ""}))
    assert "conftest.py" in finding.detail
