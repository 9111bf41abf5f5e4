"""A server as a process of its own, as people run it: `python -m mcp_server` over a toy project."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from tests.server import toy
from tests.waiting import BOUND_S, until

ROOT = Path(__file__).parents[2]
STOP_S = 30


@dataclass
class Process:
    state: Path
    process: subprocess.Popen
    log: Path

    @property
    def url(self) -> str:
        return json.loads((self.state / "server.json").read_text())["url"]

    def token(self, role: str) -> str:
        return (self.state / "tokens" / role).read_text().strip()

    def http(self, role: str = "admin") -> httpx2.Client:
        return httpx2.Client(
            base_url=self.url,
            headers={"authorization": f"Bearer {self.token(role)}"},
            timeout=BOUND_S,
            verify=False,
        )

    def get(self, path: str) -> Any:
        with self.http() as http:
            return http.get(path).raise_for_status().json()

    def session(self, agent: str, *, door: bool = False) -> dict:
        with self.http() as http:
            return (
                http.post("/api/sessions", json={"agent": agent, "kind": "command", "door": door})
                .raise_for_status()
                .json()
            )

    def end(self, session: str) -> None:
        with self.http() as http:
            http.post(f"/api/sessions/{session}/end", json={"outcome": "worked"}).raise_for_status()

    def events(self, kind: str, number: int = 1) -> list[dict]:
        """Once there are so many."""
        return until(
            lambda: (
                found
                if len(found := self.get(f"/api/events?limit=1000&kind={kind}")["events"]) >= number
                else None
            )
        )

    def resident_mb(self) -> float:
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024


@contextmanager
def serving(root: Path, toml: str, *, env: Mapping[str, str] | None = None) -> Iterator[Process]:
    """`env` is added to this process's own. At the same `root` again it is the same server, started once
    more.
    """
    project, state = root / "project", root / "state"
    if not project.exists():
        toy.project(project, toml)
    (state / "server.json").unlink(missing_ok=True)
    argv = [
        sys.executable,
        "-m",
        "mcp_server",
        "--config",
        str(project / "harness.toml"),
        "--state",
        str(state),
        "--port",
        "0",
    ]
    log = root / "server.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            argv,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )
    try:
        until(lambda: (state / "server.json").exists() or process.poll() is not None)
        assert process.poll() is None, log.read_text()
        yield Process(state, process, log)
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
