"""Owns what a repository shows by its files alone: languages, parts that can be worked on apart, and how it
is tested.

Rule: it runs nothing, asks no git and follows no link; a guess that is wrong costs the person one edited
line.
"""

import os
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from harness.commands import manifests
from harness.commands.inspect_environment import Needs, needs
from mcp_server.core import paths
from oracle.suites.command.readers import jest

FILES_MAX = 50_000  # enough to know a repository by; a monorepo of millions should not make `init` hang
MODULES_MAX = 24  # more parts than this help nobody to start with
LANGUAGES = {
    ".py": "Python",
    ".rs": "Rust",
    ".go": "Go",
    ".ts": "TypeScript",
    ".tsx": "TypeScript",
    ".js": "JavaScript",
    ".jsx": "JavaScript",
    ".mjs": "JavaScript",
    ".c": "C",
    ".h": "C",
    ".cc": "C++",
    ".cpp": "C++",
    ".hpp": "C++",
    ".java": "Java",
    ".kt": "Kotlin",
    ".rb": "Ruby",
    ".php": "PHP",
    ".cs": "C#",
    ".swift": "Swift",
    ".ex": "Elixir",
    ".hs": "Haskell",
    ".ml": "OCaml",
    ".zig": "Zig",
    ".scala": "Scala",
    ".lua": "Lua",
}
GENERATED = {"node_modules", "target", "venv", "dist", "build", "vendor", "__pycache__", "third_party"}
NOT_PARTS = {
    "tests",
    "test",
    "spec",
    "docs",
    "doc",
    "examples",
    "benchmarks",
    "benches",
    "fixtures",
    "testdata",
}
TEST_DIRECTORIES = ("tests", "test", "spec")
CONTAINERS = {"src", "lib", "crates", "packages", "internal", "pkg", "cmd", "apps", "app", "services"}
SET_UP_FILES = {"setup.py", "conftest.py", "noxfile.py", "build.rs"}  # code, and yet no part of the product


@dataclass(frozen=True)
class Part:
    """A proposed module."""

    name: str
    paths: tuple[str, ...]


@dataclass(frozen=True)
class TestCommand:
    """`results` and `canary` as a suite wants them; `packages` are the Debian packages that bring the
    tool.
    """

    __test__ = False  # no test class, whatever pytest makes of the name

    language: str
    command: str
    results: str | None
    packages: tuple[str, ...]
    canary: str | None = None
    canary_text: str | None = None


@dataclass(frozen=True)
class Inspection:
    name: str
    branch: str
    languages: tuple[tuple[str, int], ...]  # with their numbers of files, most first
    parts: tuple[Part, ...]
    tests: tuple[TestCommand, ...]  # best guess first
    test_directories: tuple[str, ...]
    needs: Needs = Needs()


def inspect(root: Path) -> Inspection:
    """Return what the files below `root` show."""
    files = tuple(_files(root))
    languages = Counter(LANGUAGES[f.suffix] for f in files if f.suffix in LANGUAGES)
    ranked = tuple(sorted(languages.items(), key=lambda item: (-item[1], item[0])))
    tests = tuple(_test_commands(root, files, [language for language, _ in ranked]))
    return Inspection(
        name=root.resolve().name or "project",
        branch=_branch(root),
        languages=ranked,
        parts=_parts(root, files),
        tests=tests,
        test_directories=tuple(name for name in TEST_DIRECTORIES if _has_directory(files, name)),
        needs=needs(root, [command.language for command in tests]),
    )


def _has_directory(files: Iterable[PurePosixPath], name: str) -> bool:
    return any(file.parts[0] == name and len(file.parts) > 1 for file in files)


def _files(root: Path) -> Iterable[PurePosixPath]:
    count = 0
    for directory, names, files in os.walk(root):
        names[:] = sorted(name for name in names if not name.startswith(".") and name not in GENERATED)
        for name in sorted(files):
            path = Path(directory, name)
            if not path.is_symlink():
                yield PurePosixPath(path.relative_to(root).as_posix())
                count += 1
            if count >= FILES_MAX:
                return


def _branch(root: Path) -> str:
    """Return the branch that is checked out, read from HEAD; `main` where there is none to read."""
    head = root / ".git" / "HEAD"
    link = manifests.text(root / ".git")  # a file in a linked work tree, which says where the directory is
    if link.startswith("gitdir:"):
        head = root / link.removeprefix("gitdir:").strip() / "HEAD"
    found = re.fullmatch(r"ref: refs/heads/([^\n]+)\n*", manifests.text(head))
    return found[1] if found else "main"


# Parts: directories that hold code, each opened up further while it is a mere container or the only one.


def _parts(root: Path, files: tuple[PurePosixPath, ...]) -> tuple[Part, ...]:
    code = [f for f in files if f.suffix in LANGUAGES and f.name not in SET_UP_FILES]
    members = [member for member in _workspace_members(root) if any(_is_below(f, member) for f in code)]
    outside = [f for f in code if not any(_is_below(f, member) for member in members)]
    globs = [*(f"{_literal(member)}/**" for member in members), *_split(outside, PurePosixPath("."))]
    while len(globs) == 1 and globs[0].endswith("/**"):
        opened = _split(code, PurePosixPath(globs[0].removesuffix("/**")))
        if not opened or (len(opened) == 1 and opened[0].endswith("/*")):
            break  # nothing but files in it: the whole directory is the better module
        globs = opened
    if len(globs) > MODULES_MAX:
        globs = sorted({f"{glob.split('/')[0]}/**" for glob in globs if "/" in glob})[:MODULES_MAX]
    return _named(globs)


def _split(code: Iterable[PurePosixPath], directory: PurePosixPath) -> list[str]:
    """Return globs for what lies in a directory: one per subdirectory with code, and one for its own
    files.
    """
    below = [f.relative_to(directory) for f in code if _is_below(f, directory)]
    prefix = "" if directory == PurePosixPath(".") else f"{directory}/"
    globs: list[str] = []
    for name in sorted({f.parts[0] for f in below if len(f.parts) > 1} - NOT_PARTS):
        globs += _split(code, directory / name) if name in CONTAINERS else [f"{prefix}{_literal(name)}/**"]
    own = [f for f in below if len(f.parts) == 1]
    if own:
        globs += [f"{prefix}*"] if prefix else sorted({f"*{f.suffix}" for f in own})
    return [glob for glob in globs if paths.validate(glob) is None]


def _literal(name: str) -> str:
    """Return a directory's name as a glob has it: `?` for what a glob cannot hold as itself."""
    return re.sub(r"[*\[\]{}\\]", "?", name)


def _is_below(path: PurePosixPath, directory: PurePosixPath | str) -> bool:
    return path.is_relative_to(directory)


def _workspace_members(root: Path) -> list[str]:
    """Return the member directories that a Cargo or Node workspace declares."""
    patterns = [*_cargo_members(root), *_node_members(root)]
    inside = [pattern for pattern in patterns if _is_inside(pattern)]
    members = [member for pattern in inside for member in sorted(root.glob(pattern))]
    directories = (path.relative_to(root).as_posix() for path in members if path.is_dir())
    return list(dict.fromkeys(directory for directory in directories if directory != "."))


def _is_inside(pattern: str) -> bool:
    return bool(pattern) and not pattern.startswith(("/", "!")) and ".." not in pattern.split("/")


def _cargo_members(root: Path) -> list[str]:
    workspace = manifests.toml(root / "Cargo.toml").get("workspace", {})
    return manifests.strings(workspace.get("members") if isinstance(workspace, dict) else None)


def _node_members(root: Path) -> list[str]:
    declared = manifests.json_object(root / "package.json").get("workspaces")
    return manifests.strings(declared.get("packages") if isinstance(declared, dict) else declared)


def _named(globs: list[str]) -> tuple[Part, ...]:
    """Return a part for each glob, named after the last directory in it; longer names where two would be the
    same.
    """
    parts: dict[str, Part] = {}
    for glob in globs:
        words = [as_name(word) for word in glob.split("/") if "*" not in word]
        candidates = ["-".join(words[-n:]) for n in range(1, len(words) + 1)] or ["main"]
        candidates += [f"part-{n}" for n in range(1, len(globs) + 2)]
        name = next(name for name in candidates if name and name not in parts)
        parts[name] = Part(name, (glob,))
    return tuple(parts.values()) or (Part("main", ("src/**",)),)


def as_name(text: str) -> str:
    """Return the text as a name in a configuration, or an empty string."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-_")[:40]


# Test commands: what each ecosystem's own files say, the language with the most files first.


def _test_commands(root: Path, files: tuple[PurePosixPath, ...], languages: list[str]) -> list[TestCommand]:
    top = {f.name for f in files if len(f.parts) == 1}
    commands = [*_pytest(root, files, top), *_cargo(root, top), *_go(top), *_npm(root, files), *_make(root)]
    order = {language: place for place, language in enumerate(languages)}
    return sorted(commands, key=lambda command: order.get(command.language, len(order)))


def _pytest(root: Path, files: tuple[PurePosixPath, ...], top: set[str]) -> list[TestCommand]:
    settings = [manifests.text(root / name) for name in ("pyproject.toml", "setup.cfg", "tox.ini")]
    is_named = "pytest.ini" in top or any("pytest" in text for text in settings)
    tests = [file for file in files if PYTHON_TEST.fullmatch(file.name)]
    if not (is_named or tests):
        return []
    directories = [file.parts[0] for file in tests if len(file.parts) > 1]
    beside = next((name for name in directories if name in TEST_DIRECTORIES), "")
    canary = str(PurePosixPath(beside, "test_{name}.py"))
    return [TestCommand("Python", PYTEST, RESULTS_FILE, ("python3-pytest",), canary)]


PYTHON_TEST = re.compile(r"test_.*\.py|.*_test\.py")
RESULTS_FILE = "/tmp/results.xml"
# After a file that cannot be imported the others, canaries among them, still run.
# The family xunit1 names the file of each test, and -rX those that pass though they are marked to fail.
PYTEST = (
    "python3 -m pytest -q -rX -p no:cacheprovider --continue-on-collection-errors -o junit_family=xunit1"
    f" --junitxml={RESULTS_FILE}"
)


def _cargo(root: Path, top: set[str]) -> list[TestCommand]:
    # Without --no-fail-fast cargo stops at the first program with a failing test, and one of the canaries
    # always fails.
    if "Cargo.toml" not in top:
        return []
    if "package" in manifests.toml(root / "Cargo.toml"):
        place = ""
    else:
        place = next((f"{_literal(member)}/" for member in _workspace_members(root)), "")
    canary = f"{place}tests/canary_{{name}}.rs"
    return [TestCommand("Rust", "cargo test --no-fail-fast", "cargo", ("cargo",), canary)]


def _go(top: set[str]) -> list[TestCommand]:
    if "go.mod" not in top:
        return []
    return [TestCommand("Go", "go test -json ./...", "go", ("golang-go",), "canary_{name}/canary_test.go")]


@dataclass(frozen=True)
class _NodeRunner:
    """A test runner of JavaScript: how a script calls it, what makes it report, and where its tests lie."""

    called_as: re.Pattern[str]
    options: str
    results: str
    tests: re.Pattern[str]
    canary: str | None
    """Where a canary is likely to be found if no test is to be seen."""
    imports: str = ""


JSON_FILE = "/tmp/results.json"
SUFFIX = r"\.[cm]?[jt]sx?"
NODE_RUNNERS = (
    _NodeRunner(
        re.compile(r"\bnode\b.*--test\b"),
        "--test-reporter=tap",
        "tap",
        re.compile(rf".*[.-]test{SUFFIX}"),
        None,
        'import { it } from "node:test";\n\n',
    ),
    _NodeRunner(
        re.compile(r"\bjest\b"),
        f"--json --outputFile={JSON_FILE}",
        JSON_FILE,
        re.compile(rf".*\.(?:test|spec){SUFFIX}"),
        "canary_{name}.test.js",
    ),
    _NodeRunner(
        re.compile(r"\bvitest\b"),
        f"--run --reporter=json --outputFile={JSON_FILE}",
        JSON_FILE,
        re.compile(rf".*\.(?:test|spec){SUFFIX}"),
        "canary_{name}.test.js",
        'import { it } from "vitest";\n\n',
    ),
    _NodeRunner(
        re.compile(r"\bmocha\b"),
        f"--reporter xunit --reporter-option output={RESULTS_FILE}",
        RESULTS_FILE,
        re.compile(rf".*{SUFFIX}"),
        "test/canary_{name}.js",
    ),
)


def _npm(root: Path, files: tuple[PurePosixPath, ...]) -> list[TestCommand]:
    scripts = manifests.json_object(root / "package.json").get("scripts", {})
    test = scripts.get("test") if isinstance(scripts, dict) else None
    if not isinstance(test, str) or "no test specified" in test:  # what `npm init` writes
        return []
    language = "TypeScript" if (root / "tsconfig.json").exists() else "JavaScript"
    packages = ("nodejs", "npm")
    steps = re.split(r"(&&|\|\||[;|])", test)
    for place in reversed(range(0, len(steps), 2)):
        runner = next((one for one in NODE_RUNNERS if one.called_as.search(steps[place])), None)
        if runner is not None:
            names_files = re.search(rf"{SUFFIX}(?![\w.])", steps[place])  # then it finds no other
            canary = None if names_files and runner.canary is None else _node_canary(runner, files)
            text = runner.imports + jest.CANARY if canary else None
            command = _with_options(steps, place, runner.options)
            return [TestCommand(language, command, runner.results, packages, canary, text)]
    return [TestCommand(language, "npm test", None, packages)]


def _with_options(steps: list[str], place: int, options: str) -> str:
    """Return the command that runs a script, cut at its shell's operators, with options for one of its steps:
    npm itself gives them to the last one.
    """
    if place == len(steps) - 1:
        return f"npm test --silent -- {options}"
    mended = [*steps[:place], f"{steps[place].rstrip()} {options} ", *steps[place + 1 :]]
    return "".join(mended).strip()


def _node_canary(runner: _NodeRunner, files: tuple[PurePosixPath, ...]) -> str | None:
    """Return a path beside the first test, named as that one is, or else the usual one."""
    tests = [file for file in files if runner.tests.fullmatch(file.name)]
    in_directories = [file for file in tests if file.parts[0] in TEST_DIRECTORIES]
    if runner.canary and runner.canary.startswith("test/"):  # of all files those in the usual directory
        tests = in_directories
    chosen = next(iter(in_directories or tests), None)
    if chosen is None:
        return runner.canary
    ending = re.search(rf"(?:[.-](?:test|spec))?{SUFFIX}$", chosen.name)
    assert ending is not None
    return str(chosen.with_name(f"canary_{{name}}{ending[0]}"))


def _make(root: Path) -> list[TestCommand]:
    makefile = manifests.text(root / "Makefile") or manifests.text(root / "makefile")
    target = re.search(r"^(test|check)\s*:(?!=)", makefile, re.M)
    return [TestCommand("Make", f"make {target[1]}", None, ("make",))] if target else []
