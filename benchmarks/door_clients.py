"""Owns the load at the MCP door: many agents in few processes, each with one kept connection, speaking
JSON-RPC over HTTP/1.1 by hand.

Rule: a client costs as little as possible, since it runs on the cores that it measures; what is sent is what
an SDK client sends in the stateless protocol of 2026-07-28 (`first_call.py`), and every answer is read whole.
"""

import asyncio
import json
import time
from dataclasses import dataclass
from typing import Any

from benchmarks.first_call import VERSION

ANSWER_S = 120.0


@dataclass(frozen=True)
class Timed:
    """One call: its answer, and the seconds that it took."""

    answer: dict[str, Any]
    took_s: float


class Wire:
    """One agent's connection."""

    def __init__(self, port: int, token: str):
        self._port, self._token = port, token
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def call(self, tool: str, **arguments: Any) -> Timed:
        began = time.perf_counter()
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writer.write(request(self._port, self._token, tool, arguments))
        async with asyncio.timeout(ANSWER_S):
            body = await self._answer()
        took_s = time.perf_counter() - began
        return Timed(_result(body), took_s)

    def close(self) -> None:
        """The next call connects again."""
        if self._writer is not None:
            self._writer.close()
            self._reader = self._writer = None

    async def _answer(self) -> bytes:
        assert self._reader is not None
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        if not head.startswith(b"http/1.1 200"):
            raise RuntimeError(f"the door said {head[:200]!r}")
        if b"transfer-encoding: chunked" not in head:
            length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
            return await self._reader.readexactly(length)
        parts = []
        while size := int(await self._reader.readline(), 16):
            parts.append(await self._reader.readexactly(size))
            await self._reader.readexactly(2)
        await self._reader.readexactly(2)
        return b"".join(parts)


def request(port: int, token: str, tool: str, arguments: dict[str, Any]) -> bytes:
    about = {
        "io.modelcontextprotocol/protocolVersion": VERSION,
        "io.modelcontextprotocol/clientInfo": {"name": "claims", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    params = {"name": tool, "arguments": arguments, "_meta": about}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).encode()
    head = (
        f"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\nContent-Type:"
        " application/json\r\nAccept: application/json, text/event-stream\r\nMCP-Protocol-Version:"
        f" {VERSION}\r\nMcp-Method: tools/call\r\nMcp-Name: {tool}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _result(body: bytes) -> dict[str, Any]:
    """The tool's structured answer, from the event stream or from plain JSON."""
    lines = [line[6:] for line in body.splitlines() if line.startswith(b"data: {")] or [body]
    answer = json.loads(lines[-1])
    if "result" not in answer:
        raise RuntimeError(f"no result: {answer}")
    return answer["result"].get("structuredContent") or {}
