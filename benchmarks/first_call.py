"""The smallest agent: one MCP tools/call over a plain socket, then it stays. It runs inside a box, as text
given to `python3 -c`.

Rule: nothing but what the call needs is imported, so that the figures tell of the box and not of the client.
"""

import json
import os
import signal
import socket
import sys

ANSWER_S = 60
VERSION = "2026-07-28"
METHOD, TOOL = "tools/call", "list_tasks"


def request(host: str, token: str, tool: str = TOOL) -> bytes:
    about = {
        "io.modelcontextprotocol/protocolVersion": VERSION,
        "io.modelcontextprotocol/clientInfo": {"name": "first-call", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    params = {"name": tool, "arguments": {}, "_meta": about}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": METHOD, "params": params}).encode()
    head = [
        "POST /mcp HTTP/1.1",
        f"Host: {host}",
        f"Authorization: Bearer {token}",
        "Content-Type: application/json",
        "Accept: application/json, text/event-stream",
        f"MCP-Protocol-Version: {VERSION}",
        f"Mcp-Method: {METHOD}",
        f"Mcp-Name: {tool}",
        f"Content-Length: {len(body)}",
        "Connection: close",
        "",
        "",
    ]
    return "\r\n".join(head).encode() + body


def call(url: str, token: str, tool: str = TOOL) -> bytes:
    """The whole answer, head included."""
    host = url.removeprefix("http://").rstrip("/")
    name, _, port = host.partition(":")
    with socket.create_connection((name, int(port)), ANSWER_S) as wire:
        wire.sendall(request(host, token, tool))
        return b"".join(iter(lambda: wire.recv(65536), b""))


if __name__ == "__main__":
    told = call(os.environ["HARNESS_URL"], os.environ["HARNESS_TOKEN"])
    if b" 200 " not in told.split(b"\r\n", 1)[0] or b'"tasks"' not in told:
        sys.exit(f"no answer to the call: {told[:500]!r}")
    signal.pause()
