"""The way to a vendor that is somewhere else: through the proxy that the server's environment names, with our key and nobody else's."""

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.fake_models import FakeModels, Script, Step

from .place import KEY, asking, config
from .process import Process, serving

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
    return httpx2.post(f"{server.url}/llm/anthropic{request.path}", json=request.body, headers={"x-api-key": token}, timeout=60, trust_env=False)


def written(root: Path) -> str:
    key = root / "key"
    key.write_text(KEY)
    key.chmod(0o600)
    return config(ELSEWHERE, key)


def test_a_vendor_is_reached_through_the_proxy_that_the_environment_names(tmp_path: Path, proxy: FakeModels):
    netrc = tmp_path / "netrc"
    netrc.write_text(NETRC)
    netrc.chmod(0o600)
    with serving(tmp_path, written(tmp_path), env={"HTTP_PROXY": proxy.url, "http_proxy": proxy.url, "NO_PROXY": "", "no_proxy": "", "NETRC": str(netrc)}) as server:
        assert asked(server).content == proxy.requests[-1].sent
    got = proxy.requests[-1].request
    assert got.target == f"{ELSEWHERE}/v1/messages?beta=true"
    assert (got.header("x-api-key"), got.header("authorization"), got.header("host")) == (KEY, None, "models.example:8000")


def test_a_vendor_that_no_proxy_is_for_is_not_asked_through_it(tmp_path: Path, proxy: FakeModels):
    before = len(proxy.requests)
    with serving(tmp_path, written(tmp_path), env={"HTTP_PROXY": proxy.url, "http_proxy": proxy.url, "NO_PROXY": "models.example", "no_proxy": "models.example"}) as server:
        answer = asked(server)
    assert (answer.status_code, answer.json()["error"]["type"], len(proxy.requests)) == (502, "api_error", before)
