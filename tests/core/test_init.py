"""`harness init` on repositories of many kinds: what it writes is good at once, and it writes nothing else."""

import json
from pathlib import Path

import pytest

from harness.commands import init
from harness.commands.inspect_repo import inspect
from harness.failure import Exit, VerbFailed
from mcp_server import config as configs
from mcp_server.config import Config
from mcp_server.core import paths

KINDS = {
    "empty": {},
    "python_flat": {
        "minisql/__init__.py": "", "minisql/shell.py": "", "minisql/parser/__init__.py": "", "minisql/parser/lex.py": "",
        "minisql/storage/__init__.py": "", "tests/test_shell.py": "", "pyproject.toml": "[tool.pytest.ini_options]\n",
    },
    "python_src": {
        "src/app/__init__.py": "", "src/app/core/__init__.py": "", "src/app/web/__init__.py": "", "tests/test_a.py": "",
        "setup.py": "", "docs/conf.py": "",
    },
    "python_script": {"tool.py": "", "test_tool.py": ""},
    "rust_workspace": {
        "Cargo.toml": '[workspace]\nmembers = ["crates/*", "xtask"]\n', "crates/parser/src/lib.rs": "",
        "crates/parser/Cargo.toml": "", "crates/vm/src/lib.rs": "", "xtask/src/main.rs": "", "target/debug/x.rs": "",
    },
    "rust_crate": {"Cargo.toml": "[package]\n", "src/main.rs": "", "src/parser.rs": "", "src/vm/mod.rs": "", "src/io/mod.rs": ""},
    "go": {"go.mod": "module x", "main.go": "", "internal/store/a.go": "", "internal/api/b.go": "", "cmd/tool/main.go": ""},
    "node": {
        "package.json": json.dumps({"scripts": {"test": "node --test"}}), "src/index.js": "", "src/a/x.js": "", "src/b/y.js": "",
        "node_modules/left/pad.js": "",
    },
    "node_workspace": {
        "package.json": json.dumps({"workspaces": ["packages/*"], "scripts": {"test": "jest"}}),
        "packages/ui/index.ts": "", "packages/api/index.ts": "", "tsconfig.json": "{}",
    },
    "make": {"Makefile": "test:\n\t./run\n", "engine/a.c": "", "engine/a.h": "", "tools/b.c": ""},
    "odd names": {"Größe/a.py": "", "with space/b.py": "", "[id]/c.py": "", 'quo"te/d.py': "", "src/-x/e.py": ""},
}  # fmt: skip


@pytest.fixture
def repository(tmp_path: Path):
    def make(kind: str, head: str = "ref: refs/heads/trunk\n") -> Path:
        root = tmp_path / kind
        for name, text in {**KINDS[kind], ".git/HEAD": head}.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return root

    return make


def tree(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def modules(root: Path) -> dict[str, tuple[str, ...]]:
    return {part.name: part.paths for part in inspect(root).parts}


@pytest.mark.parametrize("kind", KINDS)
def test_what_init_writes_is_a_good_configuration(repository, kind):
    root = repository(kind)
    before = tree(root)
    written = init.write(root, force=False)
    config = configs.load(root / "harness.toml")
    assert isinstance(config, Config), [str(problem) for problem in config]
    assert configs.check_files(config) == []
    assert [repo.branch for repo in config.repos.values()] == ["trunk"]
    assert [task.id for task in config.tasks] == ["001"] and config.tasks[0].module in config.modules
    after = tree(root)
    assert (
        set(after) - set(before)
        == {"harness.toml", "tasks/001-first.md"}
        == {str(p.relative_to(root)) for p in written}
    )
    assert {name: after[name] for name in before} == before


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("empty", {"main": ("src/**",)}),
        (
            "python_flat",
            {"parser": ("minisql/parser/**",), "storage": ("minisql/storage/**",), "minisql": ("minisql/*",)},
        ),
        ("python_src", {"core": ("src/app/core/**",), "web": ("src/app/web/**",), "app": ("src/app/*",)}),
        ("python_script", {"main": ("*.py",)}),
        (
            "rust_workspace",
            {"parser": ("crates/parser/**",), "vm": ("crates/vm/**",), "xtask": ("xtask/**",)},
        ),
        ("rust_crate", {"io": ("src/io/**",), "vm": ("src/vm/**",), "src": ("src/*",)}),
        (
            "go",
            {
                "tool": ("cmd/tool/**",),
                "api": ("internal/api/**",),
                "store": ("internal/store/**",),
                "main": ("*.go",),
            },
        ),
        ("node", {"a": ("src/a/**",), "b": ("src/b/**",), "src": ("src/*",)}),
        ("node_workspace", {"api": ("packages/api/**",), "ui": ("packages/ui/**",)}),
        ("make", {"engine": ("engine/**",), "tools": ("tools/**",)}),
    ],
)
def test_the_parts_of_a_repository_become_modules(repository, kind, expected):
    assert modules(repository(kind)) == expected


@pytest.mark.parametrize(
    ("kind", "command", "results"),
    [
        ("python_flat", "python3 -m pytest", "/tmp/results.xml"),
        ("python_script", "python3 -m pytest", "/tmp/results.xml"),
        ("rust_crate", "cargo test --no-fail-fast", "cargo"),
        ("go", "go test -json ./...", "go"),
        ("node", "npm test", "tap"),
        ("node_workspace", "npm test --silent -- --json", "/tmp/results.json"),
        ("make", "make test", None),
        ("empty", "make test", None),
    ],
)
def test_the_test_command_becomes_the_oracle(repository, kind, command, results):
    root = repository(kind)
    init.write(root, force=False)
    suite = configs.load(root / "harness.toml").suites["tests"]
    assert suite.kind == "command" and suite.command.startswith(command) and suite.results == results


@pytest.mark.parametrize(
    ("kind", "canary"),
    [
        ("python_flat", "tests/test_{name}.py"),
        ("python_script", "test_{name}.py"),
        ("rust_crate", "tests/canary_{name}.rs"),
        ("rust_workspace", "crates/parser/tests/canary_{name}.rs"),
        ("go", "canary_{name}/canary_test.go"),
        ("make", None),
    ],
)
def test_the_tests_get_a_canary_where_their_tool_will_find_it(repository, kind, canary):
    root = repository(kind)
    init.write(root, force=False)
    assert configs.load(root / "harness.toml").suites["tests"].canary == canary


@pytest.mark.parametrize(
    ("script", "test", "results", "canary"),
    [
        ("jest --ci", "src/sum.test.ts", "/tmp/results.json", "src/canary_{name}.test.ts"),
        ("eslint . && vitest", "test/sum.spec.mjs", "/tmp/results.json", "test/canary_{name}.spec.mjs"),
        ("mocha", "test/sum.cjs", "/tmp/results.xml", "test/canary_{name}.cjs"),
        ("mocha", "src/sum.js", "/tmp/results.xml", "test/canary_{name}.js"),
        ("node --test", "src/sum.test.mjs", "tap", "src/canary_{name}.test.mjs"),
        ("node --test src/sum.test.mjs", "src/sum.test.mjs", "tap", None),
        ("jest && node lint.js", "sum.test.js", "/tmp/results.json", "canary_{name}.test.js"),
    ],
)
def test_the_runner_that_a_script_calls_is_made_to_report(tmp_path, script, test, results, canary):
    (tmp_path / ".git").mkdir()
    (tmp_path / test).parent.mkdir(exist_ok=True)
    (tmp_path / test).write_text("")
    (tmp_path / "package.json").write_text(json.dumps({"scripts": {"test": script}}))
    init.write(tmp_path, force=False)
    suite = configs.load(tmp_path / "harness.toml").suites["tests"]
    assert (suite.results, suite.canary) == (results, canary)
    imports = {"vitest": 'from "vitest"', "node --test": 'from "node:test"'}
    if canary:
        wanted = next((line for name, line in imports.items() if name in script), "it(")
        assert wanted in suite.canary_text


def test_what_steers_the_tests_and_the_tests_beside_the_code_are_protected(repository):
    root = repository("python_flat")
    init.write(root, force=False)
    protect = configs.load(root / "harness.toml").suites["tests"].protect
    for path in (
        "tests/test_shell.py",
        "conftest.py",
        "minisql/conftest.py",
        "pyproject.toml",
        "sitecustomize/__init__.py",
        "harness.toml",
    ):
        assert paths.covers(protect, path), path
    assert not paths.covers(protect, "minisql/shell.py")


def test_the_language_with_most_files_gives_the_command(repository):
    root = repository("rust_crate")
    (root / "test_x.py").write_text("")
    assert [command.language for command in inspect(root).tests] == ["Rust", "Python"]


@pytest.mark.parametrize("there", ["harness.toml", "tasks/001-first.md"])
def test_init_never_overwrites_unasked(repository, there):
    root = repository("go")
    (root / there).parent.mkdir(exist_ok=True)
    (root / there).write_text("mine")
    before = tree(root)
    with pytest.raises(VerbFailed, match=there) as failed:
        init.write(root, force=False)
    assert failed.value.exit == Exit.USAGE
    assert tree(root) == before
    init.write(root, force=True)
    assert (root / there).read_text() != "mine"


def test_init_wants_a_git_repository(tmp_path: Path):
    with pytest.raises(VerbFailed, match="git init"):
        init.write(tmp_path, force=False)
    assert tree(tmp_path) == {}


def test_a_branch_of_any_name_that_git_has_is_written_and_read(repository):
    root = repository("go", head="ref: refs/heads/fix/#12+\N{LATIN SMALL LETTER U WITH DIAERESIS}\n")
    init.write(root, force=False)
    config = configs.load(root / "harness.toml")
    assert isinstance(config, Config), [str(problem) for problem in config]
    assert [repo.branch for repo in config.repos.values()] == [
        "fix/#12+\N{LATIN SMALL LETTER U WITH DIAERESIS}"
    ]


def test_the_branch_of_a_linked_work_tree_is_found(repository, tmp_path: Path):
    main = repository("go")
    linked = tmp_path / "linked"
    linked.mkdir()
    (main / ".git/worktrees/linked").mkdir(parents=True)
    (main / ".git/worktrees/linked/HEAD").write_text("ref: refs/heads/side/branch\n")
    (linked / ".git").write_text(f"gitdir: {main}/.git/worktrees/linked\n")
    assert inspect(linked).branch == "side/branch"


def test_a_detached_head_gives_main(repository):
    assert inspect(repository("go", head="0123456789" * 4 + "\n")).branch == "main"


def test_a_link_out_of_the_repository_is_not_followed(repository, tmp_path: Path):
    root = repository("python_script")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/a.rs").write_text("")
    (root / "loop").symlink_to(root)
    (root / "out").symlink_to(tmp_path / "elsewhere")
    assert [language for language, _ in inspect(root).languages] == ["Python"]


def test_too_many_parts_are_taken_together(repository):
    root = repository("empty")
    for number in range(40):
        path = root / f"lib/part{number}/a.py"
        path.parent.mkdir(parents=True)
        path.write_text("")
    assert modules(root) == {"lib": ("lib/**",)}


@pytest.mark.parametrize(
    ("script", "command"),
    [
        ("node --test && tsc -p .", "node --test --test-reporter=tap && tsc -p ."),
        (
            "eslint . && jest --ci; echo done",
            "eslint . && jest --ci --json --outputFile=/tmp/results.json ; echo done",
        ),
        ("eslint . && node --test", "npm test --silent -- --test-reporter=tap"),
    ],
)
def test_options_reach_the_step_of_a_script_that_runs_the_tests(tmp_path: Path, script: str, command: str):
    (tmp_path / "package.json").write_text(json.dumps({"scripts": {"test": script}}))
    (tmp_path / "index.js").write_text("")
    assert inspect(tmp_path).tests[0].command == command
