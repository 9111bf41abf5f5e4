"""Owns the same server over stdio: a proxy that forwards every request to the HTTP server, for clients
without HTTP.

Rule: it adds nothing and keeps nothing; what the HTTP server says is what the client hears. Each request has
a connection of its own, since a connection of the SDK's that loses its server takes its whole process along.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

import anyio
import httpx2
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.types import (
    INTERNAL_ERROR,
    CallToolRequestParams,
    CallToolResult,
    ListResourcesResult,
    ListResourceTemplatesResult,
    ListToolsResult,
    PaginatedRequestParams,
    ReadResourceRequestParams,
    ReadResourceResult,
    TextContent,
)

from harness.client import ServerGone, ServerSaidNo
from harness.connect.clients import Door
from harness.failure import VerbFailed

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 120.0  # every call is answered within 45 s, with pings meanwhile
# How a server that is not there shows itself.
AWAY = (
    ExceptionGroup,
    httpx2.HTTPError,
    OSError,
    MCPError,
    ServerGone,
    ServerSaidNo,
    VerbFailed,
)

T = TypeVar("T")
Act = Callable[[Client], Awaitable[T]]


class Dial(Protocol):
    """Where the server is and with which token to come in; `afresh` where the last answer led nowhere. May
    raise AWAY.
    """

    def __call__(self, *, afresh: bool) -> Door: ...


class StdioClosed(Exception):
    """The server cannot be reached; the message says why and what to do."""


async def serve(dial: Dial) -> None:
    """Serve MCP on this process's stdin and stdout until the client hangs up. Raise VerbFailed if no server
    is there at the start.
    """
    try:
        server = await proxy(dial)
    except StdioClosed as gone:
        raise VerbFailed(str(gone)) from gone
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


async def proxy(dial: Dial) -> Server:
    """Return a server whose every answer is the one that `dial` leads to."""

    async def list_tools(_: ServerRequestContext, params: PaginatedRequestParams | None) -> ListToolsResult:
        return await listed(lambda upstream: upstream.list_tools(cursor=_cursor(params)))

    async def call_tool(context: ServerRequestContext, params: CallToolRequestParams) -> CallToolResult:
        progress = context.session.report_progress
        try:
            return await ask(
                dial,
                lambda upstream: upstream.call_tool(
                    params.name, params.arguments or {}, progress_callback=progress
                ),
            )
        except StdioClosed as gone:
            return CallToolResult(content=[TextContent(type="text", text=str(gone))], is_error=True)

    async def list_resources(
        _: ServerRequestContext, params: PaginatedRequestParams | None
    ) -> ListResourcesResult:
        return await listed(lambda upstream: upstream.list_resources(cursor=_cursor(params)))

    async def list_templates(
        _: ServerRequestContext, params: PaginatedRequestParams | None
    ) -> ListResourceTemplatesResult:
        return await listed(lambda upstream: upstream.list_resource_templates(cursor=_cursor(params)))

    async def read_resource(_: ServerRequestContext, params: ReadResourceRequestParams) -> ReadResourceResult:
        return await listed(lambda upstream: upstream.read_resource(params.uri))

    async def listed(act: Act[T]) -> T:
        try:
            return await ask(dial, act)
        except StdioClosed as gone:
            raise MCPError(code=INTERNAL_ERROR, message=str(gone)) from gone

    name, version, instructions = await ask(dial, _about)
    return Server(
        name,
        version=version,
        instructions=instructions,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        on_list_resources=list_resources,
        on_list_resource_templates=list_templates,
        on_read_resource=read_resource,
    )


async def ask(dial: Dial, act: Act[T]) -> T:
    """Return what `act` has on the server, which may have been restarted since the last time; whatever it
    does may be done twice. Raise StdioClosed if no server answers.
    """
    try:
        return await _once(dial, act, afresh=False)
    except AWAY:
        pass  # the server may have moved, or know the token no more
    except _ProtocolError as no:
        raise no.error from None
    try:
        return await _once(dial, act, afresh=True)
    except _ProtocolError as no:
        raise no.error from None
    except AWAY as broke:
        raise StdioClosed(
            f"the harness server does not answer ({_leaf(broke)}); "
            "call again when it is up: every call may be repeated"
        ) from broke


class _ProtocolError(Exception):
    """The server's own protocol error, which passes as it is; without this wrapping it would look like a
    broken connection.
    """

    def __init__(self, error: MCPError):
        self.error = error


async def _once(dial: Dial, act: Act[T], *, afresh: bool) -> T:
    door = await anyio.to_thread.run_sync(lambda: dial(afresh=afresh))
    timeout = httpx2.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
    refusal: MCPError | None = None
    async with (
        httpx2.AsyncClient(headers=door.headers, timeout=timeout, trust_env=False) as http,
        Client(streamable_http_client(door.mcp_url, http_client=http)) as upstream,
    ):
        try:
            return await act(upstream)
        except MCPError as error:
            refusal = error
    raise _ProtocolError(refusal)


async def _about(upstream: Client) -> tuple[str, str, str | None]:
    info = upstream.server_info
    name, version = (info.name, info.version) if info else ("harness", "")
    return name, version, upstream.instructions


def _cursor(params: PaginatedRequestParams | None) -> str | None:
    return params.cursor if params else None


def _leaf(broke: BaseException) -> str:
    """Return what lies at the bottom of the SDK's groups of groups."""
    while isinstance(broke, BaseExceptionGroup):
        broke = broke.exceptions[0]
    return str(broke) or type(broke).__name__
