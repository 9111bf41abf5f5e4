"""The least that an MCP server can do: the SDK's own, with one tool that answers at once. Settings, port and
HTTP are those of `mcp_server`.

`python -m benchmarks.empty_server` prints its port and serves until it is ended.
"""

import asyncio
import socket

import uvicorn
from mcp.server import MCPServer
from mcp.types import CallToolResult, TextContent

REQUEST_BYTES_MAX = (
    1 << 20
)  # as mcp_server.edge.app has it, which is not imported: it would be most of this server's start
NAME = "nothing"


def build() -> MCPServer:
    mcp = MCPServer("empty")

    @mcp.tool(name=NAME, structured_output=False)
    async def nothing() -> CallToolResult:
        """Does nothing."""
        return CallToolResult(
            content=[TextContent(type="text", text="{}")], structured_content={"status": "ok"}
        )

    return mcp


async def serve(listener: socket.socket) -> None:
    app = build().streamable_http_app(
        streamable_http_path="/mcp",
        stateless_http=True,
        json_response=False,
        max_request_body_size=REQUEST_BYTES_MAX,
    )
    await uvicorn.Server(uvicorn.Config(app, http="h11", workers=1, access_log=False, log_config=None)).serve(
        sockets=[listener]
    )


if __name__ == "__main__":
    listening = socket.create_server(("127.0.0.1", 0), backlog=256)
    listening.setsockopt(
        socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
    )  # what asyncio does for listeners that it has made
    print(listening.getsockname()[1], flush=True)
    asyncio.run(serve(listening))
