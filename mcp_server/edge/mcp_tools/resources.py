"""MCP resources, for clients without git: the files of main, a directory's listing, and reports.

Rule: what is here is what `git clone` gives any agent and nothing else, so held-out cases are not: no
repository has them. Every read is logged as a call is.
"""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ResourceNotFoundError
from mcp.types import Resource

from mcp_server.core import budget
from mcp_server.core.principal import Principal
from mcp_server.repos import trees
from mcp_server.repos.trees import TreeEntry
from mcp_server.store import Tx
from mcp_server.use_cases.memory import reports
from mcp_server.use_cases.people import sessions
from mcp_server.world import World

FILE_CHARACTERS_MAX = 100_000  # some 25,000 tokens: what the strictest client takes
LISTED_MAX = 1_000
FILES, REPORTS = "harness://{repo}/{+path}", "harness-report://{task}"


class Resources:
    """What can be read over one world. Who reads comes from the request, as for the tools."""

    def __init__(self, world: World, principal: Callable[[Context[Any, Any]], Principal]):
        self._world, self._principal = world, principal

    def offer(self, server: MCPServer) -> None:
        """Register both kinds of resource with a server."""
        server.resource(
            FILES,
            name="file",
            description="A file of a repository at main, "
            "or a directory's listing where the path ends in / or is empty.",
        )(self.file)
        server.resource(
            REPORTS,
            name="report",
            description="The report of a task.",
            mime_type="text/markdown",
        )(self.report)

    def listed(self) -> list[Resource]:
        """Return the top of every repository: from there a client finds its way."""
        return [
            Resource(
                uri=f"harness://{name}/",
                name=name,
                description=f"The files of {name} at main.",
                mime_type="text/plain",
            )
            for name in self._world.repos
        ]

    async def file(self, repo: str, path: str, ctx: Context[Any, Any]) -> str:
        return await self._read(ctx, f"harness://{repo}/{path}", partial(_file, self._world, repo, path))

    async def report(self, task: str, ctx: Context[Any, Any]) -> str:
        return await self._read(ctx, f"harness-report://{task}", partial(_report, self._world, task))

    async def _read(self, ctx: Context[Any, Any], uri: str, read: Callable[[], str]) -> str:
        who, began_s = self._principal(ctx), time.monotonic()
        status: str = "refused"
        code: str | None = "not_found"

        def log(tx: Tx) -> None:
            world, ms = self._world.at_one_moment(), int((time.monotonic() - began_s) * 1000)
            sessions.called(
                world, tx, who, "resources/read", status=status, code=code, args={"uri": uri}, ms=ms
            )

        try:
            text = await asyncio.to_thread(read)
        except ResourceNotFoundError:
            await self._world.group.write(log)
            raise
        status, code = "ok", None
        await self._world.group.write(log)
        return text


def _file(world: World, name: str, path: str) -> str:
    repo = world.repos.get(name)
    if repo is None:
        raise ResourceNotFoundError(f"there is no repository {name!r}; there are {', '.join(world.repos)}")
    main = world.main(name)
    entries = repo.objects.ls_tree(main)
    if path in ("", "/") or path.endswith("/"):
        return _listing(entries, path.strip("/"), name)
    entry = next((entry for entry in entries if entry.path == path), None)
    if entry is None and any(entry.path.startswith(f"{path}/") for entry in entries):
        return _listing(entries, path, name)
    if entry is None:
        raise ResourceNotFoundError(
            f"main of {name} has no file {path!r}; harness://{name}/ lists what there is"
        )
    if entry.mode == trees.GITLINK:
        return f"({path} is a submodule: its files are in another repository)"
    if (size := repo.objects.blob_size(entry.oid)) > trees.FILE_BYTES_MAX:
        return f"({path} has {size:,} bytes: too large to be read here; git clone has it)"
    return _text(path, entry, repo.objects.read(main, path) or b"")


def _text(path: str, entry: TreeEntry, content: bytes) -> str:
    try:
        text = content.decode()
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        return f"({path} is a binary file of {len(content):,} bytes: git clone has it)"
    if entry.mode == trees.SYMLINK:
        return f"({path} is a symbolic link to {text})"
    return budget.cut(text, FILE_CHARACTERS_MAX)


def _listing(entries: list[TreeEntry], directory: str, name: str) -> str:
    """Return the names in a directory, one a line; a directory's name ends in /."""
    before = f"{directory}/" if directory else ""
    names = set()
    for entry in entries:
        if entry.path.startswith(before):
            first, slash, _ = entry.path.removeprefix(before).partition("/")
            names.add(first + slash)
    if not names and directory:
        raise ResourceNotFoundError(
            f"main of {name} has no directory {directory!r}; harness://{name}/ lists what there is"
        )
    lines = sorted(names)[:LISTED_MAX]
    if len(names) > LISTED_MAX:
        lines.append(f"... and {len(names) - LISTED_MAX} more")
    return "\n".join(lines).encode("utf-8", "backslashreplace").decode()


def _report(world: World, task: str) -> str:
    report = reports.of_task(world, task)
    if report is None:
        raise ResourceNotFoundError(f"there is no report of {task!r}")
    return str(report["text"])
