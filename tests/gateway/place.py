"""A real server whose accounts are scripted models, and agents that ask them with plain HTTP."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from mcp_server.models.accounts import Account
from tests.fake_models import FakeModels
from tests.server import toy
from tests.server.conftest import NO_TLS, Agent, Clock, Server
from tests.waiting import BOUND_S, until

KEY = "sk-test-0123456789abcdefghijklmnop"
ACCOUNT = '\n[gateway.accounts.{name}]\napi = "{api}"\nbase_url = "{url}{path}"\nkey_file = "{key}"\n{more}\n'
PATHS = {"anthropic": "", "openai": "/v1", "gemini": ""}
ASK = {"role": "user", "content": "Go on."}
PATIENCE_S = 600.0  # with a standing clock: real time, in which the test has long moved on
MODELS = {"anthropic": "claude-sonnet-4-5", "openai": "gpt-5", "gemini": "gemini-2.5-pro"}


@dataclass(frozen=True)
class Request:
    """How each API is asked: account, path, body."""

    account: str
    path: str
    body: dict


def asking(form: str, *, stream: bool = True, model: str | None = None, **more: Any) -> Request:
    match form:
        case "messages":
            return Request(
                "anthropic",
                "/v1/messages?beta=true",
                {
                    "model": model or MODELS["anthropic"],
                    "max_tokens": 100,
                    "messages": [ASK],
                    "stream": stream,
                }
                | more,
            )
        case "responses":
            return Request(
                "openai",
                "/v1/responses",
                {"model": model or MODELS["openai"], "input": [ASK], "stream": stream} | more,
            )
        case "chat":
            usage = {"stream_options": {"include_usage": True}} if stream else {}
            return Request(
                "openai",
                "/v1/chat/completions",
                {"model": model or MODELS["openai"], "messages": [ASK], "stream": stream} | usage | more,
            )
        case "generate":
            method = "streamGenerateContent?alt=sse" if stream else "generateContent"
            return Request(
                "gemini",
                f"/v1beta/models/{model or MODELS['gemini']}:{method}",
                {"contents": [{"role": "user", "parts": [{"text": "Go on."}]}]} | more,
            )
    raise ValueError(form)


FORMS = ("messages", "responses", "chat", "generate")


def config(
    url: str,
    key_file: Path,
    *,
    patience_s: float = 20,
    gateway: str = "",
    more: str = "",
    toml: str = toy.TOML,
) -> str:
    accounts = "".join(
        ACCOUNT.format(name=api, api=api, url=url, path=path, key=key_file, more=more)
        for api, path in PATHS.items()
    )
    return f"{toml}\n[gateway]\npatience_s = {patience_s}\n{gateway}\n{accounts}"


class StandingClock(Clock):
    """A wall clock that a test alone moves, from a full second on."""

    def __init__(self) -> None:
        began_ns = time.time_ns() // 1_000_000_000 * 1_000_000_000
        super().__init__(lambda: began_ns)


@dataclass
class Place:
    server: Server
    models: Any

    def agent(self, name: str = "worker-1", **more: Any) -> Agent:
        return self.server.agent(name, **more)

    def http(self, agent: Agent) -> httpx2.Client:
        return httpx2.Client(
            base_url=f"{self.server.url}/llm",
            headers={"authorization": f"Bearer {agent.token}"},
            timeout=BOUND_S,
            verify=NO_TLS,
        )

    def ask(self, agent: Agent, request: Request, **more: Any) -> httpx2.Response:
        with self.http(agent) as http:
            return http.post(f"/{request.account}{request.path}", json=request.body, **more)

    def counted(self, agent: Agent, number: int = 1) -> list[dict]:
        """The agent's requests once there are so many: the record of an answer with a known length comes just
        after its last byte.
        """
        return until(lambda: found if len(found := self.requests(agent=agent.name)) >= number else None)

    def requests(self, **wanted: Any) -> list[dict]:
        """The data of the `model_request` events."""
        found = [
            event["data"] | {name: event[name] for name in ("agent", "session", "task", "fence")}
            for event in self.server.events(kind="model_request")
        ]
        return [one for one in found if all(one[name] == value for name, value in wanted.items())]

    def account(self, name: str) -> Account:
        assert self.server.world is not None
        return self.server.world.accounts.by_name[name]

    def wait_out(self, account: Account, more_ms: int = 0) -> None:
        """Move the clock to the end of the pause, and let the timer ring that was set for it."""
        self.server.clock.ahead_ms += max(0, account.until_ms - self.server.clock()) + more_ms
        self.server.loop.call_soon_threadsafe(account._ring)

    def api(self, path: str, role: str = "admin") -> dict:
        with self.server.http(role) as http:
            return http.get(path).json()


@contextmanager
def place(root: Path, models: Any, *, clock: Clock | None = None, **more: Any) -> Iterator[Place]:
    """Over an upstream that runs: a FakeModels, or anything else with a `url`."""
    key = root / "key"
    key.write_text(KEY + "\n")
    key.chmod(0o600)
    project = toy.project(root / "project", config(models.url, key, **more))
    server = Server(project, root / "state", clock=clock)
    try:
        yield Place(server, models)
    finally:
        server.stop()


__all__ = ["FORMS", "KEY", "FakeModels", "Place", "Request", "asking", "place"]
