"""`python -m benchmarks.gateway_parts model | proxy URL`: what stands around the gateway when it is measured,
each a process of its own.

Rule: the proxy is the smallest that streams, and the gateway's rival: the same server, the same client,
nothing counted, kept or checked.
"""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

START = (
    b"event: message_start\ndata:"
    b' {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant",'
    b'"model":"claude-sonnet-4-5",'
    b'"content":[],"usage":{"input_tokens":100,"output_tokens":1}}}\n\n'
)
DELTA = (
    b"event: content_block_delta\ndata:"
    b' {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"some words of an answer'
    b' "}}\n\n'
)
END = (
    b'event: message_delta\ndata: {"type":"message_delta","usage":{"output_tokens":20}}\n\nevent:'
    b' message_stop\ndata: {"type":"message_stop"}\n\n'
)
DROPPED = {"host", "content-length", "connection", "transfer-encoding"}
EVENTS = 20
PACE_S = 0.03  # some 30 events a second, as models speak


def model() -> Starlette:
    """Answers at once with the first event and then at the pace of a model; `x-events` says how many."""

    async def events(number: int) -> AsyncIterator[bytes]:
        yield START
        for _ in range(number):
            await asyncio.sleep(PACE_S)
            yield DELTA
        yield END

    async def answer(request: Request) -> Response:
        await request.body()
        return StreamingResponse(
            events(int(request.headers.get("x-events", EVENTS))), media_type="text/event-stream"
        )

    return Starlette(routes=[Route("/{path:path}", answer, methods=["POST"])])


def proxy(upstream: str) -> Starlette:
    @asynccontextmanager
    async def living(app: Starlette) -> AsyncIterator[None]:
        async with httpx2.AsyncClient(
            timeout=60, limits=httpx2.Limits(max_connections=None)
        ) as app.state.client:
            yield

    async def passed_on(request: Request) -> Response:
        client: httpx2.AsyncClient = request.app.state.client
        headers = {name: value for name, value in request.headers.items() if name not in DROPPED}
        asked = client.build_request(
            request.method, f"{upstream}{request.url.path}", headers=headers, content=await request.body()
        )
        answer = await client.send(asked, stream=True)

        async def body() -> AsyncIterator[bytes]:
            try:
                async for chunk in answer.aiter_raw():
                    yield chunk
            finally:
                await answer.aclose()

        told = {name: value for name, value in answer.headers.items() if name not in DROPPED}
        return StreamingResponse(body(), answer.status_code, told)

    return Starlette(routes=[Route("/{path:path}", passed_on, methods=["POST"])], lifespan=living)


def main() -> None:
    """The first line of stdout is the address."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    listener.setsockopt(
        socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
    )  # inherited; asyncio leaves it out for such sockets
    app = model() if sys.argv[1] == "model" else proxy(sys.argv[2])
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    uvicorn.Server(uvicorn.Config(app, http="h11", log_level="warning", access_log=False)).run(
        sockets=[listener]
    )


if __name__ == "__main__":
    main()
