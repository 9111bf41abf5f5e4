"""`python -m mcp_server`: reads the configuration, opens the state, serves until SIGTERM."""

import argparse
import asyncio
import gc
import json
import logging
import os
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import uvicorn

from mcp_server import config, faults
from mcp_server.bell import Bell
from mcp_server.edge import app, connections
from mcp_server.edge.doors import Doors
from mcp_server.edge.model_proxy import telemetry
from mcp_server.models.keys import BadKey
from mcp_server.repeats import FewRepeats
from mcp_server.repos.exchange import Diverged
from mcp_server.repos.process import GitFailed
from mcp_server.repos.refs import NoSuchBranch
from mcp_server.store import Unsafe, Unwritable
from oracle.cases.files import BadCases

PROBLEMS = "cannot start, mend these first:"
THREADS = (
    32  # for what waits for git or the disk; the default follows the number of cores, which it does not need
)
GRACEFUL_S = 5  # a call in flight is answered or dropped within this time; its work goes on after a restart


def main() -> int:
    """Serve until SIGTERM. Return the exit status: 0 if stopped, 1 if the state cannot be used, 2 if the
    configuration or the cases cannot, 3 if the address cannot.
    """
    arguments = _arguments()
    faults.arm(os.environ)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for handler in logging.getLogger().handlers:
        handler.addFilter(FewRepeats())
    # These would log every model request, which the audit log does, and every step of a migration.
    for chatty in ("httpx2", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    connections.raise_descriptor_limit()
    loaded = config.load(arguments.config)
    if isinstance(loaded, list):
        return _unusable(loaded)
    try:
        listener = socket.create_server((arguments.host, arguments.port), backlog=256)
        # Head and body of an answer are two writes: without this the second waits 40 ms for the first to be
        # acknowledged.
        # asyncio sets it on what it accepts only where the listener names its protocol; a listener's own is
        # inherited.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError as taken:
        print(
            f"cannot listen on {arguments.host}:{arguments.port}: {taken}; choose another --port",
            file=sys.stderr,
        )
        return 3
    if loaded.gateway.otlp_endpoint is not None:
        telemetry.export(loaded.gateway.otlp_endpoint, loaded.run.name)
    try:
        asyncio.run(serve(loaded, app.StateDir(arguments.state), listener, arguments.host))
    except BadCases as bad:
        return _unusable(bad.problems)
    except (
        Unsafe,
        Unwritable,
        GitFailed,
        Diverged,
        NoSuchBranch,
        BadKey,
        OSError,
    ) as broken:
        print(f"cannot start: {broken}", file=sys.stderr)
        return 1
    return 0


def _unusable(problems: Sequence[object]) -> int:
    """Print every problem on a line of its own, below a line by which whoever started this finds them."""
    print("\n".join([PROBLEMS, *map(str, problems)]), file=sys.stderr)
    return 2


async def serve(loaded: config.Config, state: app.StateDir, listener: socket.socket, host: str) -> None:
    """Serve on `listener` and on the doors; write server.json once they answer."""
    world = app.open_world(loaded, state, Bell())
    asyncio.get_running_loop().set_exception_handler(connections.on_loop_error)
    settings = connections.config(
        lambda: None,
        workers=1,
        timeout_graceful_shutdown=GRACEFUL_S,
        access_log=False,
        log_config=None,
    )
    server = uvicorn.Server(settings)
    doors = Doors(server, state.doors)
    settings.app = app.build(world, doors)
    # what is there by now stays: a full collection would look through it all again, 120 ms in which nobody is
    # answered
    gc.freeze()
    port = listener.getsockname()[1]
    about = {"url": f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}", "pid": os.getpid()}
    async with asyncio.TaskGroup() as group:
        group.create_task(
            _announce(
                server, listener, lambda: app.reopen_doors(world, doors), state.root / "server.json", about
            )
        )
        await server.serve(sockets=[listener])
    world.store.close()


async def _announce(
    server: uvicorn.Server,
    listener: socket.socket,
    reopen: Callable[[], Awaitable[None]],
    path: Path,
    about: dict[str, Any],
) -> None:
    while not server.started:
        if server.should_exit:
            return
        await asyncio.sleep(0.02)
    connections.lengthen_queue(listener)
    await reopen()
    partial = path.with_suffix(".new")
    partial.write_text(json.dumps(about))
    partial.replace(path)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m mcp_server", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="harness.toml")
    parser.add_argument(
        "--state", type=Path, required=True, help="directory for the database, repositories and log"
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8765, help="0 chooses a free one")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
