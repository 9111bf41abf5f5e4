"""The recorded answers below wires/: each with its path, its bytes and what has to be counted."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mcp_server.models import apis

WIRES = Path(__file__).parent / "wires"
COUNTED = ("input", "cached_read", "cached_write", "output", "reasoning")


@dataclass(frozen=True)
class Recorded:
    """`path` begins with the account's name, as a client writes it behind /llm/."""

    name: str
    path: str
    data: bytes
    sse: bool
    usage: dict[str, Any]
    known: bool = True
    complete: bool = True

    @property
    def content_type(self) -> str:
        return "text/event-stream; charset=utf-8" if self.sse else "application/json"

    @property
    def account(self) -> str:
        return self.path.partition("/")[0]

    @property
    def stream(self) -> bool:
        return self.sse or "stream" in self.path

    @property
    def call(self) -> apis.Call:
        found = apis.call(
            apis.ModelApi(self.account), "POST", urlsplit("/" + self.path.partition("/")[2]).path
        )
        assert isinstance(found, apis.Call)
        return found

    @property
    def counts(self) -> dict[str, int]:
        return {name: self.usage.get(name, 0) for name in COUNTED}

    @property
    def request(self) -> dict[str, Any]:
        """A body that such an answer answers."""
        if self.account == "gemini":
            return {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}
        told = {"model": "asked-for", "stream": self.stream}
        if "responses" in self.path:
            return told | {"input": "Hi"}
        return told | {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 99}


def _all() -> list[Recorded]:
    told = tomllib.loads((WIRES / "wires.toml").read_text())
    return [
        Recorded(
            name,
            one["path"],
            (WIRES / one["file"]).read_bytes(),
            one["file"].endswith(".sse"),
            one["usage"],
            one.get("known", True),
            one.get("complete", True),
        )
        for name, one in told.items()
    ]


ALL = _all()
BY_NAME = {one.name: one for one in ALL}
