"""Owns the scripted model as a server: which API a path belongs to, what was asked, and the faults of the
script.

Rule: what is said follows from the request and the script alone. The only counters are of the tries that meet
faults.
"""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from tests.fake_models import anthropic, chat, gemini, responses
from tests.fake_models.script import FOR_EVER, Fault, Script
from tests.fake_models.transcript import Asked
from tests.fake_models.turn import Turn, decide
from tests.fake_models.wire import Cut, Request, Reset, Wire, WireServer

GEMINI = re.compile(
    r"/v1(?:alpha|beta\d?)?/models/([^/:]+):(generateContent|streamGenerateContent|countTokens)$"
)
JSON, SSE = ("content-type", "application/json"), ("content-type", "text/event-stream; charset=utf-8")
MODELS = ("fake-model", "claude-fake", "gpt-fake", "gemini-fake")


@dataclass
class Recorded:
    """One request and what became of it. `answered`: turn, side, count, fault, models, none; `sent` is the
    body's bytes, if kept.
    """

    request: Request
    api: str = ""
    asked: Asked | None = None
    turn: Turn | None = None
    fault: Fault | None = None
    answered: str = "none"
    finished: bool = False
    sent: bytes = b""

    @property
    def body(self) -> Any:
        return json.loads(self.request.body or b"null")


@dataclass
class FakeModels:
    """The server: `with FakeModels(script) as models: ... models.url, models.requests`. Several scripts
    differ by `match`.
    """

    scripts: Script | Iterable[Script] = ()
    port: int = 0
    keep_bytes: bool = True
    on_request: Callable[[Recorded], None] | None = None
    requests: list[Recorded] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.play(self.scripts)
        self._wires = WireServer(self._handle, self.port)

    def play(self, scripts: Script | Iterable[Script]) -> None:
        """From now on these, with every fault still to come."""
        self._scripts = (scripts,) if isinstance(scripts, Script) else tuple(scripts)
        self._tries: Counter[tuple[int, int]] = Counter()

    def start(self) -> "FakeModels":
        self._wires.start()
        return self

    def stop(self) -> None:
        self._wires.stop()

    __enter__ = start

    def __exit__(self, *_) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return self._wires.url

    @property
    def turns(self) -> list[Recorded]:
        return [each for each in self.requests if each.answered == "turn"]

    async def _handle(self, request: Request, wire: Wire) -> None:
        recorded = Recorded(request)
        self.requests.append(recorded)
        try:
            await self._answer(recorded, wire)
        finally:
            if self.on_request is not None:
                self.on_request(recorded)

    async def _answer(self, recorded: Recorded, wire: Wire) -> None:
        request = recorded.request
        found = _understood(request)
        if found is None:
            recorded.answered = "models" if request.path.endswith("/models") else "none"
            listed = {
                "object": "list",
                "data": [{"id": name, "object": "model", "owned_by": "fake"} for name in MODELS],
            }
            status = (
                200
                if recorded.answered == "models" or (request.method, request.path) == ("HEAD", "/")
                else 404
            )
            body = json.dumps(listed if recorded.answered == "models" else responses.error(404)).encode()
            await wire.whole(status, [JSON], b"" if request.method == "HEAD" else body)
            return
        dialect, asked = found
        script = self._script_for(asked)
        turn = decide(asked, script)
        recorded.api, recorded.asked, recorded.turn = dialect.API, asked, turn
        recorded.fault = self._fault(script, turn, asked)
        await self._play(recorded, dialect, _Sender(wire, recorded, self.keep_bytes))

    def _script_for(self, asked: Asked) -> Script:
        named = [script for script in self._scripts if script.match and script.match in asked.text]
        return next(iter(named or [script for script in self._scripts if not script.match]), Script())

    def _fault(self, script: Script, turn: Turn, asked: Asked) -> Fault | None:
        """The script's own faults first, then those of the step; each counts its tries."""
        number = self._scripts.index(script) if script in self._scripts else -1
        of_step = turn.step.faults if turn.main and not asked.counting else ()
        for place, faults in ((-1, script.faults), (asked.step, of_step)):
            fault = _due(faults, self._tries[number, place])
            if fault is not None:
                self._tries[number, place] += 1
                return fault
        return None

    async def _play(self, recorded: Recorded, dialect: ModuleType, out: "_Sender") -> None:
        turn, asked, fault = recorded.turn, recorded.asked, recorded.fault or Fault()
        assert turn is not None and asked is not None
        await asyncio.sleep(fault.delay + turn.step.delay)
        if fault.status is not None:
            recorded.answered = "fault"
            body = dialect.error(fault.status) if fault.body is None else fault.body
            headers = {"content-type": "application/json"} | {
                name.lower(): value for name, value in fault.headers.items()
            }
            await out.whole(
                fault.status,
                list(headers.items()),
                (body if isinstance(body, str) else json.dumps(body)).encode(),
            )
            return
        if fault.reset and fault.after == 0:
            raise Reset
        recorded.answered = "count" if asked.counting else "turn" if turn.main else "side"
        if asked.stream:
            await _stream(out, dialect.stream(turn, asked), asked, fault, turn.step.pace)
        else:
            body = json.dumps(dialect.whole(turn, asked)).encode()
            if fault.cut or fault.reset:
                await out.start(200, [JSON, ("content-length", str(len(body)))])
                await out.send(body[: len(body) // 2])
                raise Cut if fault.cut else Reset
            await asyncio.sleep(fault.stall)
            await out.whole(200, [JSON], body)
        recorded.finished = True


class _Sender:
    """A wire that also keeps what it sent."""

    def __init__(self, wire: Wire, recorded: Recorded, keep: bool):
        self._wire, self._recorded, self._keep = wire, recorded, keep
        self.start, self.end = wire.start, wire.end

    async def send(self, data: bytes) -> None:
        if self._keep:
            self._recorded.sent += data
        await self._wire.send(data)

    async def whole(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        await self.start(status, [*headers, ("content-length", str(len(body)))])
        await self.send(body)
        await self.end()


async def _stream(out: _Sender, events: list[bytes], asked: Asked, fault: Fault, pace: float) -> None:
    sse = asked.api != "gemini" or asked.options["sse"]
    await out.start(200, [SSE if sse else JSON, ("cache-control", "no-cache"), ("request-id", "req_fake")])
    for number, event in enumerate(events):
        if number == fault.after:
            if fault.cut:
                raise Cut
            if fault.reset:
                raise Reset
            await asyncio.sleep(fault.stall)
        await out.send(event)
        if pace:
            await asyncio.sleep(pace)
    await out.end()


def _due(faults: Iterable[Fault], tries: int) -> Fault | None:
    for fault in faults:
        if fault.tries == FOR_EVER or tries < fault.tries:
            return fault
        tries -= fault.tries
    return None


def _understood(request: Request) -> tuple[ModuleType, Asked] | None:
    """The API by the path's end, so that a client may have any base; None for what is no call of a model."""
    if request.method != "POST":
        return None
    path, body = request.path, json.loads(request.body or b"{}")
    if named := GEMINI.search(path):
        return gemini, gemini.read(body, named[1], named[2], sse=request.query.get("alt") == "sse")
    if path.endswith("/messages/count_tokens"):
        return anthropic, anthropic.read(body, counting=True)
    for end, dialect in (("/messages", anthropic), ("/responses", responses), ("/chat/completions", chat)):
        if path.endswith(end):
            return dialect, dialect.read(body)
    return None
