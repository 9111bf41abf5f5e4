"""The keys of the accounts: after everything that goes well and wrong, they are found in no file, answer,
event, log, span, sandbox or crash.
"""

import json
import os
import secrets
import signal
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest

from harness.agents.base import Seat
from harness.agents.kinds import KINDS
from harness.boxes import sandbox
from harness.boxes.box_spec import to_api
from harness.boxes.containers import BoxBroke, Engine
from harness.boxes.sandbox import SandboxSession
from harness.images.stock import Images
from mcp_server.config import AgentSpec
from tests.fake_models import Cut, Request, Reset, Wire, WireServer
from tests.server import toy
from tests.waiting import BOUND_S, until

from .place import ASK
from .process import Process, serving

# Of no known look, so that nothing hides them by their look.
KEYS = {name: f"{name}{secrets.token_hex(12)}" for name in ("anthropic", "openai", "gemini", "local")}
ENV = {
    "OPENAI_API_KEY": KEYS["openai"],
    "GEMINI_API_KEY": KEYS["gemini"],
    "LOCAL_MODELS_KEY": KEYS["local"],
    "PYTHONFAULTHANDLER": "1",
}
REQUESTS = {
    "anthropic": ("/v1/messages", {"model": "claude-x", "max_tokens": 9, "messages": [ASK]}),
    "openai": ("/v1/responses", {"model": "gpt-x", "input": [ASK]}),
    "gemini": ("/v1beta/models/gemini-x:generateContent", {"contents": []}),
    "local": ("/v1/chat/completions", {"model": "llama", "messages": [ASK]}),
}
TOML = """
[gateway]
patience_s = 3
otlp_endpoint = "{spans}"
[gateway.accounts.anthropic]
base_url = "{url}"
key_file = "{file}"
[gateway.accounts.openai]
base_url = "{url}/v1"
key_env = "OPENAI_API_KEY"
[gateway.accounts.gemini]
base_url = "{url}"
key_env = "GEMINI_API_KEY"
[gateway.accounts.local]
api = "openai"
base_url = "{url}/v1"
key_env = "LOCAL_MODELS_KEY"
[gateway.accounts.away]
api = "openai"
base_url = "http://127.0.0.1:9/v1"
key_env = "LOCAL_MODELS_KEY"
"""


async def tells_everything(request: Request, wire: Wire) -> None:
    """A provider that says back what it was sent, wherever one might: in errors, headers, redirects, broken
    answers.
    """
    how, key = request.header("x-how"), json.dumps(dict(request.headers))
    match how:
        case "401" | "400" | "429" | "402" | "500" | "307":
            headers = [
                ("content-type", "application/json"),
                ("retry-after", "1"),
                ("location", f"http://127.0.0.1:9/?key={_key(request)}"),
            ]
            await wire.whole(
                int(how),
                headers,
                json.dumps({"error": {"message": f"bad: {key}", "code": f"{key}"}}).encode(),
            )
        case "packed":
            await wire.whole(400, [("content-encoding", "gzip")], key.encode())
        case "cut":
            await wire.start(200, [("content-type", "text/event-stream")])
            await wire.send(b"data: {}\n\n")
            raise Cut
        case "reset":
            raise Reset
        case "rubbish":
            await wire.whole(200, [("content-type", "application/json")], b"{" * 5_000)
        case _:
            await wire.whole(200, [("content-type", "application/json")], b'{"model": "x", "usage": {}}')


def _key(request: Request) -> str:
    return next(
        value for name, value in request.headers if name in ("authorization", "x-api-key", "x-goog-api-key")
    )


class Spans(BaseHTTPRequestHandler):
    got = bytearray()

    def do_POST(self) -> None:
        self.got.extend(
            self.path.encode()
            + str(self.headers).encode()
            + self.rfile.read(int(self.headers["content-length"]))
        )
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def upstream() -> Iterator[WireServer]:
    with WireServer(tells_everything) as server:
        yield server


@pytest.fixture(scope="module")
def collector() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Spans) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, upstream: WireServer, collector: str
) -> Iterator[Process]:
    root, apart = tmp_path_factory.mktemp("hygiene"), tmp_path_factory.mktemp("apart")
    file = apart / "key"
    file.write_text(KEYS["anthropic"] + "\n")
    file.chmod(0o600)
    with serving(root, toy.TOML + TOML.format(url=upstream.url, spans=collector, file=file), env=ENV) as made:
        yield made


def found_in(data: bytes) -> list[str]:
    return [name for name, key in KEYS.items() if key.encode() in data]


# The last closes the account for a while.
HOW = ("200", "400", "500", "307", "packed", "cut", "reset", "rubbish", "429")
LAST = {"anthropic": "401", "openai": "402", "gemini": "401", "local": "402", "away": "200"}


def asked(server: Process, token: str) -> bytes:
    """Every account in every way that a provider may answer; all that an agent got to see."""
    accounts = {**REQUESTS, "away": REQUESTS["local"]}
    with ThreadPoolExecutor(len(accounts)) as pool:
        seen = pool.map(lambda name: ways(server, token, name, accounts[name]), accounts)
        return b"".join(seen)


def ways(server: Process, token: str, name: str, request: tuple[str, dict]) -> bytes:
    seen, (path, body) = bytearray(), request
    with httpx2.Client(
        base_url=f"{server.url}/llm",
        timeout=BOUND_S,
        verify=False,
        headers={"authorization": f"Bearer {token}"},
    ) as http:
        for how in (*(HOW if name != "away" else ()), LAST[name]):
            try:
                answer = http.post(
                    f"/{name}{path}", json=body | {"stream": how == "cut"}, headers={"x-how": how}
                )
                seen += str(answer.status_code).encode() + str(answer.headers.raw).encode() + answer.content
            except httpx2.TransportError as broke:
                seen += repr(broke).encode()
        for other, method in ((path, "DELETE"), ("/v1/files", "POST")):
            seen += http.request(method, f"/{name}{other}").content
    return bytes(seen)


def test_the_keys_were_really_sent_upstream(server: Process, upstream: WireServer):
    """Else the other tests would show nothing."""
    token = server.session("worker-2")["token"]
    with httpx2.Client(base_url=f"{server.url}/llm", verify=False) as http:
        path, body = REQUESTS["openai"]
        got = http.post(
            f"/openai{path}", json=body, headers={"authorization": f"Bearer {token}", "x-how": "400"}
        )
    assert got.status_code == 400 and "(key)" in got.text, (
        "the provider has said it back, and it was taken out"
    )


def test_whatever_happens_no_key_is_in_a_file_an_answer_an_event_a_log_or_a_span(
    server: Process, collector: str
):
    session = server.session("worker-1")
    seen = asked(server, session["token"])
    assert len(seen) > 5_000 and found_in(seen) == []
    for path in (
        "/api/status",
        "/api/spending",
        "/api/events?limit=1000",
        "/api/audit/verify",
        f"/api/sessions/{session['session']}",
        "/health",
    ):
        assert found_in(json.dumps(server.get(path)).encode()) == [], path
    server.end(session["session"])
    until(lambda: b"/v1/traces" in Spans.got)
    assert found_in(bytes(Spans.got)) == []
    files = [path for path in server.state.parent.rglob("*") if path.is_file()]
    assert any(path.name.startswith("state.db") for path in files) and server.log in files
    assert {str(path): found for path in files if (found := found_in(path.read_bytes()))} == {}


def test_no_key_is_in_what_a_process_shows_of_itself_to_others(server: Process):
    """Not in its command line, nor in what it starts: git for one."""
    assert found_in(Path(f"/proc/{server.process.pid}/cmdline").read_bytes()) == []
    session, seen = server.session("worker-2"), []
    stop = threading.Event()

    def watch() -> None:
        while not stop.is_set():
            children = (
                Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
            )
            for child in children:
                try:
                    seen.append(
                        (
                            Path(f"/proc/{child}/cmdline").read_bytes(),
                            Path(f"/proc/{child}/environ").read_bytes(),
                        )
                    )
                except OSError:
                    continue  # it has ended

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        header = f"http.extraHeader=Authorization: Bearer {session['token']}"
        for number in range(5):
            toy.git(
                "-c",
                header,
                "clone",
                "-q",
                f"{server.url}/git/toy.git",
                str(server.state.parent / f"clone-{number}"),
                cwd=server.state.parent,
            )
    finally:
        stop.set()
        watcher.join()
    # Before git is `env -i`, which takes the environment away.
    told = [(line, environ) for line, environ in seen if b"git" in line.split(b"\0")[0]]
    assert told, "git was seen"
    assert [line for line, environ in told if found_in(line + environ)] == []


def test_no_key_is_in_a_crash(tmp_path: Path, upstream: WireServer, collector: str):
    file = tmp_path / "key"
    file.write_text(KEYS["anthropic"])
    file.chmod(0o600)
    (tmp_path / "server").mkdir()
    with serving(
        tmp_path / "server", toy.TOML + TOML.format(url=upstream.url, spans=collector, file=file), env=ENV
    ) as server:
        asked(server, server.session("worker-1")["token"])
        server.process.send_signal(signal.SIGABRT)
        server.process.wait(20)
        log = server.log.read_bytes()
        assert b"Fatal Python error: Aborted" in log and found_in(log) == []
        assert {
            str(path)
            for path in (tmp_path / "server").rglob("*")
            if path.is_file() and found_in(path.read_bytes())
        } == set()


UNUSABLE = {
    "not set": ({}, 'key_env = "MISSING_KEY"'),
    "two words": ({"ODD_KEY": "two words " + KEYS["local"]}, 'key_env = "ODD_KEY"'),
    "read by others": ({}, 'key_file = "{open}"'),
    "in the configuration": ({}, f'key = "{KEYS["local"]}"'),
}


@pytest.mark.parametrize(("env", "section"), UNUSABLE.values(), ids=UNUSABLE)
def test_a_server_that_cannot_use_a_key_says_why_without_it(
    tmp_path: Path, env: dict[str, str], section: str
):
    file = tmp_path / "open"
    file.write_text(KEYS["local"])
    file.chmod(0o644)
    more = f'[gateway.accounts.local]\napi = "openai"\nbase_url = "http://127.0.0.1:9"\n{section.replace("{open}", str(file))}\n'
    with pytest.raises(AssertionError, match=r"key") as failed, serving(tmp_path, toy.TOML + more, env=env):
        pass
    assert b"key" in str(failed.value).encode() and found_in((tmp_path / "server.log").read_bytes()) == []


TABLES = {"command": {"command": ["true"]}, "scripted": {"playbook": "play.toml"}}


@pytest.mark.parametrize("kind", TABLES)
def test_no_key_of_the_hosts_environment_is_in_what_a_sandbox_is_made_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
):
    for name, value in ENV.items():
        monkeypatch.setenv(name, value)
    spec = AgentSpec(name="worker", kind=kind, **TABLES[kind])
    launch = KINDS[kind].adapter.launch(Seat("worker-1", spec), {"play.toml": "", "playbook.toml": ""})
    session = SandboxSession(
        run="r",
        session="S1",
        agent="worker-1",
        token="hs_token",
        door=tmp_path,
        image="image",
        repos=(("toy", "main"),),
        spec=spec,
    )
    sandbox.write_session(session, mode="work", argv=launch.argv, env=launch.env, files=launch.files)
    made = (
        json.dumps(to_api(sandbox.box_of(session))).encode()
        + (tmp_path / "session.json").read_bytes()
        + repr((launch, session)).encode()
    )
    assert b"hs_token" in made and found_in(made) == []
    assert not any(name in made.decode() for name in ("OPENAI_API_KEY", "GEMINI_API_KEY"))


@pytest.mark.containers
def test_no_key_is_in_a_running_sandbox_or_in_what_the_engine_tells_of_it(
    server: Process, monkeypatch: pytest.MonkeyPatch
):
    for name, value in ENV.items():
        monkeypatch.setenv(name, value)
    try:
        opened = Engine.connect()
    except BoxBroke as broke:
        pytest.skip(str(broke))
    run = f"test{os.getpid()}"
    with opened as engine:
        made = server.session("worker-1", door=True)
        spec = AgentSpec(name="worker", kind="command", command=["true"], memory_mb=256, pids=64, disk_mb=64)
        session = SandboxSession(
            run=run,
            session=made["session"],
            agent="worker-1",
            token=made["token"],
            door=server.state / "doors" / made["door"],
            image=Images(engine).ensure("base"),
            repos=(("toy", "main"),),
            spec=spec,
        )
        box = sandbox.start(engine, session, argv=["sh", "-c", ASKING], env={}, files={})
        try:
            lines = b"\n".join(line for _, line in box.follow_logs())
            told = subprocess.run(
                ["docker", "inspect", session.box_name], capture_output=True, check=True
            ).stdout
        finally:
            sandbox.remove(engine, session, box)
            sandbox.sweep_run(engine, run)
    assert b"answered 400" in lines and b"PATH=" in lines, lines.decode()
    assert b"(key)" in lines, "the provider said the key back, and the sandbox saw none"
    assert found_in(lines) == [] and found_in(told) == []


# Inside the sandbox: everything that can be read of processes and files, and a request whose answer would
# have the key in it.
ASKING = r"""
cat /proc/*/environ /proc/*/cmdline 2>/dev/null | tr '\0' '\n'; cat /run/harness/* 2>/dev/null; env
python3 - <<'END'
import json, os, urllib.error, urllib.request
body = json.dumps({"model": "gpt-x", "input": "hi"}).encode()
token = json.load(open("/run/harness/session.json"))["token"]
request = urllib.request.Request("http://127.0.0.1:8765/llm/openai/v1/responses", body, {"authorization": "Bearer " + token, "x-how": "400", "content-type": "application/json"})
try:
    print(urllib.request.urlopen(request).read())
except urllib.error.HTTPError as error:
    print("answered", error.code, error.headers, error.read())
END
"""
