"""Egress from a real sandbox: a tool finds the way by its environment alone, and only where the agent is
named.
"""

import ssl
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from harness.boxes import sandbox
from harness.boxes.containers import Engine
from harness.boxes.sandbox import SandboxSession
from mcp_server.config import AgentSpec
from tests.gateway.process import Process, serving
from tests.gateway.tls import certificate
from tests.server import toy

from .boxes import ran

pytestmark = pytest.mark.containers

CA = "ca.pem"
# `localhost` is where the registry of this test happens to be; a sandbox goes there directly unless it is
# told otherwise.
BY_PROXY = {
    "NO_PROXY": "127.0.0.1",
    "no_proxy": "127.0.0.1",
    "GIT_SSL_CAINFO": f"/home/agent/{CA}",
    "SSL_CERT_FILE": f"/home/agent/{CA}",
}
FETCH = "import os, urllib.request; print(urllib.request.urlopen('{url}/README', timeout=60).read().decode())"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@dataclass(frozen=True)
class Registry:
    """A repository and a file over TLS, and a server that lets worker-1 go there."""

    server: Process
    url: str
    ca: str

    def session(self, agent: str, run: str, image: str) -> SandboxSession:
        made = self.server.session(agent, door=True)
        door = self.server.state / "doors" / made["door"]
        spec = AgentSpec("worker", "command", command=("true",))
        return SandboxSession(
            run,
            made["session"],
            agent,
            made["token"],
            door,
            image,
            (("toy", "main"),),
            spec,
            egress=made["egress"],
        )


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    root = tmp_path_factory.mktemp("egress")
    files = root / "files"
    toy.repository(root / "lib", {"README": "a library\n"})
    subprocess.run(
        ["git", "clone", "--quiet", "--bare", str(root / "lib"), str(files / "lib.git")], check=True
    )
    subprocess.run(["git", "update-server-info"], cwd=files / "lib.git", check=True)
    (files / "README").write_text("a file\n")
    cert, key = certificate(root)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(files))) as outside:
        outside.socket = context.wrap_socket(outside.socket, server_side=True)
        threading.Thread(target=outside.serve_forever, daemon=True).start()
        where = f'"localhost:{outside.server_port}"'
        with serving(
            root, f'{toy.TOML}\n[egress]\nallow = [{where}]\nprivate = [{where}]\nagents = ["worker-1"]\n'
        ) as server:
            yield Registry(server, f"https://localhost:{outside.server_port}", cert.read_text())
        outside.shutdown()


def tools(registry: Registry) -> str:
    return f'git clone --quiet {registry.url}/lib.git /tmp/lib && cat /tmp/lib/README && python3 -c "{FETCH.format(url=registry.url)}"'


def test_tools_of_an_agent_that_is_named_find_the_way_by_themselves(
    engine: Engine, run: str, base_image: str, registry: Registry
) -> None:
    session = registry.session("worker-1", run, base_image)
    status, lines = ran(
        engine,
        session,
        f"{tools(registry)}; git -C /workspace/toy fetch && echo fetched",
        env=BY_PROXY,
        files={CA: registry.ca},
    )
    assert status == 0 and [line.strip() for line in lines if not line.startswith("{")] == [
        "a library",
        "a file",
        "",
        "fetched",
    ], lines
    told = registry.server.events("egress", 2)
    assert {(event["agent"], event["session"]) for event in told} == {("worker-1", session.session)}
    for event in told:
        assert (event["data"]["host"], event["data"]["status"]) == ("localhost", "ok"), event
        assert event["data"]["bytes_up"] > 100 and event["data"]["bytes_down"] > 100
    assert session.token not in str(told)


def test_an_agent_that_is_not_named_has_no_proxy_and_reaches_nothing(
    engine: Engine, run: str, base_image: str, registry: Registry
) -> None:
    before = len(registry.server.get("/api/events?limit=1000&kind=egress")["events"])
    session = registry.session("worker-2", run, base_image)
    status, lines = ran(
        engine,
        session,
        f"env | grep -i _proxy; {tools(registry)}",
        env={"GIT_SSL_CAINFO": BY_PROXY["GIT_SSL_CAINFO"]},
        files={CA: registry.ca},
    )
    assert status != 0 and not any(
        word in line for line in lines for word in ("_PROXY=", "_proxy=", "a library", "a file")
    ), lines
    assert len(registry.server.get("/api/events?limit=1000&kind=egress")["events"]) == before


def test_only_https_goes_out_and_the_door_is_reached_without_the_proxy(tmp_path: Path) -> None:
    spec = AgentSpec("worker", "command", command=("true",))
    session = SandboxSession("r", "S1", "worker-1", "hs_token", tmp_path, "image", (), spec, egress=True)
    env = sandbox.proxy_env(session)
    assert env["HTTPS_PROXY"] == env["https_proxy"] == "http://agent:hs_token@127.0.0.1:8765"
    assert env["NO_PROXY"] == env["no_proxy"] == "127.0.0.1,localhost" and not {
        "HTTP_PROXY",
        "http_proxy",
        "ALL_PROXY",
    } & set(env)
