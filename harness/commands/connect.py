"""`harness connect`: lets any MCP client work in the run as an agent, under the same rules as a sandbox."""

import contextlib
import difflib
import json as jsons
from collections.abc import Iterator
from typing import Annotated

import anyio
import typer

from harness.connect import clients
from harness.connect.clients import CLIENTS, Door, Setting
from harness.failure import Exit, Failed
from harness.place import ConfigOption, JsonOption, StateOption, place
from harness.server import Json, ServerClient, ServerGone, ServerSaidNo


def connect(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The agent's name in the run, for example alice.")],
    client: Annotated[str, typer.Option(help=f"One of {', '.join(CLIENTS)}.")] = "generic",
    stdio: Annotated[bool, typer.Option("--stdio", help="Be an MCP server on stdin and stdout.")] = False,
    json: JsonOption = False,
    config: ConfigOption = None,
    state: StateOption = None,
) -> None:
    """Mint a token for NAME, and print the client's configuration and the git commands."""
    if client not in CLIENTS:
        near = difflib.get_close_matches(client, CLIENTS, 1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(CLIENTS)}"
        raise Failed(f"no client {client!r}; {hint}", Exit.USAGE)
    with place(context, config, state).running() as server:
        if stdio:
            from harness.connect import stdio as stdio_proxy  # the MCP library takes half a second, which no other verb needs

            with _borrowed_token(server, name) as door:
                anyio.run(stdio_proxy.serve, door.url, door.token)
            return
        issued = server.issue_token(name)
        door = Door(issued["agent"], server.url, issued["token"])
    print(as_json(door, issued, client) if json else as_text(door, issued, client))


@contextlib.contextmanager
def _borrowed_token(server: ServerClient, name: str) -> Iterator[Door]:
    """A token for as long as the proxy lives."""
    issued = server.issue_token(name)
    try:
        yield Door(issued["agent"], server.url, issued["token"])
    finally:
        with contextlib.suppress(ServerGone, ServerSaidNo):  # the run may have ended first, and the token with it
            server.revoke_token(issued["id"])


def as_text(door: Door, issued: Json, client: str) -> str:
    setting = CLIENTS[client](door)
    lines = [f"# {setting.file}", setting.text, ""]
    if setting.also:
        lines += ["# then", *setting.also, ""]
    lines.append("# a clone, and after each commit the upload (the tools run_oracle and push take commits that the server has)")
    for repo in issued.get("repos", []):
        lines.append(clients.clone_command(door, repo["name"]))
    lines.append(clients.upload_command(door))
    return "\n".join(lines)


def as_json(door: Door, issued: Json, client: str) -> str:
    setting: Setting = CLIENTS[client](door)
    repos = [{**repo, "clone": clients.clone_command(door, repo["name"])} for repo in issued.get("repos", [])]
    said = {
        "agent": door.agent, "token": door.token, "url": door.url, "mcp_url": door.mcp_url, "file": setting.file,
        "config": setting.text, "also": list(setting.also), "repos": repos, "upload": clients.upload_command(door),
    }
    return jsons.dumps(said, indent=2)
