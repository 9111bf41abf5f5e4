"""The way to a vendor that is somewhere else: through the proxy that the server's environment names, over
TLS, with our key and nobody else's.
"""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx2
import pytest

from tests.fake_models import FakeModels, Script, Step
from tests.waiting import BOUND_S

from .place import KEY, asking, config
from .process import Process, serving
from .tls import certificate

ELSEWHERE = "http://models.example:8000"
NETRC = "machine models.example login somebody password theirs\n"


@pytest.fixture(scope="module")
def proxy() -> Iterator[FakeModels]:
    """A model that takes the addresses that proxies are sent."""
    with FakeModels(Script((Step("Well done."),), turns="any")) as models:
        yield models


def asked(server: Process) -> httpx2.Response:
    request = asking("messages")
    token = server.session("worker-1")["token"]
    return httpx2.post(
        f"{server.url}/llm/anthropic{request.path}",
        json=request.body,
        headers={"x-api-key": token},
        timeout=BOUND_S,
        trust_env=False,
    )


def written(root: Path, url: str = ELSEWHERE) -> str:
    key = root / "key"
    key.write_text(KEY)
    key.chmod(0o600)
    return config(url, key)


def test_a_vendor_is_reached_through_the_proxy_that_the_environment_names(tmp_path: Path, proxy: FakeModels):
    netrc = tmp_path / "netrc"
    netrc.write_text(NETRC)
    netrc.chmod(0o600)
    with serving(
        tmp_path,
        written(tmp_path),
        env={
            "HTTP_PROXY": proxy.url,
            "http_proxy": proxy.url,
            "NO_PROXY": "",
            "no_proxy": "",
            "NETRC": str(netrc),
        },
    ) as server:
        assert asked(server).content == proxy.requests[-1].sent
    got = proxy.requests[-1].request
    assert got.target == f"{ELSEWHERE}/v1/messages?beta=true"
    assert (got.header("x-api-key"), got.header("authorization"), got.header("host")) == (
        KEY,
        None,
        "models.example:8000",
    )


def test_a_vendor_that_no_proxy_is_for_is_not_asked_through_it(tmp_path: Path, proxy: FakeModels):
    before = len(proxy.requests)
    with serving(
        tmp_path,
        written(tmp_path),
        env={
            "HTTP_PROXY": proxy.url,
            "http_proxy": proxy.url,
            "NO_PROXY": "models.example",
            "no_proxy": "models.example",
        },
    ) as server:
        answer = asked(server)
    assert (answer.status_code, answer.json()["error"]["type"], len(proxy.requests)) == (
        502,
        "api_error",
        before,
    )


class Model(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    keys: list[str | None] = []

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.keys.append(self.headers["x-api-key"])
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def over_tls(cert: Path, key: Path) -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    with ThreadingHTTPServer(("127.0.0.1", 0), Model) as model:
        model.socket = context.wrap_socket(model.socket, server_side=True)
        threading.Thread(target=model.serve_forever, daemon=True).start()
        yield f"https://localhost:{model.server_port}"
        model.shutdown()


@pytest.mark.parametrize("trusted", [True, False])
def test_a_vendor_over_tls_gets_the_key_only_if_its_certificate_is_trusted(tmp_path: Path, trusted: bool):
    cert, key = certificate(tmp_path)
    Model.keys.clear()
    with (
        over_tls(cert, key) as url,
        serving(
            tmp_path, written(tmp_path, url), env={"SSL_CERT_FILE": str(cert)} if trusted else {}
        ) as server,
    ):
        answer = asked(server)
    assert (answer.status_code, Model.keys) == ((200, [KEY]) if trusted else (502, []))
