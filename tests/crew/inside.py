"""What an agent of these tests can do, as text that runs inside a box before its own lines: call a tool, ask
the model. Standard library only.
"""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request

VERSION = "2026-07-28"
TIMEOUT_S = 90


def post(path, body, **headers):
    headers |= {"Authorization": "Bearer " + os.environ["HARNESS_TOKEN"], "Content-Type": "application/json"}
    request = urllib.request.Request(os.environ["HARNESS_URL"] + path, json.dumps(body).encode(), headers)
    return urllib.request.urlopen(request, timeout=TIMEOUT_S).read().decode()


def mcp(method, **params):
    about = {
        "protocolVersion": VERSION,
        "clientInfo": {"name": "inside", "version": "1"},
        "clientCapabilities": {},
    }
    params["_meta"] = {f"io.modelcontextprotocol/{name}": value for name, value in about.items()}
    headers = {
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": VERSION,
        "Mcp-Method": method,
    }
    if "name" in params:
        headers["Mcp-Name"] = params["name"]
    told = post("/mcp", {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}, **headers)
    last = [line[6:] for line in told.splitlines() if line.startswith("data: ")][-1:] or [told]
    return json.loads(last[0])["result"]


def tool(name, **args):
    """The structured answer of one tool call, printed as well."""
    answer = mcp("tools/call", name=name, arguments=args)["structuredContent"]
    print(name, json.dumps(answer)[:300], flush=True)
    return answer


def ask():
    """One request to the model; its HTTP status."""
    body = {
        "model": "claude-sonnet-4-5",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "Go on."}],
    }
    try:
        post("/llm/anthropic/v1/messages", body)
        return 200
    except urllib.error.HTTPError as error:
        print("the model answered", error.code, error.read().decode()[:300], flush=True)
        return error.code


def sh(line):
    subprocess.run(["sh", "-ec", line], check=True)


def leave(status):
    sys.exit(status)
