"""compose.yaml for real: a host comes up, an agent works in a sandbox beside it, a team's client claims from
outside, all goes down.
"""

import asyncio
import hashlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from harness.boxes.containers import Engine
from harness.images.stock import HOSTED, Images
from tests.waiting import BOUND_S, until

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.containers,
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("docker-compose") is None, reason="docker-compose is not installed"),
]

TREE = Path(__file__).parents[2]
COMMAND_S_MAX = 400  # the first time it builds the two images
CONFIG = """
[run]
name = "team"

[repos.app]
path = "."
branch = "main"

[modules.app]
repo = "app"
paths = ["app/**"]

[oracle.check]
kind = "command"
repo = "app"
command = "grep -q right app/answer"

[agents.helper]
kind = "command"
command = ["sh", "-c", "git log --oneline; sleep 3600"]
memory_mb = 256

[gateway.accounts.anthropic]
base_url = "http://models:8000"
key_file = "/run/secrets/anthropic"
"""
SERVER_USER = 10000
KEY = f"anthropic{secrets.token_hex(12)}"  # of no known look, so that nothing hides it by its look
# A provider that tells what key it was sent, as a digest.
PROVIDER = """
import hashlib, http.server
class Model(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        print(hashlib.sha256(self.headers["x-api-key"].encode()).hexdigest(), flush=True)
        self.rfile.read(int(self.headers["content-length"]))
        body = b'{"model": "claude-sonnet-4-5", "usage": {"input_tokens": 10, "output_tokens": 1}}'
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
http.server.ThreadingHTTPServer(("", 8000), Model).serve_forever()
"""
TASK = """+++
id = "T01"
title = "Write the answer"
module = "app"
+++
app/answer says `right`.
"""


@dataclass(frozen=True)
class Host:
    """What a team's member knows of it."""

    url: str
    token_file: Path
    compose: Callable[..., str]

    def harness(self, *words: str) -> str:
        argv = [
            sys.executable,
            "-m",
            "harness",
            "--server",
            self.url,
            "--token-file",
            str(self.token_file),
            *words,
        ]
        return subprocess.run(
            argv, cwd=TREE, check=True, capture_output=True, text=True, timeout=COMMAND_S_MAX
        ).stdout


@pytest.fixture(scope="module")
def project() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(
        prefix="harness-project-"
    ) as scratch:  # pytest's own directories are closed to the server's user
        yield _repository(Path(scratch))


def _repository(place: Path) -> Path:
    place.chmod(0o755)
    for name, text in {"harness.toml": CONFIG, "tasks/T01.md": TASK, "app/answer": "right\n"}.items():
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).write_text(text)
    git = ["git", "-C", str(place), "-c", "user.name=t", "-c", "user.email=t@example.invalid"]
    subprocess.run([*git, "init", "--quiet", "--initial-branch=main"], check=True)
    subprocess.run([*git, "add", "--all"], check=True)
    subprocess.run([*git, "commit", "--quiet", "--message=Begin"], check=True)
    return place


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if os.geteuid() != 0:
        pytest.skip("only root can give a key file to the server's user")
    file = tmp_path_factory.mktemp("keys") / "anthropic"
    file.touch(mode=0o600)
    file.write_text(KEY + "\n")
    os.chown(file, SERVER_USER, SERVER_USER)
    return file


@pytest.fixture(scope="module")
def host(
    engine: Engine, project: Path, key: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Host]:
    images = Images(engine)
    for kind in ("base", "oracle-command"):
        images.ensure(kind)
    for kind in HOSTED:
        images.publish(kind)
    name, listen = f"harness-test-{os.getpid()}", f"127.0.0.1:{_free_port()}"
    env = {
        **os.environ,
        "HARNESS_PROJECT": str(project),
        "HARNESS_STATE": name,
        "HARNESS_LISTEN": listen,
        "HARNESS_ANTHROPIC_KEY": str(key),
    }

    def compose(*words: str) -> str:
        argv = ["docker-compose", "--project-name", name, "--file", str(TREE / "compose.yaml"), *words]
        done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=COMMAND_S_MAX)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    try:
        compose("up", "--detach", "--no-build")
        token = tmp_path_factory.mktemp("team") / "admin.token"
        until(
            lambda: _health(engine, name) == {"server": "healthy", "runner": "healthy"},
            lambda: compose("logs", "--tail=60"),
        )
        token.write_text(compose("exec", "-T", "server", "cat", "/state/tokens/admin"))
        token.chmod(0o600)
        yield Host(f"http://{listen}", token, compose)
    finally:
        compose("down", "--volumes", "--timeout", "40")


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def _health(engine: Engine, project: str) -> dict[str, str]:
    found = engine.list({"com.docker.compose.project": project})
    inspected = [(box.labels["com.docker.compose.service"], _inspect(box.id)["State"]) for box in found]
    return {service: state.get("Health", {}).get("Status", state["Status"]) for service, state in inspected}


def _inspect(box: str) -> dict:
    return json.loads(
        subprocess.run(["docker", "inspect", box], check=True, capture_output=True, text=True).stdout
    )[0]


def _mounted(box: str) -> list[str]:
    """What is mounted in a box: nothing in another test's, which may be gone by now."""
    looked = subprocess.run(["docker", "inspect", box], capture_output=True, text=True, check=False)
    return [mount["Source"] for found in json.loads(looked.stdout or "[]") for mount in found["Mounts"]]


def _claim(url: str, token: str) -> dict:
    async def claim() -> dict:
        http = httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}, trust_env=False)
        async with http, Client(streamable_http_client(f"{url}/mcp", http_client=http)) as client:
            return (await client.call_tool("claim_task", {})).structured_content

    return asyncio.run(claim())


def test_only_the_runner_has_the_engines_socket_and_neither_has_powers(host: Host, engine: Engine):
    boxes = {}
    for found in engine.list({"com.docker.compose.project": f"harness-test-{os.getpid()}"}):
        boxes[found.labels["com.docker.compose.service"]] = _inspect(found.id)
    sockets = {
        name
        for name, box in boxes.items()
        if any("docker.sock" in mount["Source"] for mount in box["Mounts"])
    }
    assert sockets == {"runner"}
    assert boxes["server"]["Config"]["User"] == "10000:10000"
    for box in boxes.values():
        assert box["HostConfig"]["CapDrop"] == ["ALL"] and box["HostConfig"]["ReadonlyRootfs"]
        assert not [mount for mount in box["Mounts"] if mount["Destination"] == "/project" and mount["RW"]]


def test_an_agent_works_in_a_sandbox_beside_the_host_through_its_door(host: Host):
    def fetched() -> bool:
        events = httpx2.get(
            f"{host.url}/api/events", params={"kind": "git_fetch", "agent": "helper-1"},
            headers={"Authorization": f"Bearer {host.token_file.read_text().strip()}"}, trust_env=False,
        ).json()["events"]  # fmt: skip
        return bool(events)

    until(fetched, lambda: host.compose("logs", "--tail=60"))
    status = json.loads(host.harness("status", "--json"))
    assert [agent["agent"] for agent in status["agents"] if agent["session"]] == ["helper-1"]


def test_a_member_of_the_team_connects_and_claims_from_outside(host: Host):
    connected = json.loads(host.harness("connect", "alice", "--json"))
    leased = _claim(host.url, connected["token"])
    assert leased["status"] == "leased", leased
    assert leased["task"]["id"] == "T01"
    status = json.loads(host.harness("status", "--json"))
    assert status["tasks"]["claimed"] == 1


def test_a_stranger_is_refused(host: Host):
    assert httpx2.get(f"{host.url}/api/status", trust_env=False).status_code == 401


@contextmanager
def provider(image: str) -> Iterator[Callable[[], str]]:
    """A provider beside the host; what it has said so far."""
    name = f"harness-test-{os.getpid()}-models"
    network = ["--network", f"harness-test-{os.getpid()}_default", "--network-alias", "models"]
    subprocess.run(
        [
            "docker",
            "run",
            "--detach",
            "--rm",
            "--name",
            name,
            *network,
            "--entrypoint",
            "python3",
            image,
            "-c",
            PROVIDER,
        ],
        check=True,
        capture_output=True,
    )
    try:
        yield (
            lambda: (
                subprocess.run(["docker", "logs", name], check=True, capture_output=True, text=True).stdout
            )
        )
    finally:
        subprocess.run(["docker", "rm", "--force", name], check=True, capture_output=True)


def test_a_models_key_reaches_its_provider_and_is_to_be_seen_nowhere_else(host: Host, engine: Engine):
    token = json.loads(host.harness("connect", "bob", "--json"))["token"]
    asked = {
        "model": "claude-sonnet-4-5",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "Hello"}],
    }
    with provider(Images(engine).ensure("base")) as said:

        def answered() -> bool:  # it may not listen yet
            return (
                httpx2.post(
                    f"{host.url}/llm/anthropic/v1/messages",
                    json=asked,
                    headers={"x-api-key": token},
                    timeout=BOUND_S,
                    trust_env=False,
                ).status_code
                == 200
            )

        until(answered, lambda: host.compose("logs", "--tail=60", "server"))
        assert hashlib.sha256(KEY.encode()).hexdigest() in said()
    found = {
        box.labels["com.docker.compose.service"]: box.id
        for box in engine.list({"com.docker.compose.project": f"harness-test-{os.getpid()}"})
    }
    seen = [
        json.dumps(_inspect(box))
        for box in (
            *found.values(),
            *(box.id for box in engine.list({"harness.run": None}, running_only=True)),
        )
    ]
    seen += [
        host.compose("logs"),
        host.compose("config"),
        *(host.compose("exec", "-T", service, "env") for service in found),
    ]
    assert not any(KEY in text for text in seen)
    assert (
        host.compose("exec", "-T", "runner", "sh", "-c", "cat /run/secrets/* 2>/dev/null; echo none").strip()
        == "none"
    )
    kept = subprocess.run(
        [
            "docker",
            "exec",
            "--interactive",
            found["server"],
            "grep",
            "-rlF",
            "-f",
            "-",
            "/state",
            "/tmp",
            "/project",
        ],
        input=KEY,
        capture_output=True,
        text=True,
    )
    assert (kept.returncode, kept.stdout) == (1, ""), kept


def test_a_stopped_runner_takes_its_sandboxes_with_it(host: Host, engine: Engine):
    """Last in this file: it stops the runner of the others."""
    state = f"/volumes/harness-test-{os.getpid()}/_data/doors/"

    def sandboxes() -> list[str]:
        found = engine.list({"harness.run": None}, running_only=True)
        return [box.name for box in found if any(state in source for source in _mounted(box.id))]

    assert len(sandboxes()) == 1
    host.compose("stop", "--timeout", "60", "runner")
    assert sandboxes() == []
