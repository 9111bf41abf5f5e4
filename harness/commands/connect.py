"""`harness connect`: lets any MCP client work in the run as an agent, under the same rules as a sandbox."""

import contextlib
import difflib
import getpass
import json as jsons
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import anyio
import typer
from rich.console import Console
from rich.table import Table

from harness.agents.kinds import CLIENTS
from harness.client import ServerClient, ServerGone, ServerSaidNo
from harness.commands.options import ConfigOption, JsonOption, StateOption, place
from harness.connect import clients, writing
from harness.connect.clients import Door, Setting
from harness.failure import Exit, VerbFailed
from harness.run.place import Place
from mcp_server.wire.sessions import IssuedToken, TokenFacts


def connect(
    context: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(
            help="The agent's name in the run, for example alice; default: yours on this machine."
        ),
    ] = None,
    client: Annotated[str, typer.Option(help=f"One of {', '.join(CLIENTS)}.")] = "generic",
    write: Annotated[
        bool,
        typer.Option("--write", help="Put it into the client's configuration file; all else there stays."),
    ] = False,
    stdio: Annotated[bool, typer.Option("--stdio", help="Be an MCP server on stdin and stdout.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="Show the tokens that are live.")] = False,
    revoke: Annotated[
        str | None,
        typer.Option(metavar="WHO", help="Revoke a token by its number, or all of a name; its lease ends."),
    ] = None,
    json: JsonOption = False,
    config: ConfigOption = None,
    state: StateOption = None,
) -> None:
    """Mint a token for NAME, and print the client's configuration and the git commands."""
    if sum([write, stdio, list_, revoke is not None]) > 1:
        raise VerbFailed("--write, --stdio, --list and --revoke are four things: choose one", Exit.USAGE)
    where, name = place(context, config, state), name or getpass.getuser()
    if stdio:
        return _serve(where, name)
    with where.running() as server:
        if list_:
            return _show(_live(server), json=json)
        if revoke is not None:
            return _revoke(server, revoke)
        _check(client, write=write)
        issued = server.issue_token(name)
        door = Door(issued.agent, server.url, issued.token)
        if write:
            return _write(server, door, issued, client)
    print(as_json(door, issued, client) if json else as_text(door, issued, client))


def _check(client: str, *, write: bool) -> None:
    """Raise VerbFailed, before a token is made, for a client that cannot be served so."""
    if client not in CLIENTS:
        near = difflib.get_close_matches(client, CLIENTS, 1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(CLIENTS)}"
        raise VerbFailed(f"no client {client!r}; {hint}", Exit.USAGE)
    if write and CLIENTS[client](Door("", "", "")).file is None:
        raise VerbFailed(
            "--write needs --client: where another one has its configuration, nobody knows", Exit.USAGE
        )


# -- on stdio


def _serve(where: Place, name: str) -> None:
    from harness.connect import stdio  # the MCP library takes half a second, which no other verb needs

    with _Dial(where, name) as dial:
        anyio.run(stdio.serve, dial)


class _Dial:
    """A token for as long as the proxy lives; another where the server has moved or forgotten it. It is
    handed in at the end.
    """

    def __init__(self, where: Place, name: str) -> None:
        self._where, self._name = where, name
        self._issued: tuple[int, Door] | None = None

    def __call__(self, *, afresh: bool) -> Door:
        if self._issued is None or afresh:
            with self._where.running() as server:
                issued = server.issue_token(self._name)
                self._hand_in(server)
                self._issued = issued.id, Door(issued.agent, server.url, issued.token)
        return self._issued[1]

    def __enter__(self) -> "_Dial":
        return self

    def __exit__(self, *_: object) -> None:
        # The run may have ended first.
        with contextlib.suppress(ServerGone, ServerSaidNo, VerbFailed), self._where.running() as server:
            self._hand_in(server)

    def _hand_in(self, server: ServerClient) -> None:
        if self._issued is not None:
            with contextlib.suppress(ServerSaidNo):  # another server, which never knew it
                server.revoke_token(self._issued[0], keeps_lease=True)


# -- tokens


def _live(server: ServerClient) -> list[TokenFacts]:
    """Return the tokens of agents that are live, sandboxed ones too."""
    return [token for token in server.tokens() if token.revoked_ms is None and token.role == "agent"]


def _show(live: list[TokenFacts], *, json: bool) -> None:
    if json:
        print(jsons.dumps([token.render() for token in live], indent=2))
        return
    table = Table()
    for column in ("token", "agent", "session", "since"):
        table.add_column(column)
    for token in live:
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(token.issued_ms / 1000))
        table.add_row(str(token.id), token.name, token.session or "-", since)
    Console().print(table)


def _revoke(server: ServerClient, named: str) -> None:
    """Revoke the token of that number, or all of that name. Of a name, only tokens of connected clients: a
    sandbox's ends with its session.
    """
    number = re.fullmatch(r"#?([0-9]+)", named)
    tokens = [token for token in _live(server) if _is_meant(token, named, number[1] if number else None)]
    if not tokens:
        raise VerbFailed(f"no live token {named!r}; `harness connect --list` shows them")
    for token in tokens:
        ended = server.revoke_token(token.id)
        parts = [f"token {token.id} of {token.name} is revoked"]
        parts += [f"{task} is given back" for task in ended.ended]
        parts += [f"{task} is in the gate, and given back unless it lands" for task in ended.pinned]
        print("; ".join(parts))


def _is_meant(token: TokenFacts, name: str, number: str | None) -> bool:
    if number is not None:
        return str(token.id) == number
    return (token.name, token.session) == (name, None)


# -- a client's configuration


def _write(server: ServerClient, door: Door, issued: IssuedToken, client: str) -> None:
    setting = CLIENTS[client](door)
    assert setting.file is not None
    try:
        written = writing.write(Path(setting.file).expanduser(), setting.merged)
    except VerbFailed:
        server.revoke_token(issued.id, keeps_lease=True)  # nobody has it
        raise
    before = f"; what was there is {written.backup.name}" if written.backup else ""
    print(f"# {written.file} has it{before}")
    if door.token in setting.text:
        print("# it holds a token: keep it out of your commits")
    print("\n".join(["", *_then(door, issued, setting)]))


def as_text(door: Door, issued: IssuedToken, client: str) -> str:
    """Return the client's configuration and the git commands, to be read and copied."""
    setting = CLIENTS[client](door)
    return "\n".join([f"# {_file(setting)}", setting.text, *_then(door, issued, setting)])


def _file(setting: Setting) -> str:
    return setting.file or "your client's MCP configuration (streamable HTTP)"


def _then(door: Door, issued: IssuedToken, setting: Setting) -> Iterator[str]:
    if setting.also:
        yield from ("# then", *setting.also, "")
    yield (
        "# a clone, and after each commit the upload "
        "(the tools run_oracle and push take commits that the server has)"
    )
    for repo in issued.repos:
        yield clients.clone_command(door, repo.name)
    yield clients.upload_command(door)


def as_json(door: Door, issued: IssuedToken, client: str) -> str:
    """Return the same for programs."""
    setting: Setting = CLIENTS[client](door)
    repos = [{**repo.render(), "clone": clients.clone_command(door, repo.name)} for repo in issued.repos]
    value = {
        "agent": door.agent,
        "token": door.token,
        "url": door.url,
        "mcp_url": door.mcp_url,
        "file": _file(setting),
        "config": setting.text,
        "also": list(setting.also),
        "repos": repos,
        "upload": clients.upload_command(door),
    }
    return jsons.dumps(value, indent=2)
