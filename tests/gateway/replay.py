"""An upstream that answers with given bytes in given pieces, and keeps what it was asked."""

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.fake_models import Cut, Request, Wire, WireServer

MARKS = (
    ("request-id", "req_011CSHoEeqs5C35K2UUqR7Fy"),
    ("x-ratelimit-remaining-requests", "59"),
    ("anthropic-organization-id", "org-é".encode().decode("latin-1")),
)
STEP_S = 20


@dataclass
class Plan:
    """`steps`: each piece waits until the test has let it go. `cut`: the connection ends where the pieces do."""

    pieces: Sequence[bytes]
    content_type: str = "text/event-stream; charset=utf-8"
    status: int = 200
    headers: tuple[tuple[str, str], ...] = MARKS
    cut: bool = False
    sized: bool = False
    gates: Sequence[threading.Event] = ()


@dataclass
class Replay:
    """`with Replay() as upstream`: plays `plan` for every request."""

    plan: Plan = field(default_factory=lambda: Plan([]))
    requests: list[Request] = field(default_factory=list)
    left: list[Request] = field(default_factory=list)  # whose clients went before the end

    def __post_init__(self) -> None:
        self._wires = WireServer(self._handle)

    def __enter__(self) -> "Replay":
        self._wires.start()
        return self

    def __exit__(self, *_) -> None:
        self._wires.stop()

    @property
    def url(self) -> str:
        return self._wires.url

    async def _handle(self, request: Request, wire: Wire) -> None:
        self.requests.append(request)
        plan = self.plan
        length = (("content-length", str(sum(map(len, plan.pieces)))),) if plan.sized else ()
        try:
            await wire.start(plan.status, [("content-type", plan.content_type), *plan.headers, *length])
            for number, piece in enumerate(plan.pieces):
                if number < len(plan.gates):
                    await asyncio.to_thread(plan.gates[number].wait, STEP_S)
                await wire.send(piece)
            if plan.cut:
                raise Cut
            await wire.end()
        except asyncio.CancelledError:
            self.left.append(request)
            raise
