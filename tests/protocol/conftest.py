"""The official MCP programs, as scripts/protocol-tools installs them, and a real server over the toy project
with an oracle runner.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness.run.server_process import start_server
from harness.run.state import StateDirectory
from tests.server import toy

SOURCES = Path(__file__).resolve().parents[2]
INSTALL_S = 600
CALL_S = 180  # the server answers within 45 s; a busy machine takes a while to start node


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
        argv = [
            str(self.binary),
            "--cli",
            "--format",
            "json",
            "-q",
            "--stored-auth-only",
            *where,
            "--method",
            method,
            *words,
        ]
        done = subprocess.run(
            argv,
            env=environment(self.binary, self.home),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=CALL_S,
            check=False,
        )
        return Said(done.returncode, json.loads(done.stdout) if done.stdout.strip() else {}, done.stderr)

    def call(self, tool: str, *, era: str, **args: object) -> Said:
        # Not `--tool-arg key=value`: that takes a commit's id of the form 12e34... for a number.
        return self("tools/call", "--tool-name", tool, "--tool-args-json", json.dumps(args), era=era)


def environment(binary: Path, home: Path) -> dict[str, str]:
    """A home of its own: the Inspector writes there. Its node is the one beside it."""
    path = f"{binary.parent}{os.pathsep}{os.environ['PATH']}"
    return {
        **os.environ,
        "HOME": str(home),
        "PATH": path,
        "MCP_INSPECTOR_SECRET_STORE": "memory",
        "PYTHONPATH": str(SOURCES),
        "NO_COLOR": "1",
    }


@pytest.fixture(scope="session")
def programs() -> Path:
    """The directory of the installed packages; to be without them is a failure, since nothing but `make
    test-agents` runs this.
    """
    done = subprocess.run(
        [SOURCES / "scripts" / "protocol-tools"],
        capture_output=True,
        text=True,
        timeout=INSTALL_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


@pytest.fixture(scope="session")
def binary(programs: Path) -> Path:
    return programs / ".bin" / "mcp-inspector"


@dataclass(frozen=True)
class Running:
    """A server process with its oracle runner, and `harness` pointed at it."""

    url: str
    state: StateDirectory

    def harness(self, *words: str) -> list[str]:
        token_file = self.state.root / "tokens" / "admin"
        return [
            sys.executable,
            "-m",
            "harness",
            "--server",
            self.url,
            "--token-file",
            str(token_file),
            *words,
        ]

    def told(self, *words: str) -> str:
        done = subprocess.run(
            self.harness(*words),
            cwd=SOURCES,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    state = StateDirectory(tmp_path / "state")
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
