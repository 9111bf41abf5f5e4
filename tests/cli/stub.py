"""A tiny server on a real port that answers as it is told: for the answers that a healthy server never gives."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.waiting import BOUND_S, until

Answer = Callable[[Request, dict], Response]


@dataclass
class Stub:
    """`answers` by "METHOD path"; `asked` is every request with its body, in order."""

    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[tuple[str, dict, dict]] = field(default_factory=list)
    url: str = ""

    async def serve(self, request: Request) -> Response:
        body = await request.json() if await request.body() else {}
        name = f"{request.method} {request.url.path}"
        self.asked.append((name, body, dict(request.headers)))
        answer = self.answers.get(name)
        if answer is None:
            return JSONResponse({"error": "unknown", "message": f"no {name} here"}, 404)
        return await asyncio.to_thread(answer, request, body)


@contextmanager
def serving(stub: Stub) -> Iterator[Stub]:
    app = Starlette(routes=[Route("/{path:path}", stub.serve, methods=["GET", "POST", "DELETE"])])
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until(lambda: server.started, "the stub to start")
    stub.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        yield stub
    finally:
        server.should_exit = True
        thread.join(BOUND_S)
