"""A loopback forwarder that adds a bearer token: the conformance suite has no way to send one.

Everything else passes as it is, the Host and Origin headers too, which the suite forges to see them refused.
"""

import asyncio
import threading
from collections.abc import AsyncIterator

import httpx2
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from tests.waiting import BOUND_S, until

METHODS = ["GET", "POST", "DELETE", "PUT", "PATCH", "OPTIONS", "HEAD"]
OF_THE_CONNECTION = {"connection", "transfer-encoding", "content-length", "keep-alive"}
READ_S = 120


class Forwarder:
    """Serves in a thread until closed; `url` is its own address."""

    def __init__(self, upstream: str, token: str):
        self._upstream, self._token = upstream, token
        app = Starlette(routes=[Route("/{path:path}", self._forward, methods=METHODS)])
        # Header names and values reach the server as they came in: h11 trims what a client should not have
        # sent.
        self._server = uvicorn.Server(
            uvicorn.Config(app, port=0, http="h11", log_level="warning", timeout_graceful_shutdown=1)
        )
        self._thread = threading.Thread(target=lambda: asyncio.run(self._server.serve()), daemon=True)
        self._thread.start()
        until(lambda: self._server.started)
        self.url = f"http://127.0.0.1:{self._server.servers[0].sockets[0].getsockname()[1]}"

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join(BOUND_S)

    async def _forward(self, request: Request) -> StreamingResponse:
        headers = [
            (name, value)
            for name, value in request.headers.raw
            if name.decode() not in OF_THE_CONNECTION | {"authorization"}
        ]
        headers.append((b"authorization", f"Bearer {self._token}".encode()))
        client = httpx2.AsyncClient(timeout=READ_S, trust_env=False)
        url = f"{self._upstream}{request.url.path}"
        asked = client.build_request(request.method, url, headers=headers, content=await request.body())
        answer = await client.send(asked, stream=True)

        async def body() -> AsyncIterator[bytes]:
            try:
                async for chunk in answer.aiter_raw():
                    yield chunk
            finally:  # a client that leaves takes the server's side with it
                await answer.aclose()
                await client.aclose()

        kept = {name: value for name, value in answer.headers.items() if name not in OF_THE_CONNECTION}
        return StreamingResponse(body(), answer.status_code, kept)
