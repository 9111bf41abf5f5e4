"""Owns what a repository's lock files and manifests show of what its tests need.

Rule: it runs nothing and reads only files that the environment will name as `locks`; each guess is a line of
harness.toml that a person can edit.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.commands import manifests

SOURCE = "/work/src"  # where a tree is, in a box and in a sandbox
VENV_PATH = "/opt/venv/bin:$PATH"
TEST_GROUPS = ("test", "tests", "testing", "dev")
REQUIREMENTS = ("requirements*.txt", "*-requirements.txt", "requirements/*.txt")
DEBIAN_GO = (1, 19)
NODES = (20, 22, 24)  # the versions with long support that can be had
NODE = 22  # where a project does not say which it wants
LOCKS_OF_NODE = ("package-lock.json", "npm-shrinkwrap.json", "pnpm-lock.yaml", "yarn.lock")


@dataclass(frozen=True)
class Needs:
    """What one ecosystem's part of the environment is; several are joined into one environment."""

    packages: tuple[str, ...] = ()
    locks: tuple[str, ...] = ()
    setup: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)


def needs(root: Path, languages: Iterable[str]) -> Needs:
    """Return what the tests of the repository need, as far as its files show it."""
    readers = {
        "Python": _python,
        "JavaScript": _node,
        "TypeScript": _node,
        "Go": _go,
        "Rust": _rust,
        "Make": _make,
    }
    found = [reader(root) for reader in dict.fromkeys(filter(None, map(readers.get, languages)))]
    return _joined([one for one in found if one is not None])


def _joined(parts: Sequence[Needs]) -> Needs:
    path = ":".join(part.env["PATH"].removesuffix(":$PATH") for part in parts if "PATH" in part.env)
    env = {name: value for part in parts for name, value in part.env.items()}
    if path:
        env["PATH"] = f"{path}:$PATH"
    return Needs(
        tuple(dict.fromkeys(name for part in parts for name in part.packages)),
        tuple(dict.fromkeys(name for part in parts for name in part.locks)),
        tuple(line for part in parts for line in part.setup),
        env,
    )


def _python(root: Path) -> Needs | None:
    pyproject = manifests.toml(root / "pyproject.toml")
    files = _python_files(root, pyproject)
    options = [] if files[:1] in (["poetry.lock"], ["Pipfile.lock"]) else _python_options(pyproject)
    setup = [f"python-dependencies {' '.join([*options, *files])}"] if files else []
    if not files:
        setup = ["python3 -m venv /opt/venv"]
    if not _mentions_pytest(root, files):
        setup.append("/opt/venv/bin/python -m pip install pytest")
    source = f"{SOURCE}/src:{SOURCE}" if (root / "src").is_dir() else SOURCE
    return Needs(
        packages=("python3", "python3-venv"),
        locks=_python_locks(root),
        setup=tuple(setup),
        env={"PATH": VENV_PATH, "PYTHONPATH": source},
    )


def _python_files(root: Path, pyproject: dict[str, Any]) -> list[str]:
    """Return the files that say what to install: a lock file, or else whatever names requirements."""
    for lock in ("uv.lock", "poetry.lock", "Pipfile.lock"):
        if (root / lock).is_file():
            return [lock]
    files = [name for name in ("pyproject.toml", "setup.cfg") if _names_requirements(root / name)]
    return [*files, *_requirement_files(root)]


def _names_requirements(path: Path) -> bool:
    if path.name == "pyproject.toml":
        document = manifests.toml(path)
        return bool({"project", "dependency-groups"} & document.keys()) or "poetry" in _table(
            document, "tool"
        )
    return "install_requires" in manifests.text(path)


def _requirement_files(root: Path) -> list[str]:
    """Return the requirements that tests need: the plain ones, and those for tests or development."""
    found = _relative(root, REQUIREMENTS)
    usual = re.compile(
        r"(^|[-_./])(requirements|base|test|tests|testing|dev|develop|ci)\.txt$|requirements[-_.]?(test|tests|dev)"
    )
    return [name for name in found if usual.search(name)]


def _python_options(pyproject: dict[str, Any]) -> list[str]:
    extras = _table(pyproject, "project", "optional-dependencies")
    groups = _table(pyproject, "dependency-groups")
    found = [f"--extra {name}" for name in TEST_GROUPS if name in extras]
    return found + [f"--group {name}" for name in TEST_GROUPS if name in groups]


def _mentions_pytest(root: Path, files: Sequence[str]) -> bool:
    return any(re.search(r"\bpytest\b", manifests.text(root / name)) for name in files)


def _table(document: dict[str, Any], *keys: str) -> dict[str, Any]:
    """Return the table at these keys; an empty one where something else stands."""
    value: Any = document
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def _python_locks(root: Path) -> tuple[str, ...]:
    names = (
        "pyproject.toml",
        "setup.cfg",
        "uv.lock",
        "poetry.lock",
        "Pipfile",
        "Pipfile.lock",
        ".python-version",
    )
    there = [name for name in names if (root / name).is_file()]
    members = _relative(
        root, _strings(manifests.toml(root / "pyproject.toml"), "tool", "uv", "workspace", "members")
    )
    return (
        *there,
        *(f"{member}/pyproject.toml" for member in members),
        *_relative(root, (*REQUIREMENTS, "constraints*.txt")),
    )


def _node(root: Path) -> Needs | None:
    package = manifests.json_object(root / "package.json")
    if not package:
        return None
    names = ("package.json", *LOCKS_OF_NODE, "pnpm-workspace.yaml", ".npmrc")
    members = _relative(root, _workspaces(package))
    return Needs(
        packages=("python3", "python3-venv"),
        locks=(
            *(name for name in names if (root / name).is_file()),
            *(f"{member}/package.json" for member in members),
        ),
        setup=(f"node-dependencies --node {_node_major(root, package)}",),
        env={"PATH": "/node_modules/.bin:$PATH"},
    )


def _workspaces(package: dict[str, Any]) -> list[str]:
    declared = package.get("workspaces")
    listed = declared.get("packages") if isinstance(declared, dict) else declared
    return manifests.strings(listed)


def _node_major(root: Path, package: dict[str, Any]) -> int:
    """Return the version of Node that the project names, if there is a build of it to be had, or NODE."""
    wishes = [manifests.text(root / name).strip().removeprefix("v") for name in (".nvmrc", ".node-version")]
    engines = package.get("engines")
    bound = (
        re.search(r"(?:>=|\^|~|=)?\s*v?(\d+)", str(engines.get("node", "")))
        if isinstance(engines, dict)
        else None
    )
    exact = next((int(wish.split(".")[0]) for wish in wishes if wish.split(".")[0].isdigit()), None)
    if exact is not None:
        return next((major for major in NODES if major >= exact), NODES[-1])
    return max(NODE, next((major for major in NODES if bound and major >= int(bound[1])), NODE))


def _go(root: Path) -> Needs | None:
    module = manifests.text(root / "go.mod")
    if not module:
        return None
    wish = re.search(r"^go\s+(\d+)\.(\d+)", module, re.MULTILINE)
    version = (int(wish[1]), int(wish[2])) if wish else DEBIAN_GO
    locks = tuple(name for name in ("go.mod", "go.sum", "go.work", "go.work.sum") if (root / name).is_file())
    fetches = ("go mod download",) if (root / "go.sum").is_file() and not (root / "vendor").is_dir() else ()
    env = {"GOMODCACHE": "/opt/go/mod", "GOFLAGS": "-modcacherw", "GOTOOLCHAIN": "local"}
    compiler = ("gcc", "libc6-dev")
    if version <= DEBIAN_GO:
        return Needs(("golang-go", *compiler), locks, fetches, env)
    toolchain = f"go-toolchain {version[0]}.{version[1]}"
    return Needs(("python3", "python3-venv", *compiler), locks, (toolchain, *fetches), env)


def _rust(root: Path) -> Needs | None:
    if not (root / "Cargo.toml").is_file():
        return None
    members = _relative(root, _strings(manifests.toml(root / "Cargo.toml"), "workspace", "members"))
    names = ("Cargo.toml", "Cargo.lock", "rust-toolchain", "rust-toolchain.toml")
    return Needs(
        packages=("cargo-web", "rustc-web", "libc6-dev"),
        locks=(
            *(name for name in names if (root / name).is_file()),
            *(f"{member}/Cargo.toml" for member in members),
        ),
        setup=("cargo-dependencies",) if _has_crates(root) else (),
        env={"CARGO_HOME": "/opt/cargo", "CARGO_NET_OFFLINE": "true"},
    )


def _make(root: Path) -> Needs:
    return Needs(packages=("make",))


def _has_crates(root: Path) -> bool:
    """Return True if Cargo.lock names a crate that is not in the repository."""
    packages = manifests.toml(root / "Cargo.lock").get("package", [])
    return any("source" in package for package in packages if isinstance(package, dict))


def _relative(root: Path, globs: Iterable[str]) -> list[str]:
    """Return what the globs find, from `root`, in order; globs that lead out of it find nothing."""
    inside = [
        glob for glob in globs if glob and not glob.startswith(("/", "!")) and ".." not in glob.split("/")
    ]
    found = {path.relative_to(root).as_posix() for glob in inside for path in root.glob(glob)}
    return sorted(path for path in found if "node_modules" not in path.split("/"))


def _strings(document: dict[str, Any], *keys: str) -> list[str]:
    return manifests.strings(_table(document, *keys[:-1]).get(keys[-1]))
