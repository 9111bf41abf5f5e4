"""Owns the one connection of a player to the MCP server. Rule: a broken connection is opened again and the
call repeated, since every tool is idempotent.
"""

import asyncio
import json
import time
from typing import Any

import httpx2
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult

CALL_TIMEOUT_S = 90.0  # the server answers within 45 s
CONNECT_TIMEOUT_S = 15.0
AWAY_MAX_S = 90.0  # how long the server may be away
UNFINISHED = ("testing", "running")  # the call has to be made again to wait on
UNFINISHED_MAX_S = 1800.0
HANG_UP_S = 2.0
# JSON-RPC: the request itself is wrong; -32000 and the like are the connection's.
CALLER_ERRORS = range(-32699, -32599)

Answer = dict[str, Any]


class ServerAway(Exception):
    """The server did not come back within AWAY_MAX_S."""


class LineBroke(Exception):
    """The connection ended under a call."""


class Board:
    """Use it `async with`; `call` from one task at a time.

    The connection lives in a task of its own: when it breaks, the SDK cancels the task that opened it, and
    that must not be ours.
    """

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"}
        self._line: asyncio.Task | None = None
        self._calls: asyncio.Queue = asyncio.Queue()

    async def __aenter__(self) -> "Board":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._hang_up()

    async def call(self, tool: str, args: Answer) -> Answer:
        """Return the tool's answer; a text becomes {"status": "text", "text": ...}. Wait through
        `testing` and `running`.
        """
        until = time.monotonic() + UNFINISHED_MAX_S
        while True:
            answer = await self._surely(tool, args)
            if answer.get("status") not in UNFINISHED or time.monotonic() > until:
                return answer
            # The server itself waits up to 45 s: this only bounds a server that does not.
            await asyncio.sleep(0.05)

    async def _surely(self, tool: str, args: Answer) -> Answer:
        began, wait_s = time.monotonic(), 0.1
        while True:
            try:
                return await self._once(tool, args)
            except (LineBroke, MCPError) as error:
                if isinstance(error, MCPError) and error.code in CALLER_ERRORS:
                    return {"status": "error", "message": f"{error.code}: {error.message}"}
                if time.monotonic() - began + wait_s > AWAY_MAX_S:
                    raise ServerAway(f"{tool}: {error}") from error
            await self._hang_up()
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, 2.0)

    async def _once(self, tool: str, args: Answer) -> Answer:
        if self._line is None:
            self._calls = asyncio.Queue()
            self._line = asyncio.create_task(self._hold_line(self._calls))
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._calls.put_nowait((tool, args, answer))
        await asyncio.wait({answer, self._line}, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            raise LineBroke(str(self._line.exception() if not self._line.cancelled() else "cancelled"))
        return answer.result()

    async def _hold_line(self, calls: asyncio.Queue) -> None:
        timeout = httpx2.Timeout(CONNECT_TIMEOUT_S, read=CALL_TIMEOUT_S)
        http = httpx2.AsyncClient(headers=self._headers, timeout=timeout, trust_env=False)
        async with http, Client(streamable_http_client(self._url, http_client=http)) as client:
            while (call := await calls.get()) is not None:
                tool, args, answer = call
                try:
                    result = await client.call_tool(tool, args, read_timeout_seconds=CALL_TIMEOUT_S)
                    answer.set_result(as_answer(result))
                except MCPError as error:
                    answer.set_exception(error)

    async def _hang_up(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            self._calls.put_nowait(None)
            await asyncio.wait({line}, timeout=HANG_UP_S)
            line.cancel()
            await asyncio.wait({line})
            if not line.cancelled():
                line.exception()  # whatever it was, the next line is a new one


def as_answer(result: CallToolResult) -> Answer:
    """Return a tool's result as one table. Refusals come as errors with structured content; an error without
    it is the server's or the SDK's own.
    """
    text = "".join(getattr(block, "text", "") for block in result.content)
    value = result.structured_content
    if value is None:
        value = _parsed(text)
    if isinstance(value, dict) and "status" in value:
        return value
    if result.is_error:
        return {"status": "error", "message": text[:2000]}
    return {"status": "ok", **value} if isinstance(value, dict) else {"status": "text", "text": text}


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return None


def status_of(answer: Answer) -> str:
    """Return the answer's status, with the code of a refusal."""
    if answer["status"] == "refused" and answer.get("code"):
        return f"{answer['status']}:{answer['code']}"
    return str(answer["status"])


def matches(answer: Answer, expected: Any) -> bool:
    """Return whether the answer is as expected: "status" or "refused:code", or several of them."""
    statuses = [expected] if isinstance(expected, str) else list(expected)
    return answer["status"] in statuses or status_of(answer) in statuses


def brief(answer: Answer) -> str:
    """Return the part of an answer that a person wants to see in one line."""
    if answer["status"] in ("refused", "error"):
        return str(answer.get("happened") or answer.get("message") or "")
    task = answer.get("task")
    named = task.get("id") if isinstance(task, dict) else task
    parts = [
        named and f"task {named}",
        answer.get("fence") and f"fence {answer['fence']}",
        answer.get("main") and f"main {answer['main'][:10]}",
    ]
    for suite in answer.get("suites", {}).values():
        parts.append(f"{suite['counts']['passed']} of {suite['counts']['cases']} cases pass")
    return ", ".join(part for part in parts if part) or str(answer["status"])
