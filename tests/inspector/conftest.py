"""The official MCP Inspector CLI, where it can be had, and a real server over the toy project with an oracle runner.

INSPECTOR_BIN names a `mcp-inspector`; else it is looked for in a cache directory, which HARNESS_NPM=1 fills by npm. Without it: skipped.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from server import toy

from harness.server_process import start_server
from harness.state import State

SOURCES = Path(__file__).resolve().parents[2]
INSPECTOR = "2.12.0"
NODE_MIN = (22, 19)
PACKAGES = ("node@22", f"@modelcontextprotocol/inspector@{INSPECTOR}")
NPM_S = 600
CALL_S = 90  # the server answers within 45 s


@dataclass(frozen=True)
class Said:
    """How one run of the Inspector ended."""

    exit: int
    answer: dict[str, Any]
    errors: str

    @property
    def value(self) -> dict[str, Any]:
        """The structured content, which the text repeats."""
        told = self.answer["result"]
        assert json.loads(told["content"][0]["text"]) == told["structuredContent"]
        return told["structuredContent"]


@dataclass(frozen=True)
class Inspector:
    """The CLI on one configuration file, as a person would give it one."""

    binary: Path
    config: Path
    home: Path

    def __call__(self, method: str, *words: str, era: str) -> Said:
        where = ("--config", str(self.config), "--server", "harness", "--protocol-era", era)
        argv = [str(self.binary), "--cli", "--format", "json", "-q", "--stored-auth-only", *where, "--method", method, *words]
        done = subprocess.run(
            argv, env=environment(self.binary, self.home), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=CALL_S, check=False
        )
        return Said(done.returncode, json.loads(done.stdout) if done.stdout.strip() else {}, done.stderr)

    def call(self, tool: str, *, era: str, **args: object) -> Said:
        # Not `--tool-arg key=value`: that takes a commit's id of the form 12e34... for a number.
        return self("tools/call", "--tool-name", tool, "--tool-args-json", json.dumps(args), era=era)


def environment(binary: Path, home: Path) -> dict[str, str]:
    """A home of its own: the Inspector writes there. Its node is the one beside it."""
    path = f"{binary.parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "HOME": str(home), "PATH": path, "MCP_INSPECTOR_SECRET_STORE": "memory", "PYTHONPATH": str(SOURCES), "NO_COLOR": "1"}


@pytest.fixture(scope="session")
def binary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    named = os.environ.get("INSPECTOR_BIN")
    found = Path(named) if named else _cached()
    if not found.exists():
        pytest.skip(f"no MCP Inspector at {found}; HARNESS_NPM=1 installs it, INSPECTOR_BIN names another")
    env = environment(found, tmp_path_factory.mktemp("home"))
    node = _version("node", env)
    if node < NODE_MIN:
        pytest.skip(f"Node {'.'.join(map(str, node)) or 'none'}; the Inspector needs {'.'.join(map(str, NODE_MIN))}")
    if (version := _version(str(found), env, "--cli")) != tuple(map(int, INSPECTOR.split("."))):
        pytest.skip(f"MCP Inspector {'.'.join(map(str, version))}; these tests know {INSPECTOR}")
    return found


def _cached() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "harness-inspector"
    binary = cache / "node_modules" / ".bin" / "mcp-inspector"
    if not binary.exists() and os.environ.get("HARNESS_NPM") == "1" and shutil.which("npm"):
        cache.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(cache), *PACKAGES], check=True, timeout=NPM_S)
    return binary


def _version(program: str, env: dict[str, str], *words: str) -> tuple[int, ...]:
    if shutil.which(program, path=env["PATH"]) is None:
        return ()
    done = subprocess.run([program, *words, "--version"], env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    said = done.stdout.strip().removeprefix("v").split(".")
    return tuple(map(int, said)) if all(part.isdigit() for part in said) else ()


@dataclass(frozen=True)
class Running:
    """A server process with its oracle runner, and `harness` pointed at it."""

    url: str
    state: State

    def harness(self, *words: str) -> list[str]:
        token_file = self.state.root / "tokens" / "admin"
        return [sys.executable, "-m", "harness", "--server", self.url, "--token-file", str(token_file), *words]

    def told(self, *words: str) -> str:
        done = subprocess.run(self.harness(*words), cwd=SOURCES, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def running(tmp_path: Path, binary: Path) -> Iterator[Running]:
    state = State(tmp_path / "state")
    state.prepare()
    server = start_server(toy.project(tmp_path / "project") / "harness.toml", state.root)
    try:
        runner = toy.LocalRunner(server.url, state.token("runner") or "")
        try:
            yield Running(server.url, state)
        finally:
            runner.close()
    finally:
        server.stop()


@pytest.fixture
def inspect(binary: Path, tmp_path: Path) -> Callable[[dict[str, Any]], Inspector]:
    """The Inspector on the servers of a client's configuration."""

    def on(config: dict[str, Any]) -> Inspector:
        home = tmp_path / "home"
        home.mkdir(exist_ok=True)
        file = home / "mcp.json"
        file.write_text(json.dumps(config))
        return Inspector(binary, file, home)

    return on
