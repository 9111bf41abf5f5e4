"""Owns the same server over stdio: a proxy that forwards every request to the HTTP server, for clients without HTTP.

Rule: it adds nothing and keeps nothing; what the HTTP server says is what the client hears.
"""

import httpx2
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.types import CallToolRequestParams, CallToolResult, ListToolsResult, PaginatedRequestParams, TextContent

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 120.0  # every call is answered within 45 s, with pings meanwhile


async def serve(url: str, token: str) -> None:
    """Serves MCP on this process's stdin and stdout until the client hangs up."""
    timeout = httpx2.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=timeout, trust_env=False) as http,
        Client(streamable_http_client(f"{url}/mcp", http_client=http)) as upstream,
        stdio_server() as (read, write),
    ):
        server = proxy(upstream)
        await server.run(read, write, server.create_initialization_options())


def proxy(upstream: Client) -> Server:
    """A server whose every answer is the upstream's."""

    async def list_tools(context: ServerRequestContext, params: PaginatedRequestParams | None) -> ListToolsResult:
        return await upstream.list_tools(cursor=params.cursor if params else None)

    async def call_tool(context: ServerRequestContext, params: CallToolRequestParams) -> CallToolResult:
        try:
            return await upstream.call_tool(
                params.name, params.arguments or {}, progress_callback=context.session.report_progress
            )
        except MCPError:
            raise  # a protocol error passes as it is
        except (httpx2.HTTPError, OSError) as error:
            return _gone(error)

    info = upstream.server_info
    return Server(
        info.name if info else "harness", version=info.version if info else "", instructions=upstream.instructions,
        on_list_tools=list_tools, on_call_tool=call_tool,
    )


def _gone(error: Exception) -> CallToolResult:
    text = f"the harness server does not answer ({error or type(error).__name__}); every tool may be called again"
    return CallToolResult(content=[TextContent(type="text", text=text)], is_error=True)
