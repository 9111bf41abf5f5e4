"""Real tools in a sandbox's place: curl and pip through the forwarder, the door and the proxy of a server
process to a package index over TLS.
"""

import io
import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.server import toy
from tests.waiting import until

from .process import ROOT, Process, serving
from .tls import certificate

TOOL_S = 60
WHEEL = "toy_tool-1.0-py3-none-any.whl"


def wheel() -> bytes:
    """The smallest that pip takes."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("toy_tool.py", "print('toy')\n")
        archive.writestr(
            "toy_tool-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: toy-tool\nVersion: 1.0\n"
        )
        archive.writestr(
            "toy_tool-1.0.dist-info/WHEEL",
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        archive.writestr("toy_tool-1.0.dist-info/RECORD", "")
    return packed.getvalue()


class Index(BaseHTTPRequestHandler):
    files = {
        "/simple/toy-tool/": f'<a href="/files/{WHEEL}">{WHEEL}</a>'.encode(),
        f"/files/{WHEEL}": wheel(),
        "/large": b"x" * (8 << 20),
    }
    asked: list[tuple[str, str | None]] = []

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers["proxy-authorization"]))
        body = self.files.get(self.path)
        self.send_response(200 if body else 404)
        self.send_header(
            "content-type", "text/html" if self.path.startswith("/simple") else "application/octet-stream"
        )
        self.send_header("content-length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *_) -> None:
        pass


@dataclass
class Outside:
    """The index, and the way to it for one session."""

    server: Process
    port: int
    cert: Path
    token: str
    session: str
    proxy_port: int

    @property
    def proxy(self) -> str:
        return f"http://agent:{self.token}@127.0.0.1:{self.proxy_port}"

    @property
    def env(self) -> dict[str, str]:
        """Nothing of this machine's own way to the network, its certificates included: they would come before
        --cert.
        """
        ours = ("PROXY", "PIP_", "CA_BUNDLE", "SSL_CERT")
        return {
            name: value
            for name, value in os.environ.items()
            if not any(word in name.upper() for word in ours)
        } | {"PIP_CONFIG_FILE": os.devnull}

    def curl(self, *words: str, proxy: str | None = None) -> subprocess.CompletedProcess[bytes]:
        argv = [
            "curl",
            "-sS",
            "--noproxy",
            "",
            "--cacert",
            str(self.cert),
            "--proxy",
            proxy or self.proxy,
            *words,
        ]
        return subprocess.run(argv, capture_output=True, timeout=TOOL_S, env=self.env)


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    root = tmp_path_factory.mktemp("egress")
    cert, key = certificate(root)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    with ThreadingHTTPServer(("127.0.0.1", 0), Index) as index:
        index.socket = context.wrap_socket(index.socket, server_side=True)
        threading.Thread(target=index.serve_forever, daemon=True).start()
        where = f'"localhost:{index.server_port}"'
        # The index is on this machine, which only `private` makes reachable.
        with serving(
            root,
            f'{toy.TOML}\n[egress]\nallow = [{where}, "files.example:443"]\nprivate = [{where}]\nagents = ["worker-1"]\n',
        ) as server:
            made = server.session("worker-1", door=True)
            with forwarded(server.state / "doors" / made["door"] / "door.sock") as port:
                yield Outside(server, index.server_port, cert, made["token"], made["session"], port)
        index.shutdown()


class forwarded:
    """The forwarder of the sandbox, as a process before a door; its port."""

    def __init__(self, door: Path):
        self._door = door

    def __enter__(self) -> int:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        # A socket's address has 108 bytes at most.
        argv = [sys.executable, str(ROOT / "images/base/forwarder.py"), str(port), f"unix:{self._door.name}"]
        self._process = subprocess.Popen(argv, cwd=self._door.parent)
        until(lambda: _listens(port))
        return port

    def __exit__(self, *_) -> None:
        self._process.terminate()
        self._process.wait(10)


def _listens(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


@needs_curl
def test_curl_fetches_a_large_file_and_the_event_tells_how_much(outside: Outside):
    before = len(outside.server.get("/api/events?limit=1000&kind=egress")["events"])
    done = outside.curl(f"https://localhost:{outside.port}/large")
    assert (done.returncode, done.stdout == b"x" * (8 << 20)) == (0, True), done.stderr
    told = outside.server.events("egress", before + 1)[-1]
    assert (told["agent"], told["session"]) == ("worker-1", outside.session)
    assert told["data"].items() >= {"host": "localhost", "port": outside.port, "status": "ok"}.items()
    assert (
        told["data"]["address"] in ("127.0.0.1", "::1")
        and told["data"]["bytes_down"] > 8 << 20 > 10_000 > told["data"]["bytes_up"] > 100
    )
    assert Index.asked[-1] == ("/large", None), "the token stays with the proxy"
    assert outside.token not in str(told)


@needs_curl
@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("https://localhost:{other}/", 403),
        ("https://127.0.0.1:{port}/", 400),
        ("https://2130706433:{port}/", 400),
        ("https://evil.example/", 403),
        ("https://[::1]:{port}/", 400),
    ],
)
def test_curl_reaches_nothing_else(outside: Outside, url: str, status: int):
    asked = len(Index.asked)
    done = outside.curl(url.format(port=outside.port, other=outside.server.url.rpartition(":")[2]))
    assert done.returncode == 56 and str(status).encode() in done.stderr, done.stderr
    assert len(Index.asked) == asked


@needs_curl
def test_plain_http_and_wrong_tokens_lead_nowhere(outside: Outside):
    asked = len(Index.asked)
    plain = outside.curl("-o", os.devnull, "-w", "%{http_code}", f"http://localhost:{outside.port}/large")
    assert plain.stdout in (b"401", b"404", b"400"), plain
    for proxy in (
        f"http://127.0.0.1:{outside.proxy_port}",
        f"http://agent:hs_{'x' * 43}@127.0.0.1:{outside.proxy_port}",
        f"http://agent:{outside.server.token('admin')}@127.0.0.1:{outside.proxy_port}",
    ):
        done = outside.curl(f"https://localhost:{outside.port}/large", proxy=proxy)
        assert done.returncode == 56 and b"407" in done.stderr, done.stderr
    other = outside.server.session("worker-2", door=True)
    with forwarded(outside.server.state / "doors" / other["door"] / "door.sock") as port:
        for token, status in ((outside.token, b"407"), (other["token"], b"403")):
            done = outside.curl(
                f"https://localhost:{outside.port}/large", proxy=f"http://agent:{token}@127.0.0.1:{port}"
            )
            assert done.returncode == 56 and status in done.stderr, done.stderr
    assert len(Index.asked) == asked


def test_pip_downloads_from_the_index(outside: Outside, tmp_path: Path):
    options = [
        "--isolated",
        "--disable-pip-version-check",
        "--no-cache-dir",
        "--no-deps",
        "--retries",
        "0",
        "--cert",
        str(outside.cert),
        "--proxy",
        outside.proxy,
    ]
    argv = [
        sys.executable,
        "-m",
        "pip",
        "download",
        *options,
        "--index-url",
        f"https://localhost:{outside.port}/simple",
        "--dest",
        str(tmp_path),
        "toy-tool",
    ]
    env = outside.env | {"no_proxy": "none.example"}  # else pip's library goes to localhost by itself
    done = subprocess.run(argv, capture_output=True, timeout=TOOL_S, env=env, text=True)
    assert done.returncode == 0, done.stderr + done.stdout
    assert (tmp_path / WHEEL).read_bytes() == Index.files[f"/files/{WHEEL}"]
    assert {"/simple/toy-tool/", f"/files/{WHEEL}"} <= {path for path, _ in Index.asked}


@needs_curl
def test_an_ended_session_goes_nowhere_any_more(outside: Outside):
    made = outside.server.session("worker-1", door=True)
    door = outside.server.state / "doors" / made["door"] / "door.sock"
    with forwarded(door) as port:
        proxy = f"http://agent:{made['token']}@127.0.0.1:{port}"
        assert outside.curl(f"https://localhost:{outside.port}/simple/toy-tool/", proxy=proxy).returncode == 0
        outside.server.end(made["session"])
        assert outside.curl(f"https://localhost:{outside.port}/simple/toy-tool/", proxy=proxy).returncode != 0
    assert outside.server.get("/api/audit/verify")["ok"]


def test_it_is_off_unless_it_is_configured(tmp_path: Path):
    with serving(tmp_path, toy.TOML) as server:
        made = server.session("worker-1", door=True)
        with (
            forwarded(server.state / "doors" / made["door"] / "door.sock") as port,
            socket.create_connection(("127.0.0.1", port), 10) as wire,
        ):
            wire.sendall(
                f"CONNECT localhost:443 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {made['token']}\r\nProxy-Authorization: Bearer {made['token']}\r\n\r\n".encode()
            )
            assert wire.recv(100).split()[1] in (b"404", b"405")
        assert server.get("/api/events?kind=egress")["events"] == []
